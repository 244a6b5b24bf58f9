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
#include "spares.h"
#include "tenure.h"

enum {
    /* In pools with free blocks that are not current, unless this is the only thread: 4 MiB; and up to 64 MiB, as
     * measure_share says, in pools that the thread has freed into itself. What is more is shared, so that a thread that
     * sleeps keeps no more to itself. */
    HELD_MOST_SLICES = 256,
    HELD_SHARE_SLICES = 4096,
    /* In empty pools, ready to be taken whole: 1 MiB, and 16 MiB in all heaps. */
    EMPTY_MOST_SLICES = 64,
    EMPTY_ALL_SLICES = 1024,
    /* In current pools of a heap without a thread: 2 MiB. */
    SET_ASIDE_MOST_SLICES = 128,
    /* From so many heaps on, each keeps little that is free. */
    MANY_HEAPS = EMPTY_ALL_SLICES / EMPTY_MOST_SLICES,
};

/* Places of a heap's quarantine: for blocks to 512 bytes, to 4 KiB, and beyond. At most 128 KiB wait there: more would
 * not stay in a cache. */
enum {
    QUARANTINE_SMALL = CHECKED_BLOCKS ? 64 : 0,
    QUARANTINE_MEDIUM = CHECKED_BLOCKS ? 8 : 0,
    QUARANTINE_LARGE = CHECKED_BLOCKS ? 2 : 0,
    QUARANTINE_PLACES = QUARANTINE_SMALL + QUARANTINE_MEDIUM + QUARANTINE_LARGE,
};

enum { CLASS_WORDS = (CLASSES + 63) / 64 };

struct thread;

/* 16 bytes: a class's is found by a shift. */
struct heap_list {
    _Alignas(16) struct free_list free;
};

/* Of a current pool: where its blocks begin, and how many there are so far; zeros if there is none. For
 * arenite/inline.h, which knows them without a look at descriptors. */
struct extent {
    char *base;
    uint64_t end;
};

struct heap {
    /* I2: the list of a class holds the free blocks of current[class], which has none in its own; it is
     *     empty if there is no such pool. Touched by the fast paths. An empty list ends at once: arn__link_end. */
    struct heap_list lists[CLASSES];
    /* By (bytes - 1) >> QUANTUM_SHIFT: where in `lists`, in units of 8 bytes; within reach of the register
     * that malloc has anyway. */
    uint8_t list_index[POOLED_BYTES >> QUANTUM_SHIFT];
    struct extent extents[CLASSES];
    /* By class: blocks that its list was filled with, and what its `needed` began to count down from: each block that
     * was freed into the list since could be handed out once more. The countdown ends when it may be time for a sample,
     * or when the pool may be free; else it is NEEDED_CURRENT. */
    uint32_t listed[CLASSES], armed[CLASSES];
    struct descriptor *current[CLASSES];
    struct descriptor *partial[CLASSES]; /* through next and prev; each has a local list */
    struct descriptor *resting[CLASSES]; /* full, or nearly so */
    uint64_t classes
        [CLASS_WORDS]; /* a bit for each class that there may be such pools of, or empty ones */
    /* By class: full pools in a row that this thread freed into again, and no other into one that rested. */
    uint8_t own_again[CLASSES];
    uint64_t idle
        [CLASS_WORDS]; /* a bit for each class whose current pool was free when it was looked at last */
    unsigned idle_slices;    /* of those pools */
    unsigned current_slices; /* of all current pools */
    unsigned idled;          /* how often such pools went back, or should have */
    uint8_t looks[CLASSES];  /* by class: at the current pool since its list was filled */
    bool rests_alone;        /* some of them since this was the only thread */
    uint64_t
        token; /* its number, NUMBER_SHIFT bits up: what makes a pool's place an address to its thread */
    size_t held_slices; /* of pools that are partial or resting */
    size_t held_most;   /* HELD_MOST_SLICES or more; 0 in a heap that is no thread's own */
    struct descriptor *empty[CLASSES]; /* through next; all their blocks are in `local` */
    unsigned empty_slices;
    unsigned next_empty;    /* class to look at first when one is to be given up for another */
    struct heap *next;      /* all heaps ever made */
    struct heap *next_idle; /* those without a thread */
    struct tenure tenure;   /* its thread's. Under the heaps' lock */
    bool forsaken;          /* its thread was found gone. Under the heaps' lock */
    /* Its thread's, to hide the heap from it; NULL: not to be touched. See arn__thread_hide_all. */
    _Atomic(struct thread *) seat;
    uint64_t chance; /* what the next number of chance is made of; 0: there is no quarantine */
    struct block *quarantine[QUARANTINE_PLACES]; /* wiped, or NULL: see quarantine.h */
    struct spares spares;
    unsigned
        set_aside; /* slices of current pools that it has though it is nobody's. Under the heaps' lock */
    unsigned exit_rounds;  /* of thread-specific destructors seen: see thread.c */
    int64_t until_sampled; /* blocks; 0: not begun. See sampled.h */
    bool
        awaits_sample; /* the next request is to be sampled: the heap stays out of sight until then */
};

/* There is a second heap, or the orphan heap is in use. */
extern _Atomic bool arn__heaps_many;

/* Heaps of threads. relaxed: for a share that is a rule of thumb. */
extern _Atomic size_t arn__heaps_in_use;

/* A heap without pools; it was zeroed. */
void arn__heap_init(struct heap *heap);

/* 1 up; HIDDEN_NUMBER of the heap that stands for none: no pool has it. */
enum { HIDDEN_NUMBER = NUMBERS - 1 };

static inline unsigned arn__heap_number(const struct heap *heap)
{
    return (unsigned)(heap->token >> NUMBER_SHIFT);
}

static inline struct free_list *arn__heap_list_at(struct heap *heap, size_t index)
{
    return (struct free_list *)((char *)heap->lists + index * 8);
}

/* Sees to it that the class's list has a block; false: no memory. `fresh`: those in it were never handed out, and
 * are zero but for their links. */
bool arn__heap_refill(struct heap *heap, unsigned class_idx, bool *fresh);

/* Pops a block from the list; NULL when that is empty. `function` is named if the block was overwritten. */
static inline struct block *arn__heap_pop(struct heap *heap, size_t class_idx, const char *function)
{
    struct free_list *list = &heap->lists[class_idx].free;
    struct block *block = list->first;
    if (__builtin_expect(block == arn__link_end(), 0))
        return NULL;
    struct block *next;
    if (__builtin_expect(!arn__link_read(block->link, &next), 0))
        next = arn__pool_next(heap->current[class_idx], block, function);
    list->first = next;
    arn__block_hand_out(block);
    return block;
}

/* How many blocks of the class were handed out by the fast path since the list was filled, once it is empty. */
static inline uint32_t arn__heap_count_taken(struct heap *heap, size_t class_idx)
{
    const struct free_list *list = &heap->lists[class_idx].free;
    if (list->first != arn__link_end())
        return 0;
    uint32_t freed = heap->armed[class_idx] - list->needed;
    uint32_t taken = heap->listed[class_idx] + (freed < NEEDED_CURRENT ? freed : 0);
    heap->listed[class_idx] = 0;
    heap->armed[class_idx] = list->needed;
    return taken;
}

/* Frees into a pool of one's own; `d` is that of the block's slice. True: call
 * arn__heap_pool_emptied. */
static inline bool arn__heap_push_own(struct descriptor *d, struct block *block)
{
    struct free_list *list = d->frees_to;
    block->link = arn__link_to(list->first);
    list->first = block;
    return --list->needed == 0;
}

/* A full pool that is nobody's becomes this heap's with its thread's first free into it, so that the next
 * ones take the fast path: if this heap filled it, or allocates nothing of the class and so takes nothing
 * from those that do; and if it holds not too much already, for its thread may fall asleep. `d` is that of
 * a slice of the pool. */
static inline bool arn__heap_may_hold(const struct heap *heap, const struct descriptor *d)
{
    return heap->held_slices < heap->held_most &&
           (ARN__PEEK(d->filled_by) == arn__heap_number(heap) ||
            heap->current[d->class_idx] == NULL);
}

/* The countdown of a pool of this heap has ended: it is kept empty or given up. Of a current one, see
 * count_frees. */
void arn__heap_pool_emptied(struct heap *heap, struct descriptor *pool);

/* Whether a block whose first word is a free block's link is free indeed. Of other heaps' pools nothing more is known
 * than that. */
bool arn__heap_knows_free(const struct heap *heap, const struct block *block);

/* Frees a block of any pool. */
void arn__heap_free(struct heap *heap, struct block *block);

/* Frees into all lists are counted for samples from now on. */
void arn__heap_arm(struct heap *heap);

/* Leaves the resting pools to everybody if there are other threads by now. */
void arn__heap_wake(struct heap *heap);

/* Takes in what others freed and releases the pools that are empty, the current ones too. */
void arn__heap_collect(struct heap *heap);

/* Leaves every pool to the others. */
void arn__heap_abandon(struct heap *heap);

/* The same, but for the current ones. */
void arn__heap_abandon_but_current(struct heap *heap);

#endif
