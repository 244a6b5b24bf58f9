/* links.h - how a free block says which one is next in its list.
 *
 * A free block's memory is the program's to overwrite, by mistake or on purpose: by a write after free, or past the
 * end of the block before. So a link is stored as a word that only who knows this process's secret can make:
 *
 *     word = (next - LINK_BIAS) * times      modulo 2^64; `times` is odd and secret
 *     next = word * back + LINK_BIAS         where times * back = 1
 *
 * A word of another origin leads to an address that no program has in all but one of 2^17 cases
 * (ARN__ADDRESS_BITS); whoever changes some bytes of a word changes the upper bits of the product. What a slow
 * path follows must be a block of the same pool besides. The word 0 is no link: the bias sees to that.
 *
 * The word also tells a free block from one that is out, whose program cannot have made it but by copying.
 *
 * Multiplication by a secret odd number: Dietzfelbinger, Hagerup, Katajainen, Penttonen, "A Reliable Randomized
 * Algorithm for the Closest-Pair Problem" (1997), 2: two words that differ are told apart by the upper bits.
 */
#ifndef ARENITE_LINKS_H
#define ARENITE_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#include "peek.h"

/* A free block, by its first word. */
struct block {
    uint64_t link;
};

/* What a process's links are made of. Variables, each by itself, also the two that never change: so the fast paths
 * have them in the instructions that use them. */
#define ARN__HIDDEN __attribute__((visibility("hidden"))) /* no look into the table of global addresses */
extern ARN__HIDDEN _Atomic uint64_t arn__link_times, arn__link_back; /* 0 before the first block */
extern ARN__HIDDEN uint64_t arn__link_bias;                          /* above every address */
extern ARN__HIDDEN uint64_t arn__link_least; /* of a link that is read, before the bias: -arn__link_bias */

/* Where in a pool its first block is: see pool.c. Odd; 0 before the first block. */
extern ARN__HIDDEN uint64_t arn__pool_times;

/* Of the tails and canaries of checked blocks: see checked.c. */
extern ARN__HIDDEN uint64_t arn__tail_times, arn__canary;

/* The end of every list: readable, never handed out, and no link. */
extern const struct block arn__no_block;

static inline struct block *arn__link_end(void)
{
    return (struct block *)&arn__no_block;
}

/* Draws the secret; again it does nothing. One thread at a time, and before its first block each thread. */
void arn__links_begin(void);

static inline uint64_t arn__link_to(const struct block *next)
{
    return ((uintptr_t)next - arn__link_bias) * ARN__PEEK(arn__link_times);
}

/* A link without its factor: how far below the bias it leads.
 * relaxed: another thread may be drawing the secret while this one, which has no block yet, finds its lists empty. */
static inline uint64_t arn__link_below(uint64_t link)
{
    return link * ARN__PEEK(arn__link_back);
}

/* It may be a link: all that is worth to be known on the way of a valid free. */
static inline bool arn__link_may_be(uint64_t below)
{
    return below >= arn__link_least;
}

static inline struct block *arn__link_next(uint64_t below)
{
    return (struct block *)(below + arn__link_bias);
}

/* The address that a word leads to; false: it is no link. */
static inline bool arn__link_read(uint64_t link, struct block **next)
{
    uint64_t below = arn__link_below(link);
    *next = arn__link_next(below);
    return arn__link_may_be(below);
}

#endif
