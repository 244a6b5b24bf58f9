/* lock.h - a mutex of one word.
 *
 * After Drepper, "Futexes Are Tricky" (2011), mutex 2: 0 free, 1 held, 2 held with sleepers.
 * All zero is a free lock, so that a lock in .bss needs no initialisation and a forked child resets
 * one by storing 0. Ranks order the locks: a thread takes them upwards only; debug builds check.
 */
#ifndef ARENITE_LOCK_H
#define ARENITE_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

/* Lowest first: a thread that holds one may take only those below it in this list. */
enum lock_rank {
    RANK_TRACE = 1, /* who starts and stops tracing, or looks at what is traced */
    RANK_TYPES,     /* of objects: the table */
    RANK_DOMAINS,   /* those of ended threads */
    RANK_ORPHAN,    /* the heap of threads that have none */
    RANK_HEAPS,     /* the list of heaps */
    RANK_SHARD,     /* the shared pools of one class; never two at a time */
    RANK_RECOVER,   /* the free blocks of a pool after fork */
    RANK_ARENA,     /* arenas, regions, runs */
    RANK_META,      /* memory for the allocator's own structures */
    RANK_SEED,      /* the seed of huge pages */
    RANK_TRACES,    /* a part of the table of traces; never two at a time */
    RANK_SITES,     /* new call sites */
};

struct lock {
    _Atomic uint32_t word;
};

void arn__lock(struct lock *lock, enum lock_rank rank);
void arn__unlock(struct lock *lock, enum lock_rank rank);

/* In a forked child: nobody holds it any more. */
void arn__lock_reset(struct lock *lock);

#endif
