/* heap.c - refill, remote frees, collection. Order of refill: see arn__heap_refill. */
#include "heap.h"

#include <sys/single_threaded.h>

#include "diag.h"
#include "purge.h"
#include "shard.h"

enum { LOOKED_AT = 4 };

_Atomic bool arn__heaps_many;

static const struct size_class *shape_of(const struct descriptor *pool)
{
    return &arn__size_classes[pool->class_idx];
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
    link_pool(&heap->partial[pool->class_idx], pool);
    heap->partial_count[pool->class_idx]++;
}

static void unlink_partial(struct heap *heap, struct descriptor *pool)
{
    unlink_pool(&heap->partial[pool->class_idx], pool);
    heap->partial_count[pool->class_idx]--;
}

static void release(struct descriptor *pool)
{
    ARN__ASSERT(pool->needed == 0, "a pool is released when no block is out");
    arn__pool_release(pool);
    arn__purge_settle();
}

/* ---- full pools of the only thread ----
 *
 * A pool that fills is detached, for it must not be stranded with a thread that sleeps or ends; then
 * every free into it is an atomic operation. While there is no other thread it rests instead: it stays
 * the heap's, frees into it take the fast path, and its countdown ends when a threshold of its blocks
 * is free. */

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

static bool rest(struct heap *heap, struct descriptor *pool)
{
    if (!is_alone())
        return false;
    set_resting(pool, true);
    pool->needed = shape_of(pool)->threshold;
    link_pool(&heap->resting, pool);
    return true;
}

/* The countdown becomes that of any pool: the blocks that are out. */
static void end_rest(struct heap *heap, struct descriptor *pool)
{
    unsigned freed = shape_of(pool)->threshold - pool->needed;
    unlink_pool(&heap->resting, pool);
    pool->needed = pool->carved - freed;
    set_resting(pool, false); /* last: who counts blocks meanwhile looks at their marks */
}

void arn__heap_pool_emptied(struct heap *heap, struct descriptor *pool)
{
    /* A signal handler may have come in between, and the pool be elsewhere or in use again. */
    if (atomic_load_explicit(&pool->owner, memory_order_relaxed) != heap)
        return;
    if (heap->current[pool->class_idx] == pool) {
        pool->needed = NEEDED_CURRENT;
        return;
    }
    bool resting = arn__has_flag(pool, POOL_RESTING);
    if (resting ? pool->needed - 1 < shape_of(pool)->threshold : pool->needed > 0)
        return;
    if (resting) {
        end_rest(heap, pool);
        link_partial(heap, pool);
        if (pool->needed > 0)
            return;
    }
    unlink_partial(heap, pool);
    release(pool);
}

/* A claimed pool, its free blocks in `local`: kept if this heap filled it and has room. */
static void adopt(struct heap *heap, struct descriptor *pool)
{
    if (pool->needed == 0) {
        release(pool);
    } else if (arn__heap_filled(heap, pool) &&
               (heap->partial_count[pool->class_idx] < PARTIAL_MOST ||
                !atomic_load_explicit(&arn__heaps_many, memory_order_relaxed))) {
        arn__pool_set_owner(pool, heap);
        link_partial(heap, pool);
    } else {
        arn__shard_put(pool);
    }
}

/* ---- remote frees ---- */

static void push(struct heap *heap, const struct chain *chain)
{
    unsigned class_idx = chain->pool->class_idx; /* before the push: the pool may go with it */
    char *base = arn__pool_base_of(chain->first, class_idx);
    switch (arn__pool_push(chain->pool, chain->first, chain->last, chain->count)) {
    case PUSH_CLAIMED:
        adopt(heap, chain->pool);
        break;
    case PUSH_EMPTIED:
        arn__shard_reap(base, class_idx);
        break;
    case PUSH_DONE:
        break;
    }
}

static void flush_slot(struct heap *heap, struct chain *slot)
{
    struct chain chain = *slot;
    /* Emptied first: a push may end in a place that looks at the ring again, and a child forked in
     * between loses a chain rather than pushing it twice. */
    slot->pool = NULL;
    heap->ring_bytes -= (size_t)chain.count * shape_of(chain.pool)->block_bytes;
    push(heap, &chain);
}

void arn__heap_flush(struct heap *heap)
{
    for (unsigned i = 0; heap->ring_bytes > 0 && i < RING_SLOTS; i++) {
        if (heap->ring[i].pool != NULL)
            flush_slot(heap, &heap->ring[i]);
    }
}

/* Pools of 1, 4 and 16 slices spread over all slots. */
static struct chain *slot_of(struct heap *heap, const struct descriptor *pool)
{
    uintptr_t idx = (uintptr_t)pool / sizeof *pool;
    return &heap->ring[(idx ^ idx >> 4) % RING_SLOTS];
}

void arn__heap_push_remote(struct heap *heap, struct descriptor *pool, struct block *block)
{
    const struct size_class *shape = shape_of(pool);
    struct chain *slot = slot_of(heap, pool);
    if (__builtin_expect(arn__has_flag(pool, POOL_RECOVER), false))
        arn__pool_recover(pool); /* before the mark */
    block->mark = arn__mark(block);
    if (slot->pool != pool) {
        if (slot->pool != NULL)
            flush_slot(heap, slot);
        *slot = (struct chain){.pool = pool, .last = block};
    }
    block->next = slot->first;
    slot->first = block;
    slot->count++;
    heap->ring_bytes += shape->block_bytes;
    if (slot->count >= shape->threshold)
        flush_slot(heap, slot);
    else if (heap->ring_bytes > RING_MOST_BYTES)
        arn__heap_flush(heap);
}

/* Into a full pool that this heap filled: at once, for it is probably the only one of that pool that
 * the ring would see for a while. */
static void push_single(struct heap *heap, struct descriptor *pool, struct block *block)
{
    if (arn__pool_push_detached(pool, block))
        return;
    arn__pool_recover(pool); /* before the mark */
    block->mark = arn__mark(block);
    push(heap, &(struct chain){pool, block, block, 1});
}

void arn__heap_free(struct heap *heap, struct block *block)
{
    struct descriptor *d = arn__descriptor(block);
    struct descriptor *pool = atomic_load_explicit(&d->head, memory_order_relaxed);
    if (atomic_load_explicit(&d->owner, memory_order_relaxed) == heap) {
        if (arn__heap_push_own(pool, block))
            arn__heap_pool_emptied(heap, pool);
    } else if (arn__heap_filled(heap, d)) {
        push_single(heap, pool, block);
    } else {
        arn__heap_push_remote(heap, pool, block);
    }
}

/* ---- refill ---- */

/* The pool's whole local list becomes the heap's: all carved blocks count as out. */
static bool take_local(struct heap *heap, struct descriptor *pool, bool fresh)
{
    if (pool->local == NULL)
        return false;
    heap->list[pool->class_idx] = pool->local;
    heap->fresh[pool->class_idx] = fresh;
    heap->quick_refills[pool->class_idx] = fresh ? 0 : QUICK_REFILLS;
    pool->local = NULL;
    pool->needed = NEEDED_CURRENT + pool->carved;
    return true;
}

static bool carve(struct heap *heap, struct descriptor *pool)
{
    bool fresh = arn__has_flag(pool, POOL_FRESH) && pool->local == NULL;
    return arn__pool_carve(pool) > 0 && take_local(heap, pool, fresh);
}

static bool refill_from(struct heap *heap, struct descriptor *pool)
{
    return take_local(heap, pool, false) ||
           (arn__pool_take_remote(pool) > 0 && take_local(heap, pool, false)) || carve(heap, pool);
}

/* The fullest of the first few own pools: so that the others empty. */
static struct descriptor *take_partial(struct heap *heap, unsigned class_idx)
{
    struct descriptor *fullest = heap->partial[class_idx];
    if (fullest == NULL)
        return NULL;
    struct descriptor *pool = fullest->next;
    for (unsigned i = 1; pool != NULL && i < LOOKED_AT; pool = pool->next, i++) {
        if (pool->needed > fullest->needed)
            fullest = pool;
    }
    unlink_partial(heap, fullest);
    return fullest;
}

static struct descriptor *take_shared(struct heap *heap, unsigned class_idx)
{
    arn__heap_flush(heap); /* maybe it is this thread that holds back what is lacking */
    struct descriptor *pool = take_partial(heap, class_idx);
    if (pool == NULL && (pool = arn__shard_take(class_idx)) != NULL)
        arn__pool_set_owner(pool, heap);
    return pool;
}

/* Current pool (local list, remote word, next page); own pools with free blocks; the shard; a new
 * pool. */
static bool refill(struct heap *heap, unsigned class_idx)
{
    struct descriptor *pool = heap->current[class_idx];
    while (pool != NULL) {
        if (refill_from(heap, pool))
            return true;
        heap->current[class_idx] = NULL;
        if (rest(heap, pool) || arn__pool_detach(pool, heap))
            break;
        heap->current[class_idx] = pool;
    }
    if ((pool = take_partial(heap, class_idx)) != NULL ||
        (pool = take_shared(heap, class_idx)) != NULL) {
        heap->current[class_idx] = pool;
        return refill_from(heap, pool);
    }
    pool = arn__pool_create(class_idx, heap);
    arn__purge_settle();
    if (pool == NULL)
        return false;
    heap->current[class_idx] = pool;
    return take_local(heap, pool, arn__has_flag(pool, POOL_FRESH));
}

/* A class that is used so much that a short list is refilled over and over: the list grows. */
static void lengthen(struct heap *heap, unsigned class_idx)
{
    struct descriptor *pool = heap->current[class_idx];
    unsigned blocks = 0;
    for (struct block *b = heap->list[class_idx]; b != NULL && blocks < LIST_BLOCKS; b = b->next)
        blocks++;
    if (blocks == LIST_BLOCKS)
        return;
    pool->local = heap->list[class_idx];
    for (unsigned carved; blocks < LIST_BLOCKS && (carved = arn__pool_carve(pool)) > 0;)
        blocks += carved;
    take_local(heap, pool, false);
}

void *arn__heap_refill(struct heap *heap, unsigned class_idx)
{
    arn__heap_wake(heap);
    if (heap->list[class_idx] != NULL)
        return arn__heap_pop(heap, class_idx);
    bool often = heap->quick_refills[class_idx] != QUICK_REFILLS;
    if (!refill(heap, class_idx))
        return NULL;
    if (often && !heap->fresh[class_idx])
        lengthen(heap, class_idx);
    return arn__heap_pop(heap, class_idx);
}

/* ---- giving back ---- */

/* The heap's list returns to the current pool, which is the heap's no more. */
static struct descriptor *retire_current(struct heap *heap, unsigned class_idx)
{
    struct descriptor *pool = heap->current[class_idx];
    if (pool == NULL)
        return NULL;
    heap->current[class_idx] = NULL;
    struct block *block = heap->list[class_idx];
    heap->list[class_idx] = NULL;
    while (block != NULL) {
        struct block *next = block->next;
        block->next = pool->local;
        pool->local = block;
        block = next;
    }
    pool->needed = pool->carved - arn__pool_local_count(pool);
    pool->needed -= arn__pool_take_remote(pool);
    return pool;
}

/* To the shard, or detached if there is nothing to share, or released if it is empty. */
static void give_up(struct heap *heap, struct descriptor *pool)
{
    while (pool->local == NULL && pool->carved == shape_of(pool)->capacity) {
        if (arn__pool_detach(pool, heap))
            return;
        pool->needed -= arn__pool_take_remote(pool);
    }
    if (pool->needed == 0)
        release(pool);
    else
        arn__shard_put(pool);
}

static void wake_all(struct heap *heap)
{
    struct descriptor *pool;
    while ((pool = heap->resting) != NULL) {
        end_rest(heap, pool);
        give_up(heap, pool);
    }
}

void arn__heap_wake(struct heap *heap)
{
    if (heap->resting != NULL && !is_alone())
        wake_all(heap);
}

static void collect_partial(struct heap *heap, unsigned class_idx)
{
    for (struct descriptor *pool = heap->partial[class_idx], *next; pool != NULL; pool = next) {
        next = pool->next;
        pool->needed -= arn__pool_take_remote(pool);
        if (pool->needed == 0)
            arn__heap_pool_emptied(heap, pool);
    }
}

void arn__heap_collect(struct heap *heap)
{
    arn__heap_flush(heap);
    arn__heap_wake(heap);
    for (unsigned c = 0; c < CLASSES; c++) {
        struct descriptor *pool = retire_current(heap, c);
        if (pool != NULL && pool->needed == 0)
            release(pool);
        else if (pool != NULL && pool->local != NULL)
            link_partial(heap, pool);
        else if (pool != NULL)
            give_up(heap, pool);
        collect_partial(heap, c);
    }
    arn__shards_reap_all();
}

void arn__heap_abandon(struct heap *heap)
{
    arn__heap_flush(heap);
    wake_all(heap);
    for (unsigned c = 0; c < CLASSES; c++) {
        struct descriptor *pool = retire_current(heap, c);
        if (pool != NULL)
            give_up(heap, pool);
        while ((pool = heap->partial[c]) != NULL) {
            unlink_partial(heap, pool);
            give_up(heap, pool);
        }
    }
}
