/* collector.c - the collector's settings, and its pace.
 *
 * What has hardly any garbage is looked at less: a collection of young objects that found few, and a full one,
 * is followed by at least twenty times the time that the next of its kind will probably take: a twentieth of
 * the time for each kind, however large the heap, once a first one has told what an object takes. Young
 * objects whose turn comes meanwhile become old unseen; a full pass will look at them. That is a bet on what
 * the last one found: it ends when the domain has doubled, and grown by OUTGROWN_BYTES.
 */
#include "collector.h"

#include <errno.h>
#include <string.h>

#include "alloc.h"
#include "cycle.h"
#include "os.h"
#include "rc.h"
#include "tenancy.h"

enum {
    FEW = 16,              /* one in so many is hardly any */
    EXHAUSTIVE_EVERY = 10, /* automatic full passes */
    GROWTH_SHARE = 4,      /* a quarter more objects, or memory */
    REST = 20,             /* times what the next will take */
    PARTS_OF_NS = 16,      /* in which that is counted, for an object */
    OUTGROWN_BYTES = 256 << 20,
};

/* ---- when ---- */

static void set_due(struct collector *collector)
{
    bool never = collector->disabled || collector->thresholds[0] == 0;
    collector->due = never ? SIZE_MAX : collector->thresholds[0];
}

static struct rest *rest_of(struct collector *collector, unsigned oldest)
{
    return &collector->rests[oldest == GENERATION_OLD];
}

static void collect(struct arn_domain *domain, unsigned oldest, bool suspects)
{
    struct collector *collector = &domain->collector;
    const struct arn_gc_stats *stats = &collector->stats[oldest];
    struct arn_gc_stats before = *stats;
    bool done = arn__cycle_collect(domain, oldest, suspects) >= 0;
    size_t examined = stats->examined - before.examined;
    bool few = !done || (stats->collected - before.collected) * FEW < examined;
    *rest_of(collector, oldest) = (struct rest){
        .since_ns = arn__os_now_ns(),
        .object_parts = few ? (stats->ns - before.ns) * PARTS_OF_NS / (examined + 1) + 1 : 0,
    };
}

/* Since the last collection that found few, long enough for one of so many objects. */
static bool is_rested(const struct rest *rest, size_t objects)
{
    return rest->object_parts == 0 ||
           arn__os_now_ns() - rest->since_ns >= rest->object_parts * objects / PARTS_OF_NS * REST;
}

static bool is_grown(size_t now, size_t at_full)
{
    return now - now / (GROWTH_SHARE + 1) >= at_full;
}

/* So much that a rest is over: garbage has a bound however fast it is made. */
static bool is_outgrown(const struct arn_domain *domain)
{
    size_t then = domain->collector.bytes_at_full, now = domain->roster.held_bytes;
    return now > then && now - then >= (then > OUTGROWN_BYTES ? then : OUTGROWN_BYTES);
}

static bool full_is_due(struct arn_domain *domain)
{
    struct collector *collector = &domain->collector;
    return collector->thresholds[2] > 0 && collector->counts[2] >= collector->thresholds[2] &&
           (is_grown(domain->objects, collector->objects_at_full) ||
            is_grown(domain->roster.held_bytes, collector->bytes_at_full)) &&
           (is_rested(rest_of(collector, GENERATION_OLD), domain->objects) || is_outgrown(domain));
}

/* To look for what suspects lead to takes longer than to look at everything, if most are suspects. */
static bool is_mostly_new(const struct arn_domain *domain)
{
    return domain->objects / 2 > domain->collector.objects_at_full;
}

void arn__collector_due(struct arn_domain *domain)
{
    struct collector *collector = &domain->collector;
    if (collector->counts[0] < collector->due || collector->running)
        return;
    int saved = errno;
    unsigned oldest =
        collector->thresholds[1] > 0 && collector->counts[1] >= collector->thresholds[1];
    if (full_is_due(domain)) {
        bool exhaustive = ++collector->fulls % EXHAUSTIVE_EVERY == 0 || is_mostly_new(domain);
        collect(domain, GENERATION_OLD, !exhaustive);
    } else if (!is_rested(rest_of(collector, oldest), collector->counts[0])) {
        arn__cycle_pass_over_young(domain);
        collector->counts[oldest + 1]++;
        for (unsigned i = 0; i <= oldest; i++)
            collector->counts[i] = 0;
    } else {
        collect(domain, oldest, false);
    }
    /* Without memory for it, not again for every object. */
    if (collector->counts[0] >= collector->due)
        collector->counts[0] = 0;
    errno = saved;
}

bool arn__collector_reclaim(struct arn_domain *domain)
{
    const struct collector *collector = &domain->collector;
    return !collector->disabled && !collector->running &&
           arn__cycle_collect(domain, GENERATION_OLD, false) > 0;
}

/* ---- settings ---- */

long arn_gc_collect(int generation)
{
    struct arn_domain *domain = arn__domain_here();
    if (generation < 0 || generation >= ARN_GENERATIONS) {
        errno = EINVAL;
        return -1;
    }
    if (domain == NULL)
        return -1;
    arn__rc_drain_remote(domain);
    return domain->collector.running ? 0 : arn__cycle_collect(domain, (unsigned)generation, false);
}

/* The calling thread's; without memory, one that nobody uses. */
static struct collector *here(void)
{
    struct arn_domain *domain = arn__domain_here();
    return domain == NULL ? NULL : &domain->collector;
}

void arn_gc_enable(void)
{
    struct collector *collector = here();
    if (collector != NULL) {
        collector->disabled = false;
        set_due(collector);
    }
}

void arn_gc_disable(void)
{
    struct collector *collector = here();
    if (collector != NULL) {
        collector->disabled = true;
        set_due(collector);
    }
}

bool arn_gc_is_enabled(void)
{
    return !arn__domain->collector.disabled;
}

int arn_gc_set_threshold(const size_t thresholds[ARN_GENERATIONS])
{
    struct collector *collector = here();
    if (collector == NULL)
        return -1;
    memcpy(collector->thresholds, thresholds, sizeof collector->thresholds);
    memset(collector->rests, 0, sizeof collector->rests);
    set_due(collector);
    return 0;
}

void arn_gc_get_threshold(size_t thresholds[ARN_GENERATIONS])
{
    const struct collector *collector = here();
    if (collector != NULL)
        memcpy(thresholds, collector->thresholds, sizeof collector->thresholds);
}

void arn_gc_get_count(size_t counts[ARN_GENERATIONS])
{
    memcpy(counts, arn__domain->collector.counts, sizeof arn__domain->collector.counts);
}

void arn_gc_stats(struct arn_gc_stats stats[ARN_GENERATIONS])
{
    memcpy(stats, arn__domain->collector.stats, sizeof arn__domain->collector.stats);
}

/* ---- watchers ---- */

int arn_gc_callback(arn_gc_watcher *watcher, void *context)
{
    struct collector *collector = here();
    struct watcher *watchers =
        collector == NULL
            ? NULL
            : arn_reallocarray(collector->watchers, collector->watcher_count + 1, sizeof *watchers);
    if (watchers == NULL)
        return -1;
    watchers[collector->watcher_count++] = (struct watcher){watcher, context};
    collector->watchers = watchers;
    return 0;
}

bool arn_gc_callback_remove(arn_gc_watcher *watcher, void *context)
{
    struct collector *collector = &arn__domain->collector;
    for (size_t i = 0; i < collector->watcher_count; i++) {
        if (collector->watchers[i].call == watcher && collector->watchers[i].context == context) {
            memmove(&collector->watchers[i], &collector->watchers[i + 1],
                    (--collector->watcher_count - i) * sizeof *collector->watchers);
            return true;
        }
    }
    return false;
}

/* ---- what is saved ---- */

void arn_gc_set_debug(unsigned flags)
{
    struct collector *collector = here();
    if (collector != NULL)
        collector->debug = flags;
}

unsigned arn_gc_get_debug(void)
{
    return arn__domain->collector.debug;
}

void *const *arn_garbage(size_t *count)
{
    *count = arn__domain->collector.garbage_count;
    return arn__domain->collector.garbage;
}

void arn_garbage_clear(void)
{
    struct collector *collector = &arn__domain->collector;
    void **garbage = collector->garbage;
    size_t count = collector->garbage_count;
    collector->garbage = NULL;
    collector->garbage_count = collector->garbage_room = 0;
    for (size_t i = 0; i < count; i++)
        arn_decref(garbage[i]);
    arn_free(garbage);
}

/* ---- frozen objects ---- */

static void freeze(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)pool, (void)slot, (void)context;
    struct arn__header *header = arn__header(object);
    if (!(arn__kind_of(header) & OBJECT_UNTRACKED))
        arn__change_kind(header, 0, OBJECT_GENERATION); /* all bits: GENERATION_FROZEN */
}

static void unfreeze(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)slot, (void)context;
    struct arn__header *header = arn__header(object);
    uint32_t kind = arn__kind_of(header);
    if (arn__generation(kind) != GENERATION_FROZEN)
        return;
    arn__change_kind(header, OBJECT_GENERATION, GENERATION_OLD << GENERATION_SHIFT);
    arn__roster_note(pool->bin->roster, pool, kind & OBJECT_SHARED ? EVENT_SHARED : EVENT_SUSPECT);
}

static void count_frozen(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)pool, (void)slot;
    *(size_t *)context += arn__generation(arn__kind_of(arn__header(object))) == GENERATION_FROZEN;
}

void arn_gc_freeze(void)
{
    struct arn_domain *domain = arn__domain;
    arn__domain_each(domain, freeze, NULL);
    memset(domain->collector.counts, 0,
           domain->shelf_count > 0 ? sizeof domain->collector.counts : 0);
}

void arn_gc_unfreeze(void)
{
    arn__domain_each(arn__domain, unfreeze, NULL);
}

size_t arn_gc_freeze_count(void)
{
    size_t count = 0;
    arn__domain_each(arn__domain, count_frozen, &count);
    return count;
}
