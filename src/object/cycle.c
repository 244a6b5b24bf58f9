/* cycle.c - trial deletion over typed pools.
 *
 * A pass has candidates: the tracked objects of some generations, or what may have lost its outside
 * references and whatever that leads to; shared ones only in full passes, and while no other thread
 * touches any. Each has an entry of 4 bytes outside the heap:
 *
 *     0                    no candidate
 *     1 + n                n references are not accounted for yet
 *     REACHED | link       something outside leads here; the link is of the list of those whose references
 *                          are still to be followed
 *
 * so that following them takes no memory and no stack. `select` enters the counts; `subtract` takes off
 * what candidates refer to among themselves; what is left above 0 is referred to from outside, and `mark`
 * follows from there. What it does not reach is garbage: from there on that is a bit for each, which is in
 * a cache where entries are not. Of the heap, nothing is written until then.
 *
 * While the functions of the program run (callbacks, finalizers, clear functions), each piece of garbage is
 * held by one reference of the collector's, and no pool leaves its domain.
 */
#include "cycle.h"

#include <errno.h>

#include "alloc.h"
#include "count.h"
#include "diag.h"
#include "os.h"
#include "pass.h"
#include "rc.h"
#include "traced.h"
#include "weak.h"
#include "world.h"

/* Shared ones count as of the oldest generation, and are never calm. */
static inline bool may_be_candidate(const struct pass *pass, uint32_t kind, int32_t count)
{
    return !(kind & pass->barred) && count != 0 && !arn__is_immortal(count) &&
           arn__generation(kind) != GENERATION_FROZEN;
}

/* ---- selecting ---- */

/* At most what is not REACHED: so many references there are not. */
static uint32_t entry_of(int32_t count)
{
    uint32_t entry = 1 + arn__references(count);
    return entry < REACHED ? entry : REACHED - 1;
}

static void select_object(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    struct pass *pass = context;
    uint32_t kind = arn__kind_of(arn__header(object));
    int32_t count = arn__count_of(arn__header(object));
    if (may_be_candidate(pass, kind, count) && arn__generation(kind) <= pass->oldest) {
        arn__pass_enter(pass, pool->pass_idx << SLOT_BITS | slot, entry_of(count));
        pass->selected++;
    }
}

static void select_pool(struct pass *pass, char *base)
{
    struct descriptor *pool = arn__descriptor(base);
    if (pool->bin->type->info.shape == ARN_LEAF)
        return;
    arn__pass_join(pass, pool, base);
    arn__objects_each(pool, base, select_object, pass);
}

static void select_young(struct pass *pass)
{
    unsigned events = pass->oldest == 0 ? EVENT_NEW : EVENT_YOUNG;
    for (uint32_t i = 0; i < pass->domain->roster.young_count; i++) {
        char *base = pass->domain->roster.young[i];
        if (arn__descriptor(base)->events & events)
            select_pool(pass, base);
    }
}

static void select_all(struct pass *pass)
{
    for (uint32_t i = 0; i < pass->domain->roster.pool_count; i++)
        select_pool(pass, pass->domain->roster.pools[i]);
}

/* ---- following references ---- */

/* An object that is in no cache takes as long as a hundred instructions, and what is reached lies all over
 * the heap: so it is asked for when it joins the queue, and looked at when its turn comes. After Cher,
 * Hosking and Vitek, "Software Prefetching for Mark-Sweep Garbage Collection" (2004). */
static inline void enqueue(struct pass *pass, char *object)
{
    __builtin_prefetch(object);
    pass->queue[(pass->queue_first + pass->queue_count++) % QUEUE_MOST] = object;
}

/* Its references are to be followed. */
static inline void push(struct pass *pass, uint32_t *entry, uint32_t index, void *object)
{
    if (pass->queue_count < QUEUE_MOST) {
        *entry = REACHED;
        enqueue(pass, object);
        return;
    }
    *entry = REACHED | pass->list;
    pass->list = index;
}

/* NULL: there is none. */
static inline char *pop(struct pass *pass)
{
    if (pass->list != 0 && pass->queue_count < QUEUE_MOST) {
        uint32_t index = pass->list;
        pass->list = pass->entries[index] & ~REACHED;
        enqueue(pass, arn__pass_object(pass, index));
    }
    if (pass->queue_count == 0)
        return NULL;
    char *object = pass->queue[pass->queue_first];
    pass->queue_first = (pass->queue_first + 1) % QUEUE_MOST;
    pass->queue_count--;
    return object;
}

static inline __attribute__((always_inline)) void follow(struct pass *pass, arn_visit *visit)
{
    for (char *object; (object = pop(pass)) != NULL;)
        arn__traverse(arn__typed_pool(object)->bin->type, object, visit, pass);
}

/* ---- selecting suspects ---- */

/* A candidate that is not calm, or can be reached from one: its count is entered last. */
static void discover(void *object, void *context)
{
    struct pass *pass = context;
    struct descriptor *pool = arn__typed_pool(object);
    if (!arn__holds_objects(pool) || pool->bin->domain != pass->domain ||
        pool->bin->type->info.shape == ARN_LEAF)
        return;
    const struct arn__header *header = arn__header(object);
    if (!may_be_candidate(pass, arn__kind_of(header), arn__count_of(header)))
        return;
    if (pool->pass_idx == 0)
        arn__pass_join(pass, pool, arn__typed_pool_base(pool->bin, object));
    uint32_t index = pool->pass_idx << SLOT_BITS | arn__slot_of(pool->bin, object);
    if (pass->entries[index] != 0)
        return;
    arn__pass_enter(pass, index, REACHED);
    push(pass, &pass->entries[index], index, object);
    pass->selected++;
}

static void discover_uncalm(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)pool, (void)slot;
    if (!(arn__kind_of(arn__header(object)) & OBJECT_CALM))
        discover(object, context);
}

static void enter_count(struct pass *pass, const struct candidate *candidate)
{
    (void)pass;
    *candidate->entry = entry_of(arn__count_of(arn__header(candidate->object)));
}

static void select_suspects(struct pass *pass)
{
    for (uint32_t i = 0; i < pass->domain->roster.pool_count; i++) {
        char *base = pass->domain->roster.pools[i];
        struct descriptor *pool = arn__descriptor(base);
        if (pool->events & EVENTS)
            arn__objects_each(pool, base, discover_uncalm, pass);
    }
    follow(pass, discover);
    arn__pass_sweep(pass, pass->candidates, enter_count);
}

/* ---- references that wait ---- */

/* Objects refer to others all over the heap: neither the descriptor of the pool nor the entry is in a cache,
 * as like as not. So a few references are collected, and of all of them the one is asked for and then the
 * other, before the first is looked at. */

/* True: no more, they are to be looked at. */
static inline bool wait(struct pass *pass, void *referent)
{
    __builtin_prefetch(arn__descriptor(referent));
    pass->waiting[pass->waiting_count++] = referent;
    return pass->waiting_count == WAITING_MOST;
}

struct waiter {
    void *referent;
    uint32_t index; /* 0: it takes no part */
};

/* Nobody waits any more. Returns how many did; `word` is what is asked for of an index. */
static inline __attribute__((always_inline)) unsigned
take_waiting(struct pass *pass, struct waiter waiters[WAITING_MOST],
             const void *(*word)(const struct pass *pass, uint32_t index))
{
    unsigned count = pass->waiting_count;
    for (unsigned i = 0; i < count; i++) {
        uint32_t index = arn__pass_index(pass, pass->waiting[i]);
        waiters[i] = (struct waiter){pass->waiting[i], index};
        __builtin_prefetch(word(pass, index));
    }
    pass->waiting_count = 0;
    return count;
}

static const void *entry_at(const struct pass *pass, uint32_t index)
{
    return &pass->entries[index];
}

static const void *garbage_at(const struct pass *pass, uint32_t index)
{
    return &pass->garbage[index >> 6];
}

/* ---- subtracting and marking ---- */

static void subtract_waiting(struct pass *pass)
{
    struct waiter waiters[WAITING_MOST];
    unsigned count = take_waiting(pass, waiters, entry_at);
    for (unsigned i = 0; i < count; i++) {
        uint32_t *entry = &pass->entries[waiters[i].index]; /* of index 0, there is 0 */
        if (*entry == 0 || *entry >= REACHED)
            continue;
        if (__builtin_expect(*entry == 1, 0))
            arn__misuse_of("arn_gc_collect", waiters[i].referent,
                           "referred to more often than counted",
                           arn__typed_pool(waiters[i].referent)->bin->type_name);
        else
            --*entry;
    }
}

static void subtract_reference(void *referent, void *context)
{
    struct pass *pass = context;
    if (wait(pass, referent))
        subtract_waiting(pass);
}

static void subtract(struct pass *pass, const struct candidate *candidate)
{
    arn__traverse(candidate->pool->bin->type, candidate->object, subtract_reference, pass);
}

/* From the counts of those of `bits` what these refer to. */
static void subtract_all(struct pass *pass, const uint64_t *bits)
{
    arn__pass_sweep(pass, bits, subtract);
    subtract_waiting(pass);
}

static void reach_waiting(struct pass *pass)
{
    struct waiter waiters[WAITING_MOST];
    unsigned count = take_waiting(pass, waiters, entry_at);
    for (unsigned i = 0; i < count; i++) {
        uint32_t *entry = &pass->entries[waiters[i].index];
        if (*entry == 0 || *entry >= REACHED)
            continue;
        if (waiters[i].index > pass->at) {
            *entry = 2; /* as good as referred to from outside: the sweep will come by */
            continue;
        }
        pass->reached++;
        push(pass, entry, waiters[i].index, waiters[i].referent);
    }
}

static void reach(void *referent, void *context)
{
    struct pass *pass = context;
    if (wait(pass, referent))
        reach_waiting(pass);
}

/* What lies ahead is left to the sweep: so most objects are visited in order of addresses. */
static void mark(struct pass *pass, const struct candidate *candidate)
{
    if (*candidate->entry == 1 || *candidate->entry >= REACHED)
        return;
    *candidate->entry = REACHED;
    pass->reached++;
    pass->at = candidate->index;
    arn__traverse(candidate->pool->bin->type, candidate->object, reach, pass);
    follow(pass, reach);
}

static void mark_all(struct pass *pass)
{
    arn__pass_sweep(pass, pass->candidates, mark);
    pass->at = UINT32_MAX; /* nothing lies ahead any more */
    while (pass->waiting_count > 0) {
        reach_waiting(pass);
        follow(pass, reach);
    }
}

static void note_garbage(struct pass *pass, const struct candidate *candidate)
{
    if (*candidate->entry < REACHED)
        pass->garbage[candidate->index >> 6] |= (uint64_t)1 << (candidate->index & 63);
}

/* ---- garbage ---- */

static void detach_weak(struct pass *pass, const struct candidate *candidate)
{
    uint32_t kind = arn__kind_of(arn__header(candidate->object));
    pass->found_shared |= (kind & OBJECT_SHARED) != 0;
    if (kind & OBJECT_WEAK) {
        arn__weak_detach(pass->domain, candidate->object, &pass->detached);
        pass->called = true;
    }
}

static void detach_all_weak(struct pass *pass)
{
    pass->detached = NULL;
    arn__pass_sweep(pass, pass->garbage, detach_weak);
}

static void hold(struct pass *pass, const struct candidate *candidate)
{
    (void)pass;
    arn_incref(candidate->object);
}

static void finalize(struct pass *pass, const struct candidate *candidate)
{
    struct arn_type *type = candidate->pool->bin->type;
    if (type->info.finalize != NULL &&
        !(arn__kind_of(arn__header(candidate->object)) & OBJECT_FINALIZED)) {
        arn__rc_finalize(type, candidate->object);
        pass->called = true;
    }
}

/* Once the program's functions have run: what is referred to from outside now lives on, and what that leads
 * to. Those who live are no garbage, and not the collector's any more. */

static void enter_count_again(struct pass *pass, const struct candidate *candidate)
{
    int32_t count = arn__count_of(arn__header(candidate->object));
    bool is_known = count > 0 || (pass->shared && !arn__is_immortal(count));
    /* 1 is the collector's. Immortal by now, or shared: referred to from outside. */
    *candidate->entry = is_known ? arn__references(count) : REACHED - 1;
}

static void let_go(void *referent, void *context)
{
    struct pass *pass = context;
    uint32_t index = arn__pass_index(pass, referent);
    if (index == 0 || !arn__pass_is_garbage(pass, index))
        return;
    arn__pass_is_no_garbage(pass, index);
    push(pass, &pass->entries[index], index, referent);
    pass->resurrected++;
    if (arn__count_of(arn__header(referent)) > 0)
        arn__header(referent)->count--;
    else
        arn_decref(referent);
}

static void resurrect(struct pass *pass, const struct candidate *candidate)
{
    if (*candidate->entry == 1)
        return;
    let_go(candidate->object, pass);
    follow(pass, let_go);
}

/* Finalizers may have made weak references to what they left, and given them to other threads. */
static void keep_resurrected(struct pass *pass)
{
    bool releasing = arn__rc_hold_back(pass->domain);
    pass->shared = pass->shared && arn__world_stop();
    arn__pass_sweep(pass, pass->garbage, enter_count_again);
    subtract_all(pass, pass->garbage);
    arn__pass_sweep(pass, pass->garbage, resurrect);
    detach_all_weak(pass);
    arn__world_resume();
    arn__rc_go_on(pass->domain, releasing);
    arn__weak_call_back(pass->detached);
    pass->collected -= pass->resurrected;
}

/* Room for all that was found; false: no memory. */
static bool make_room_for_saved(struct pass *pass)
{
    struct collector *collector = &pass->domain->collector;
    size_t wanted = collector->garbage_count + pass->collected;
    if (wanted <= collector->garbage_room)
        return true;
    void **garbage = arn_reallocarray(collector->garbage, wanted, sizeof *garbage);
    if (garbage == NULL)
        return false;
    collector->garbage = garbage;
    collector->garbage_room = wanted;
    return true;
}

/* The collector's reference is the list's from here on. */
static void save(struct pass *pass, const struct candidate *candidate)
{
    struct collector *collector = &pass->domain->collector;
    collector->garbage[collector->garbage_count++] = candidate->object;
}

static void drop_waiting(struct pass *pass)
{
    struct waiter waiters[WAITING_MOST];
    unsigned count = take_waiting(pass, waiters, garbage_at);
    for (unsigned i = 0; i < count; i++) {
        if (!arn__pass_is_garbage(pass, waiters[i].index))
            arn_decref(waiters[i].referent);
    }
}

static void drop_outside(void *referent, void *context)
{
    struct pass *pass = context;
    if (wait(pass, referent))
        drop_waiting(pass);
}

/* The references to what is no garbage. */
static void drop_references(struct pass *pass, const struct candidate *candidate)
{
    struct arn_type *type = candidate->pool->bin->type;
    if (type->info.shape == ARN_CUSTOM)
        type->info.clear(candidate->object);
    else
        arn__traverse(type, candidate->object, drop_outside, pass);
}

static void free_object(struct pass *pass, const struct candidate *candidate)
{
    (void)pass;
    if (arn__kind_of(arn__header(candidate->object)) & OBJECT_TRACED)
        arn__object_untrace(candidate->object);
    arn__rc_free(candidate->pool, candidate->object);
}

/* Returns how many were released or saved. */
static size_t dispose(struct pass *pass, bool saves)
{
    arn__pass_sweep(pass, pass->garbage, hold);
    arn__weak_call_back(pass->detached);
    if (pass->finalizes)
        arn__pass_sweep(pass, pass->garbage, finalize);
    if (pass->called)
        keep_resurrected(pass);
    if (saves && make_room_for_saved(pass)) { /* again: a finalizer may have emptied the list */
        arn__pass_sweep(pass, pass->garbage, save);
    } else {
        arn__pass_sweep(pass, pass->garbage, drop_references);
        drop_waiting(pass);
        arn__pass_sweep(pass, pass->garbage, free_object);
    }
    return pass->collected;
}

/* ---- survivors ---- */

struct survey {
    struct pass *pass;
    unsigned events;
};

/* One generation older, and calm after a full pass; garbage is older, too, for it may be resurrected, and
 * a suspect then. What was no candidate stays as it is, and what never will be one is no event. A header is
 * written only if that changes it: quiet pages stay shared with a parent. */
static void promote(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    struct survey *survey = context;
    struct pass *pass = survey->pass;
    struct arn__header *header = arn__header(object);
    uint32_t kind = arn__kind_of(header);
    unsigned generation = arn__generation(kind);
    if (kind & (OBJECT_UNTRACKED | OBJECT_SHARED)) {
        if (!(kind & OBJECT_UNTRACKED) && generation != GENERATION_FROZEN &&
            !arn__is_immortal(arn__count_of(header)))
            survey->events |= EVENT_SHARED;
        return;
    }
    if (arn__is_immortal(header->count))
        return;
    uint32_t entry = pass->entries[pool->pass_idx << SLOT_BITS | slot];
    if (entry != 0 && generation <= pass->oldest) {
        generation = generation < GENERATION_OLD ? generation + 1 : GENERATION_OLD;
        if (pass->oldest == GENERATION_OLD) {
            generation = GENERATION_OLD;
            if (entry >= REACHED)
                arn__calm(header);
            else
                arn__uncalm(header);
            kind = header->kind;
        }
        kind = (kind & ~OBJECT_GENERATION) | generation << GENERATION_SHIFT;
        if (kind != header->kind)
            header->kind = kind;
    }
    static const unsigned events[] = {EVENT_NEW, EVENT_MIDDLE, EVENT_SUSPECT, 0};
    if (!(kind & OBJECT_CALM))
        survey->events |= events[generation];
}

/* Where there was no event, all candidates are old and calm already; garbage is not when it is held. */
static void promote_all(struct pass *pass)
{
    for (uint32_t i = 1; i <= pass->pools; i++) {
        char *base = pass->bases[i];
        struct descriptor *pool = arn__descriptor(base);
        struct survey survey = {.pass = pass};
        if (!(pool->events & EVENTS))
            continue;
        arn__objects_each(pool, base, promote, &survey);
        if (pool == pool->bin->current)
            survey.events |= arn__birth_events(pool->bin->type);
        arn__roster_forget(&pass->domain->roster, pool, EVENTS & ~survey.events);
        if (survey.events != 0)
            arn__roster_note(&pass->domain->roster, pool, survey.events);
    }
}

static void grow_old(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)pool, (void)slot, (void)context;
    struct arn__header *header = arn__header(object);
    if (!(arn__kind_of(header) & (OBJECT_UNTRACKED | OBJECT_SHARED)) &&
        arn__generation(header->kind) < GENERATION_OLD)
        header->kind = (header->kind & ~OBJECT_GENERATION) | GENERATION_OLD << GENERATION_SHIFT;
}

void arn__cycle_pass_over_young(struct arn_domain *domain)
{
    for (uint32_t i = domain->roster.young_count; i-- > 0;) {
        char *base = domain->roster.young[i];
        struct descriptor *pool = arn__descriptor(base);
        arn__objects_each(pool, base, grow_old, NULL);
        arn__roster_note(&domain->roster, pool, EVENT_SUSPECT);
        arn__roster_forget(&domain->roster, pool,
                           pool == pool->bin->current ? EVENT_MIDDLE : EVENT_YOUNG);
    }
}

/* ---- a collection ---- */

static void tell(struct arn_domain *domain, const struct arn_gc_info *info)
{
    for (size_t i = 0; i < domain->collector.watcher_count; i++)
        domain->collector.watchers[i].call(info, domain->collector.watchers[i].context);
}

static void account(struct collector *collector, const struct pass *pass, size_t collected,
                    uint64_t ns)
{
    struct arn_gc_stats *stats = &collector->stats[pass->oldest];
    stats->collections++;
    stats->collected += collected;
    stats->resurrected += pass->resurrected;
    stats->examined += pass->selected;
    stats->ns += ns;
    if (ns > stats->longest_ns)
        stats->longest_ns = ns;
}

static void find_garbage(struct pass *pass, bool suspects)
{
    if (suspects)
        select_suspects(pass);
    else if (pass->oldest < GENERATION_OLD)
        select_young(pass);
    else
        select_all(pass);
    subtract_all(pass, pass->candidates);
    mark_all(pass);
    pass->collected = pass->selected - pass->reached;
    if (pass->collected > 0)
        arn__pass_sweep(pass, pass->candidates, note_garbage);
}

/* Returns how many were released or saved; -1: no memory. */
static long collect(struct pass *pass, bool suspects)
{
    bool saves = pass->domain->collector.debug & ARN_GC_SAVE_ALL;
    /* Others go on when they cannot come by what is garbage any more. */
    pass->shared = pass->oldest == GENERATION_OLD && pass->domain->roster.shared_count > 0 &&
                   arn__world_stop();
    pass->barred = OBJECT_DEAD | OBJECT_UNTRACKED | (pass->shared ? 0 : OBJECT_SHARED);
    find_garbage(pass, suspects);
    bool has_room = !saves || make_room_for_saved(pass);
    if (has_room && pass->collected > 0)
        detach_all_weak(pass);
    arn__world_resume();
    if (!has_room)
        return -1;
    pass->shared = pass->found_shared;
    /* First: what the program's functions then let go of is noted for the next. */
    promote_all(pass);
    return pass->collected > 0 ? (long)dispose(pass, saves) : 0;
}

long arn__cycle_collect(struct arn_domain *domain, unsigned oldest, bool suspects)
{
    struct collector *collector = &domain->collector;
    struct pass pass;
    uint64_t start_ns = arn__os_now_ns();
    bool young = oldest < GENERATION_OLD;
    long collected = -1;
    collector->running = domain->roster.stays = true;
    tell(domain, &(struct arn_gc_info){.generation = (int)oldest});
    if (arn__pass_begin(&pass, domain,
                        young ? domain->roster.young_count : domain->roster.pool_count,
                        "arn_gc_collect")) {
        pass.oldest = oldest;
        collected = collect(&pass, suspects);
        arn__pass_end(&pass);
        if (!young)
            arn__pass_give_back(collector);
    }
    if (collected > 0 || !young)
        arn__typed_pools_drop_empty(&domain->roster);
    if (collected >= 0) {
        for (unsigned i = 0; i <= oldest; i++)
            collector->counts[i] = 0;
        if (young) {
            collector->counts[oldest + 1]++;
        } else {
            collector->objects_at_full = domain->objects;
            collector->bytes_at_full = domain->roster.held_bytes;
        }
        account(collector, &pass, (size_t)collected, arn__os_now_ns() - start_ns);
    }
    tell(domain, &(struct arn_gc_info){.ends = true,
                                       .generation = (int)oldest,
                                       .collected = collected < 0 ? 0 : (size_t)collected});
    collector->running = domain->roster.stays = false;
    if (domain->roster.emptied)
        arn__typed_pools_drop_empty(&domain->roster);
    if (collected < 0)
        errno = ENOMEM;
    return collected;
}
