/* tail.h - the last 8 bytes of each block of a pool, in the hardened build.
 *
 * A tail says what the block is, exclusive-ored with a key that depends on the block's address and a secret: nobody
 * else can make one, and no other word is taken for one. Carving writes the first, and checked.c those after it.
 */
#ifndef ARENITE_TAIL_H
#define ARENITE_TAIL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "links.h"

/* Of a block that was never handed out, and is zeros; that is out; that was freed. */
enum tail_state { TAIL_NEW, TAIL_OUT, TAIL_FREE };

/* What a tail says. The lower bits, which lie right behind the block's bytes, are 0. */
enum {
    TAIL_UNUSED_SHIFT = 28, /* bytes between what was asked for and the tail */
    TAIL_ALIGNMENT_SHIFT = 44,
    TAIL_ORIGIN_SHIFT = 50,
    TAIL_STATE_SHIFT = 52,
    TAIL_FILL_SHIFT = 54, /* of a freed block: the byte that it is filled with */
};

static inline uint64_t arn__tail_key(const void *block)
{
    return (uintptr_t)block * arn__tail_times;
}

static inline uint64_t *arn__tail_of(const void *block, size_t block_bytes)
{
    return (uint64_t *)((char *)(uintptr_t)block + block_bytes) - 1;
}

/* Whole, for a neighbour's thread may read it. release: whoever sees that a block is free sees that it was wiped. */
static inline void arn__tail_store(uint64_t *tail, uint64_t word)
{
    atomic_store_explicit((_Atomic uint64_t *)tail, word, memory_order_release);
}

/* Of a block that holds zeros. */
static inline void arn__tail_begin(const void *block, size_t block_bytes)
{
    arn__tail_store(arn__tail_of(block, block_bytes),
                    arn__tail_key(block) ^ (uint64_t)TAIL_NEW << TAIL_STATE_SHIFT);
}

#endif
