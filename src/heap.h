/* heap.h - one thread's view: per class a list of blocks ready to hand out, the pool they came from
 * and a few more pools with free blocks.
 *
 * Everything in a heap is touched by its thread alone (the orphan heap's: under its lock), and in a
 * forked child by the thread that lives on.
 */
#ifndef ARENITE_HEAP_H
#define ARENITE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool.h"
#include "size_class.h"

enum {
    /* In pools with free blocks that are not current, unless this is the only thread: 4 MiB. What is
     * more is shared, so that a thread that sleeps keeps little to itself. */
    HELD_MOST_SLICES = 256,
    /* In empty pools, ready to be taken whole: 1 MiB. */
    EMPTY_MOST_SLICES = 64,
};

struct heap {
    /* I2: the list of a class holds blocks of current[class] only. Touched by the fast paths. */
    struct block *list[CLASSES];
    /* arn__medium_classes, within reach of the register that malloc has anyway. */
    uint8_t medium_classes[POOLED_BYTES >> MEDIUM_SHIFT];
    struct descriptor *current[CLASSES];
    /* Quick refills left until a slow one, which looks whether the list is too short. A fresh list
     * has none left: what comes after it is not fresh. */
    uint8_t quick_refills[CLASSES];
    struct descriptor *partial[CLASSES]; /* through next and prev; each has a local list */
    /* The list is freshly carved memory, zero but for each block's two words. */
    bool fresh[CLASSES];
    struct descriptor *resting[CLASSES]; /* full, or nearly so */
    bool rests_alone;                    /* some of them since this was the only thread */
    size_t held_slices;                  /* of pools that are partial or resting */
    struct descriptor *empty[CLASSES];   /* through next; all their blocks are in `local` */
    unsigned empty_slices;
    unsigned next_empty;    /* class to look at first when one is to be given up for another */
    struct heap *next;      /* all heaps ever made */
    struct heap *next_idle; /* those without a thread */
    int thread;             /* whose it is; 0: nobody's. Under the heaps' lock */
    unsigned exit_rounds;   /* of thread-specific destructors seen: see thread.c */
};

/* There is a second heap, or the orphan heap is in use. */
extern _Atomic bool arn__heaps_many;

enum {
    QUICK_REFILLS = 64,
    /* A list that is refilled that often should have so many blocks: more are carved. */
    LIST_BLOCKS = 16,
};

/* A block of the class, or NULL: no memory. */
void *arn__heap_refill(struct heap *heap, unsigned class_idx);

/* Pops a block from the list; NULL when that is empty. */
static inline struct block *arn__heap_pop(struct heap *heap, size_t class_idx)
{
    struct block *block = heap->list[class_idx];
    if (__builtin_expect(block == NULL, 0))
        return NULL;
    heap->list[class_idx] = block->next;
    arn__block_hand_out(block);
    return block;
}

/* Refills the list with what was freed into the current pool and pops a block; NULL when nothing
 * was, or when it is time for arn__heap_refill. `needed` is left: it counts down from far above
 * what the pool could hold, and arn__heap_pool_emptied knows a current pool. */
static inline struct block *arn__heap_refill_quick(struct heap *heap, size_t class_idx)
{
    struct descriptor *pool = heap->current[class_idx];
    if (pool == NULL || pool->local == NULL || heap->quick_refills[class_idx] == 0)
        return NULL;
    heap->quick_refills[class_idx]--;
    struct block *block = pool->local;
    pool->local = NULL;
    heap->list[class_idx] = block->next;
    arn__block_hand_out(block);
    return block;
}

/* Frees into a pool of one's own. True: call arn__heap_pool_emptied. */
static inline bool arn__heap_push_own(struct descriptor *pool, struct block *block)
{
    block->mark = arn__mark(block);
    block->next = pool->local;
    pool->local = block;
    return --pool->needed == 0;
}

/* A full pool that this heap filled becomes its own again with the first free of its own, so that the
 * next ones take the fast path: if the heap holds not too much already, for its thread may fall asleep. */
static inline bool arn__heap_may_hold(const struct heap *heap, const struct descriptor *d)
{
    return ARN__PEEK(d->owner) == arn__pool_filled_by(heap) && heap->held_slices < HELD_MOST_SLICES;
}

/* The countdown of a pool of this heap has ended: it is kept empty or released, unless it is a current
 * one. */
void arn__heap_pool_emptied(struct heap *heap, struct descriptor *pool);

/* Frees a block of any pool. */
void arn__heap_free(struct heap *heap, struct block *block);

/* Leaves the resting pools to everybody if there are other threads by now. */
void arn__heap_wake(struct heap *heap);

/* Takes in what others freed and releases the pools that are empty, the current ones too. */
void arn__heap_collect(struct heap *heap);

/* Leaves every pool to the others. */
void arn__heap_abandon(struct heap *heap);

#endif
