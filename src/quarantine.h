/* quarantine.h - where freed blocks wait before they are free, in the hardened build.
 *
 * A heap has some places, fewer for larger blocks. A block that its thread frees takes one that is chosen by chance,
 * and whichever block was there leaves for its pool: the next block that is handed out is not the one that was freed
 * last, nor any that can be told beforehand.
 */
#ifndef ARENITE_QUARANTINE_H
#define ARENITE_QUARANTINE_H

#include "heap.h"

/* Says so if the first word of a block, which leaves, was written to since it was wiped; and clears it. */
void arn__quarantine_check(struct block *block, const char *function);

/* The block that is to be freed instead of this one, which is wiped; NULL: none. */
static inline struct block *arn__quarantine_swap(struct heap *heap, struct block *block,
                                                 size_t block_bytes)
{
    if (QUARANTINE_PLACES == 0 || __builtin_expect(heap->chance == 0, false))
        return block; /* no thread's own, or out of sight */
    /* Knuth's multiplier; the upper bits are the better ones. */
    heap->chance = heap->chance * 6364136223846793005 + 1442695040888963407;
    size_t of_chance = heap->chance >> 58;
    size_t place = block_bytes <= 512    ? of_chance
                   : block_bytes <= 4096 ? QUARANTINE_SMALL + (of_chance >> 3)
                                         : QUARANTINE_SMALL + QUARANTINE_MEDIUM + (of_chance >> 5);
    struct block *leaves = heap->quarantine[place];
    heap->quarantine[place] = block;
    return leaves;
}

#endif
