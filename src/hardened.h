/* hardened.h - what the hardened build has besides.
 *
 * Two libraries are built of the same sources, libarenite and libarenite-hardened. These constants tell them apart:
 * the compiler leaves out what a library does not have, and compiles it all the same.
 */
#ifndef ARENITE_HARDENED_H
#define ARENITE_HARDENED_H

#ifndef ARN__HARDENED /* by the build: 0 or 1 */
#define ARN__HARDENED 0
#endif

enum {
    /* Blocks of pools end with a tail and a canary, and are wiped when they are freed: see checked.h. */
    CHECKED_BLOCKS = ARN__HARDENED,
    /* The first block of a pool is never handed out, and carved blocks are linked in an order of chance: see pool.c. */
    SHUFFLED_POOLS = ARN__HARDENED,
    /* Each large block is a mapping between two guards, at a place of chance: see large.c. */
    GUARDED_LARGE = ARN__HARDENED,
    /* A slice of each arena that holds pools is inaccessible, and arenas are opened one by one: see arena.c. */
    GUARDED_ARENAS = ARN__HARDENED,
};

#endif
