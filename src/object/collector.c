/* collector.c - the collector's settings, and its pace.
 *
 * What has hardly any garbage is looked at less: after a collection of young objects that found few, all but
 * one of 2, 4, ... 32 batches become old unseen; after such a full one, the next waits until the objects
 * have become 1.5, 2, 3, 5, 9 times as many instead of a quarter more. One that finds many starts anew.
 */
#include "collector.h"

#include <errno.h>
#include <string.h>

#include "alloc.h"
#include "cycle.h"
#include "rc.h"

enum {
    PATIENCE_MOST = 5,
    FEW = 16,              /* one in so many */
    EXHAUSTIVE_EVERY = 10, /* automatic full passes */
    GROWTH_PARTS = 4,      /* objects become a quarter more */
};

/* ---- when ---- */

static void set_due(struct collector *collector)
{
    collector->due =
        collector->disabled || collector->thresholds[0] == 0 ? SIZE_MAX : collector->thresholds[0];
}

static void adapt(unsigned *patience, size_t examined, size_t collected)
{
    if (collected * FEW >= examined)
        *patience = 0;
    else if (*patience < PATIENCE_MOST)
        ++*patience;
}

static bool full_is_due(const struct arn_domain *domain)
{
    const struct collector *collector = &domain->collector;
    size_t quarters = (size_t)1 << collector->full_patience;
    return collector->thresholds[2] > 0 && collector->counts[2] >= collector->thresholds[2] &&
           domain->objects - domain->objects * quarters / (GROWTH_PARTS + quarters) >=
               collector->objects_at_full;
}

static void collect_full(struct arn_domain *domain)
{
    struct collector *collector = &domain->collector;
    bool suspects = ++collector->fulls % EXHAUSTIVE_EVERY != 0;
    size_t before = collector->stats[GENERATION_OLD].examined;
    long collected = arn__cycle_collect(domain, GENERATION_OLD, suspects);
    if (collected >= 0)
        adapt(&collector->full_patience, collector->stats[GENERATION_OLD].examined - before,
              (size_t)collected);
}

static void collect_young(struct arn_domain *domain, unsigned oldest)
{
    struct collector *collector = &domain->collector;
    size_t before = collector->stats[oldest].examined;
    long collected = arn__cycle_collect(domain, oldest, false);
    if (collected < 0)
        return;
    adapt(&collector->patience, collector->stats[oldest].examined - before, (size_t)collected);
    collector->unseen_batches = (1u << collector->patience) - 1;
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
        collect_full(domain);
    } else if (collector->unseen_batches > 0) {
        collector->unseen_batches--;
        arn__cycle_pass_over_young(domain);
        collector->counts[oldest + 1]++;
        for (unsigned i = 0; i <= oldest; i++)
            collector->counts[i] = 0;
    } else {
        collect_young(domain, oldest);
    }
    /* Without memory for it, not again for every object. */
    if (collector->counts[0] >= collector->due)
        collector->counts[0] = 0;
    errno = saved;
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
    collector->patience = collector->full_patience = collector->unseen_batches = 0;
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
    if (!(header->kind & OBJECT_UNTRACKED))
        header->kind |= OBJECT_GENERATION | OBJECT_CALM; /* all bits: GENERATION_FROZEN */
}

static void unfreeze(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)slot, (void)context;
    struct arn__header *header = arn__header(object);
    if (arn__generation(header->kind) != GENERATION_FROZEN)
        return;
    header->kind = (header->kind & ~(OBJECT_GENERATION | OBJECT_CALM)) | GENERATION_OLD
                                                                             << GENERATION_SHIFT;
    arn__domain_note(pool->bin->domain, pool, EVENT_SUSPECT);
}

static void count_frozen(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)pool, (void)slot;
    *(size_t *)context += arn__generation(arn__header(object)->kind) == GENERATION_FROZEN;
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
