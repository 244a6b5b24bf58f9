/* heap.c - refill, remote frees, collection. Order of refill: see arn__heap_refill. */
#include "heap.h"

#include <limits.h>
#include <string.h>
#include <sys/single_threaded.h>

#include "arena.h"
#include "diag.h"
#include "purge.h"
#include "quarantine.h"
#include "shard.h"

enum { LOOKED_AT = 4, OWN_OFTEN = 3 };

_Atomic bool arn__heaps_many;
_Atomic size_t arn__heaps_in_use;

static const struct size_class *shape_of(const struct descriptor *pool)
{
    return &arn__size_classes[pool->class_idx];
}

void arn__heap_init(struct heap *heap)
{
    const size_t units = sizeof heap->lists[0] / 8;
    for (unsigned c = 0, i = 0; c < CLASSES; c++) {
        heap->lists[c].free.first = arn__link_end();
        for (; i < arn__size_classes[c].block_bytes >> QUANTUM_SHIFT; i++)
            heap->list_index[i] = (uint8_t)(c * units);
    }
}

/* ---- the classes of a heap's pools ----
 *
 * Most threads have pools of a few: as one ends, the others are not looked at. */

static void note_class(struct heap *heap, unsigned class_idx)
{
    heap->classes[class_idx / 64] |= (uint64_t)1 << (class_idx % 64);
}

/* The first one from `class_idx` on; CLASSES: there is none. */
static unsigned next_class(const struct heap *heap, unsigned class_idx)
{
    while (class_idx < CLASSES) {
        uint64_t left = heap->classes[class_idx / 64] >> (class_idx % 64);
        if (left != 0)
            return class_idx + (unsigned)__builtin_ctzll(left);
        class_idx = (class_idx / 64 + 1) * 64;
    }
    return CLASSES;
}

/* ---- quarantine ---- */

void arn__quarantine_check(struct block *block, const char *function)
{
    if (block->link != 0)
        arn__misuse(function, block,
                    "overwritten after it was freed, or past the end of the block before");
    block->link = 0;
}

static void release_quarantine(struct heap *heap)
{
    struct block **end = heap->quarantine + QUARANTINE_PLACES;
    for (struct block **place = heap->quarantine; place != end; place++) {
        struct block *block = *place;
        if (block == NULL)
            continue;
        *place = NULL;
        arn__quarantine_check(block, "free");
        arn__heap_free(heap, block);
    }
}

/* ---- lists of a heap's pools ---- */

static void link_pool(struct descriptor **first, struct descriptor *pool)
{
    pool->prev = NULL;
    pool->next = *first;
    if (pool->next != NULL)
        pool->next->prev = pool;
    *first = pool;
}

static void unlink_pool(struct descriptor **first, struct descriptor *pool)
{
    if (pool->prev != NULL)
        pool->prev->next = pool->next;
    else
        *first = pool->next;
    if (pool->next != NULL)
        pool->next->prev = pool->prev;
    pool->next = pool->prev = NULL;
}

static void link_partial(struct heap *heap, struct descriptor *pool)
{
    note_class(heap, pool->class_idx);
    link_pool(&heap->partial[pool->class_idx], pool);
    heap->held_slices += shape_of(pool)->slices;
}

static void unlink_partial(struct heap *heap, struct descriptor *pool)
{
    unlink_pool(&heap->partial[pool->class_idx], pool);
    heap->held_slices -= shape_of(pool)->slices;
}

static void release(struct descriptor *pool)
{
    ARN__ASSERT(pool->local.needed == 0, "a pool is released when no block is out");
    arn__pool_release(pool);
    arn__purge_settle();
}

/* ---- empty pools ----
 *
 * A pool that empties is soon needed again, as like as not, if this thread allocates from the class: a few
 * are kept whole, to be taken without carving. Before a heap takes new slices, it gives up one that it
 * keeps for another class. A pool of a class that this thread allocates nothing of is for other threads. */

static unsigned most_empty(void)
{
    size_t heaps = atomic_load_explicit(&arn__heaps_in_use, memory_order_relaxed);
    return heaps <= MANY_HEAPS ? EMPTY_MOST_SLICES : (unsigned)(EMPTY_ALL_SLICES / heaps);
}

static void keep_empty(struct heap *heap, struct descriptor *pool)
{
    if (heap->current[pool->class_idx] == NULL) {
        arn__shard_put_empty(pool);
        return;
    }
    if (heap->empty_slices + shape_of(pool)->slices > most_empty()) {
        release(pool);
        return;
    }
    /* Not 0: who is late to notice that it emptied leaves it alone. */
    pool->local.needed = NEEDED_CURRENT;
    pool->next = heap->empty[pool->class_idx];
    heap->empty[pool->class_idx] = pool;
    heap->empty_slices += shape_of(pool)->slices;
}

static struct descriptor *take_empty(struct heap *heap, unsigned class_idx)
{
    struct descriptor *pool = heap->empty[class_idx];
    if (pool == NULL)
        return NULL;
    heap->empty[class_idx] = pool->next;
    pool->next = NULL;
    pool->local.needed = 0;
    heap->empty_slices -= shape_of(pool)->slices;
    return pool;
}

static void release_an_empty(struct heap *heap)
{
    for (unsigned i = 0; heap->empty_slices > 0 && i < CLASSES; i++) {
        unsigned c = heap->next_empty;
        struct descriptor *pool = take_empty(heap, c);
        if (pool != NULL) {
            release(pool);
            return;
        }
        heap->next_empty = (c + 1) % CLASSES;
    }
}

/* ---- full pools that rest ----
 *
 * A pool that fills is detached, for it must not be stranded with a thread that sleeps or ends; then
 * every free into it is an atomic operation. While there is no other thread it rests instead, and so it
 * does when its thread frees into it again: it is the heap's, frees into it take the fast path, and its
 * countdown ends when a threshold of its blocks is free. After a few such the next pools of the class rest at once, until
 * others are found to have freed into one: a thread that passes blocks on is to hold none. */

static bool is_alone(void)
{
    return __libc_single_threaded && !atomic_load_explicit(&arn__heaps_many, memory_order_relaxed);
}

static void set_resting(struct descriptor *pool, bool resting)
{
    /* relaxed: the bit is the owner's. */
    unsigned flags = atomic_load_explicit(&pool->kind_flags, memory_order_relaxed);
    flags = resting ? flags | POOL_RESTING : flags & ~(unsigned)POOL_RESTING;
    atomic_store_explicit(&pool->kind_flags, (uint8_t)flags, memory_order_relaxed);
}

static void begin_rest(struct heap *heap, struct descriptor *pool, unsigned freed)
{
    note_class(heap, pool->class_idx);
    set_resting(pool, true);
    pool->local.needed = shape_of(pool)->threshold - freed;
    link_pool(&heap->resting[pool->class_idx], pool);
    heap->held_slices += shape_of(pool)->slices;
}

static bool rest(struct heap *heap, struct descriptor *pool)
{
    bool alone = is_alone();
    if (!alone && (heap->held_slices >= HELD_MOST_SLICES || heap->held_most == 0 ||
                   heap->own_again[pool->class_idx] < OWN_OFTEN))
        return false;
    heap->rests_alone = heap->rests_alone || alone;
    begin_rest(heap, pool, 0);
    return true;
}

/* The countdown becomes that of any pool: the blocks that are out. */
static void end_rest(struct heap *heap, struct descriptor *pool)
{
    unsigned freed = shape_of(pool)->threshold - pool->local.needed;
    unlink_pool(&heap->resting[pool->class_idx], pool);
    heap->held_slices -= shape_of(pool)->slices;
    pool->local.needed = pool->carved - freed;
    set_resting(pool, false); /* last: who counts blocks meanwhile looks at their links */
}

/* ---- counting frees into a current pool ----
 *
 * Its list's countdown ends when it may be time for a sample (see sampled.h), or when all of the pool's blocks may be
 * back. Nothing else tells the latter of a current pool. Among many heaps, a thread that has freed all, or nearly all,
 * of what it had gives back what is more than a heap may have in empty pools: it may sleep from now on, and so may all
 * others. A thread that does so again and again would wait for the OS each time: it keeps them more and more often. */

enum {
    /* A sample is overdue: the countdown ends soon after, by when it has been taken. */
    FREES_SOON = 16,
    /* Looks at a pool as soon as it may be free, since its list was filled. The next one is after so many frees or
     * more. */
    LOOKS_SOON = 3,
    LOOK_FREES = 64,
};

static bool are_many(void)
{
    return atomic_load_explicit(&arn__heaps_in_use, memory_order_relaxed) > MANY_HEAPS;
}

/* Its list's countdown ends when it may be time for a sample, or after so many frees. */
static void arm(struct heap *heap, unsigned class_idx, uint32_t frees)
{
    int64_t until = heap->until_sampled;
    if (until != 0 && until < frees) /* 0: there are none */
        frees = until < 0 ? FREES_SOON : (uint32_t)until;
    heap->armed[class_idx] = heap->lists[class_idx].free.needed = frees;
}

void arn__heap_arm(struct heap *heap)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        if (heap->current[c] != NULL)
            arm(heap, c, NEEDED_CURRENT);
    }
}

static void set_idle(struct heap *heap, unsigned class_idx, bool idle)
{
    uint64_t *word = &heap->idle[class_idx / 64], bit = (uint64_t)1 << (class_idx % 64);
    unsigned slices = arn__size_classes[class_idx].slices;
    if (((*word & bit) != 0) == idle)
        return;
    *word ^= bit;
    heap->idle_slices += idle ? slices : 0u - slices;
}

/* One block of the list goes to the request for which it is filled: as many as are out then have to come back. */
static void note_filled(struct heap *heap, const struct descriptor *pool, unsigned listed)
{
    set_idle(heap, pool->class_idx, false);
    heap->looks[pool->class_idx] = 0;
    heap->listed[pool->class_idx] = listed - (listed > 0);
    arm(heap, pool->class_idx, are_many() ? pool->carved - listed + 1 : NEEDED_CURRENT);
}

/* ---- frees into pools that are not this heap's ---- */

/* To the shard, or detached if there is nothing to share, or released if it is empty. */
static void give_up(struct heap *heap, struct descriptor *pool)
{
    while (pool->local.first == arn__link_end() && pool->carved == shape_of(pool)->capacity) {
        if (arn__pool_detach(pool, arn__heap_number(heap)))
            return;
        pool->local.needed -= arn__pool_take_remote(pool);
    }
    if (pool->local.needed == 0)
        release(pool);
    else
        arn__shard_put(pool);
}

/* Of a class that this thread allocates nothing of, it keeps what it freed into last: nothing would make it
 * look what others have freed into the rest. */
static void hold_few(struct heap *heap, unsigned class_idx)
{
    struct descriptor *pool = heap->resting[class_idx];
    if (pool != NULL && (pool = pool->next) != NULL) {
        end_rest(heap, pool);
        give_up(heap, pool);
    }
    pool = heap->partial[class_idx];
    if (pool != NULL && (pool = pool->next) != NULL) {
        unlink_partial(heap, pool);
        give_up(heap, pool);
    }
}

/* A claimed pool, its free blocks in `local`. */
static void adopt(struct heap *heap, struct descriptor *pool, bool holds)
{
    unsigned class_idx = pool->class_idx;
    unsigned freed = pool->carved - pool->local.needed;
    if (pool->local.needed == 0) {
        arn__shard_put_empty(pool);
        return;
    }
    if (!holds) {
        arn__shard_put(pool);
        return;
    }
    if (ARN__PEEK(pool->filled_by) == arn__heap_number(heap) &&
        heap->own_again[class_idx] < OWN_OFTEN)
        heap->own_again[class_idx]++;
    arn__pool_set_owner(pool, arn__heap_number(heap));
    if (freed < shape_of(pool)->threshold)
        begin_rest(heap, pool, freed);
    else
        link_partial(heap, pool);
    if (heap->current[class_idx] == NULL)
        hold_few(heap, class_idx);
}

static void push_remote(struct heap *heap, struct descriptor *pool, struct block *block)
{
    unsigned class_idx = pool->class_idx; /* before the push: the pool may go with it */
    bool holds = arn__heap_may_hold(heap, pool);
    switch (arn__pool_push(pool, block, holds ? 1 : shape_of(pool)->threshold)) {
    case PUSH_CLAIMED:
        adopt(heap, pool, holds);
        break;
    case PUSH_EMPTIED:
        arn__shard_reap(arn__pool_base_of(block, class_idx), class_idx);
        break;
    case PUSH_DONE:
        break;
    }
}

bool arn__heap_knows_free(const struct heap *heap, const struct block *block)
{
    const struct descriptor *pool = arn__head(arn__descriptor(block));
    if (arn__pool_number(pool) != arn__heap_number(heap))
        return true;
    return arn__pool_lists(pool, pool->frees_to->first, block);
}

void arn__heap_free(struct heap *heap, struct block *block)
{
    struct descriptor *d = arn__descriptor(block);
    if (arn__pool_number(d) != arn__heap_number(heap))
        push_remote(heap, arn__head(d), block);
    else if (arn__heap_push_own(d, block))
        arn__heap_pool_emptied(heap, arn__head(d));
}

/* ---- refill ---- */

/* ---- the current pool of a class ---- */

static void note_extent(struct heap *heap, const struct descriptor *pool)
{
    heap->extents[pool->class_idx] = (struct extent){arn__pool_base(pool), pool->carved};
}

/* `listed`: the blocks in its list. */
static void begin_current(struct heap *heap, struct descriptor *pool, unsigned listed)
{
    struct free_list *list = &heap->lists[pool->class_idx].free;
    note_class(heap, pool->class_idx);
    heap->current[pool->class_idx] = pool;
    heap->current_slices += shape_of(pool)->slices;
    note_extent(heap, pool);
    list->first = pool->local.first;
    list->needed = NEEDED_CURRENT;
    pool->local.first = arn__link_end();
    pool->local.needed = NEEDED_CURRENT; /* who counts blocks looks at their links */
    arn__pool_set_frees_to(pool, list);
    note_filled(heap, pool, listed);
}

/* The heap's list returns to the pool. */
static void end_current(struct heap *heap, struct descriptor *pool)
{
    struct free_list *list = &heap->lists[pool->class_idx].free;
    set_idle(heap, pool->class_idx, false);
    heap->current_slices -= shape_of(pool)->slices;
    heap->current[pool->class_idx] = NULL;
    heap->extents[pool->class_idx] = (struct extent){NULL, 0};
    pool->local.first = list->first;
    list->first = arn__link_end();
    heap->listed[pool->class_idx] = 0;
    heap->armed[pool->class_idx] = list->needed;
    pool->local.needed = pool->carved - arn__pool_local_count(pool);
    arn__pool_set_frees_to(pool, &pool->local);
}

/* What others freed, else what the next page holds: how many blocks its list has then. */
static unsigned fill(struct descriptor *pool, bool *fresh)
{
    *fresh = false;
    if (pool->local.first != arn__link_end())
        return pool->carved - pool->local.needed;
    unsigned listed = arn__pool_take_remote(pool);
    if (listed == 0) {
        listed = arn__pool_carve(pool);
        *fresh = listed > 0 && arn__has_flag(pool, POOL_FRESH);
    }
    return listed;
}

static bool refill_current(struct heap *heap, struct descriptor *pool, bool *fresh)
{
    unsigned listed = fill(pool, fresh);
    if (listed == 0)
        return false;
    heap->lists[pool->class_idx].free.first = pool->local.first;
    pool->local.first = arn__link_end();
    note_extent(heap, pool);
    note_filled(heap, pool, listed);
    return true;
}

/* The fullest of the first few own pools: so that the others empty. */
static struct descriptor *take_partial(struct heap *heap, unsigned class_idx)
{
    struct descriptor *fullest = heap->partial[class_idx];
    if (fullest == NULL)
        return NULL;
    struct descriptor *pool = fullest->next;
    for (unsigned i = 1; pool != NULL && i < LOOKED_AT; pool = pool->next, i++) {
        if (pool->local.needed > fullest->local.needed)
            fullest = pool;
    }
    unlink_partial(heap, fullest);
    return fullest;
}

/* A pool that rests takes in what others freed, and becomes partial, or is given up. False: there is none
 * among the first `most`. */
static bool wake_one(struct heap *heap, unsigned class_idx, unsigned most)
{
    struct descriptor *pool = heap->resting[class_idx];
    for (unsigned i = 0; pool != NULL && i < most; pool = pool->next, i++) {
        unsigned taken = arn__pool_take_remote(pool);
        bool ended =
            pool->local.needed - 1 >= shape_of(pool)->threshold; /* see arn__free_emptied */
        if (taken == 0 && !ended)
            continue;
        if (taken > 0)
            heap->own_again[class_idx] = 0;
        end_rest(heap, pool);
        pool->local.needed -= taken;
        link_partial(heap, pool);
        if (pool->local.needed == 0)
            arn__heap_pool_emptied(heap, pool);
        return true;
    }
    return false;
}

static struct descriptor *own(struct heap *heap, struct descriptor *pool)
{
    if (pool != NULL)
        arn__pool_set_owner(pool, arn__heap_number(heap));
    return pool;
}

/* Looked at as pools are made: where several threads allocate, one that has much may hold much. All together may hold
 * twice what all have, each at most half. Where one alone allocates, others free what it has. */
static void measure_share(struct heap *heap)
{
    size_t heaps = atomic_load_explicit(&arn__heaps_in_use, memory_order_relaxed);
    size_t bytes = atomic_load_explicit(&arn__arena_totals.carved_bytes, memory_order_relaxed);
    size_t share = heaps < 2 ? 0 : 2 * (bytes / SLICE_BYTES) / (heaps < 4 ? 4 : heaps);
    if (share > HELD_SHARE_SLICES)
        share = HELD_SHARE_SLICES;
    if (heap->held_most > 0)
        heap->held_most = share > HELD_MOST_SLICES ? share : HELD_MOST_SLICES;
}

/* Of pools with free blocks the fullest of its own, or the shard's; else an empty pool of its own, or the shard's; else
 * a new one. NULL: no memory. */
static struct descriptor *take_pool(struct heap *heap, unsigned class_idx, bool *fresh)
{
    struct descriptor *pool;
    *fresh = false;
    if ((pool = take_partial(heap, class_idx)) == NULL &&
        (!wake_one(heap, class_idx, LOOKED_AT) || (pool = take_partial(heap, class_idx)) == NULL) &&
        (pool = own(heap, arn__shard_take(class_idx))) == NULL &&
        (pool = take_empty(heap, class_idx)) == NULL &&
        (pool = own(heap, arn__shard_take_empty(class_idx))) == NULL) {
        release_an_empty(heap);
        measure_share(heap);
        pool = arn__pool_create(class_idx, arn__heap_number(heap));
        *fresh = pool != NULL && arn__has_flag(pool, POOL_FRESH);
        arn__purge_settle();
    }
    return pool;
}

/* Current pool (remote word, next page), else another. */
static bool refill(struct heap *heap, unsigned class_idx, bool *fresh)
{
    struct descriptor *pool = heap->current[class_idx];
    if (pool != NULL) {
        if (refill_current(heap, pool, fresh))
            return true;
        end_current(heap, pool);
        if (!rest(heap, pool) && !arn__pool_detach(pool, arn__heap_number(heap))) {
            begin_current(heap, pool, arn__pool_take_remote(pool));
            return true;
        }
    }
    pool = take_pool(heap, class_idx, fresh);
    if (pool == NULL)
        return false;
    begin_current(heap, pool, *fresh ? pool->carved : fill(pool, fresh));
    return true;
}

bool arn__heap_refill(struct heap *heap, unsigned class_idx, bool *fresh)
{
    *fresh = false;
    arn__heap_wake(heap);
    return heap->lists[class_idx].free.first != arn__link_end() || refill(heap, class_idx, fresh);
}

/* ---- giving back ---- */

static struct descriptor *retire_current(struct heap *heap, unsigned class_idx)
{
    struct descriptor *pool = heap->current[class_idx];
    if (pool == NULL)
        return NULL;
    end_current(heap, pool);
    pool->local.needed -= arn__pool_take_remote(pool);
    return pool;
}

/* As many blocks were handed out as freed, or nearly: is it time for a sample? */
static void count_for_sample(struct heap *heap, unsigned class_idx)
{
    if (heap->until_sampled == 0)
        return;
    heap->until_sampled -= heap->armed[class_idx];
    heap->awaits_sample = heap->until_sampled <= 0;
    heap->until_sampled -= heap->until_sampled == 0; /* it has begun */
}

/* Of a current pool: a walk, but for what others have freed. */
static unsigned count_out(struct heap *heap, struct descriptor *pool)
{
    pool->local.first = heap->lists[pool->class_idx].free.first;
    unsigned listed = arn__pool_local_count(pool);
    pool->local.first = arn__link_end();
    /* relaxed: a count, no more. */
    uint64_t word = atomic_load_explicit(arn__remote(arn__pool_base(pool)), memory_order_relaxed);
    return pool->carved - listed - arn__remote_count(word);
}

/* This current pool was found free. Is it time to give back all of them that are? */
static bool is_idle_enough(struct heap *heap, unsigned class_idx)
{
    set_idle(heap, class_idx, true);
    if (heap->idle_slices + heap->empty_slices <= most_empty() ||
        heap->idle_slices < heap->current_slices - heap->current_slices / 8)
        return false;
    heap->idled++;
    return (heap->idled & (heap->idled - 1)) == 0; /* the first, second, fourth, eighth … time */
}

static void give_back_idle(struct heap *heap)
{
    for (unsigned c = next_class(heap, 0); c < CLASSES; c = next_class(heap, c + 1)) {
        if ((heap->idle[c / 64] >> (c % 64) & 1) != 0 && count_out(heap, heap->current[c]) == 0)
            give_up(heap, retire_current(heap, c));
    }
}

/* After how many frees. A walk over a long list is to have as many frees to pay for it. */
static uint32_t next_look(struct heap *heap, const struct descriptor *pool, unsigned out)
{
    uint8_t *looks = &heap->looks[pool->class_idx];
    unsigned least = 2 * pool->carved;
    if (out > 0 && *looks < LOOKS_SOON)
        return (*looks)++, out;
    least = least > LOOK_FREES ? least : LOOK_FREES;
    return out > least ? out : least;
}

static void count_frees(struct heap *heap, struct descriptor *pool)
{
    unsigned class_idx = pool->class_idx;
    uint32_t next = NEEDED_CURRENT;
    count_for_sample(heap, class_idx);
    if (are_many()) {
        unsigned out = count_out(heap, pool);
        if (out == 0 && is_idle_enough(heap, class_idx)) {
            give_back_idle(heap);
            return;
        }
        next = next_look(heap, pool, out);
    }
    arm(heap, class_idx, next);
}

void arn__heap_pool_emptied(struct heap *heap, struct descriptor *pool)
{
    /* A signal handler may have come in between, and the pool be elsewhere or in use again. */
    if (arn__pool_number(pool) != arn__heap_number(heap))
        return;
    if (heap->current[pool->class_idx] == pool) {
        count_frees(heap, pool);
        return;
    }
    bool resting = arn__has_flag(pool, POOL_RESTING);
    if (resting ? pool->local.needed - 1 < shape_of(pool)->threshold : pool->local.needed > 0)
        return;
    if (resting) {
        end_rest(heap, pool);
        link_partial(heap, pool);
        if (pool->local.needed > 0)
            return;
    }
    unlink_partial(heap, pool);
    keep_empty(heap, pool);
}

static void wake_all(struct heap *heap)
{
    heap->rests_alone = false;
    for (unsigned c = next_class(heap, 0); c < CLASSES; c = next_class(heap, c + 1)) {
        struct descriptor *pool;
        while ((pool = heap->resting[c]) != NULL) {
            end_rest(heap, pool);
            give_up(heap, pool);
        }
        while (heap->held_slices > HELD_MOST_SLICES && (pool = heap->partial[c]) != NULL) {
            unlink_partial(heap, pool);
            give_up(heap, pool);
        }
    }
}

void arn__heap_wake(struct heap *heap)
{
    if (heap->rests_alone && !is_alone())
        wake_all(heap);
}

static void collect_partial(struct heap *heap, unsigned class_idx)
{
    while (wake_one(heap, class_idx, UINT_MAX)) {
    }
    for (struct descriptor *pool = heap->partial[class_idx], *next; pool != NULL; pool = next) {
        next = pool->next;
        pool->local.needed -= arn__pool_take_remote(pool);
        if (pool->local.needed == 0)
            arn__heap_pool_emptied(heap, pool);
    }
}

void arn__heap_collect(struct heap *heap)
{
    release_quarantine(heap);
    arn__heap_wake(heap);
    for (unsigned c = next_class(heap, 0); c < CLASSES; c = next_class(heap, c + 1)) {
        struct descriptor *pool = retire_current(heap, c);
        if (pool != NULL && pool->local.needed == 0)
            release(pool);
        else if (pool != NULL && pool->local.first != arn__link_end())
            link_partial(heap, pool);
        else if (pool != NULL)
            give_up(heap, pool);
        collect_partial(heap, c);
        while ((pool = take_empty(heap, c)) != NULL)
            release(pool);
    }
    arn__shards_reap_all();
}

static void abandon_current(struct heap *heap)
{
    for (unsigned c = next_class(heap, 0); c < CLASSES; c = next_class(heap, c + 1)) {
        struct descriptor *pool = retire_current(heap, c);
        if (pool != NULL)
            give_up(heap, pool);
    }
}

void arn__heap_abandon_but_current(struct heap *heap)
{
    release_quarantine(heap);
    wake_all(heap);
    for (unsigned c = next_class(heap, 0); c < CLASSES; c = next_class(heap, c + 1)) {
        struct descriptor *pool;
        while ((pool = heap->partial[c]) != NULL) {
            unlink_partial(heap, pool);
            give_up(heap, pool);
        }
        while ((pool = take_empty(heap, c)) != NULL)
            release(pool);
    }
}

void arn__heap_abandon(struct heap *heap)
{
    arn__heap_abandon_but_current(heap);
    abandon_current(heap);
    memset(heap->classes, 0, sizeof heap->classes);
    memset(heap->own_again, 0, sizeof heap->own_again);
    heap->idled = 0;
}
