/* zone.h - where the large blocks of the hardened build lie: at places of chance in one range, between guards.
 *
 * The range is reserved once, without access, when a process has had some large blocks. A block's pages are opened when it is taken, and replaced by
 * inaccessible ones when it is given back. So what the kernel keeps about the range, page tables above all, stays from
 * block to block; a mapping of its own for each block costs several times as much.
 */
#ifndef ARENITE_ZONE_H
#define ARENITE_ZONE_H

#include <stdbool.h>
#include <stddef.h>

/* Readable and writable zero pages at a multiple of `alignment`, a page without access on each side. NULL: the zone has
 * no room for it (it is too large, or places tried by chance were taken), there is no zone (yet), or no memory. */
void *arn__zone_take(size_t bytes, size_t alignment);

/* The zone has it: a block, or what was one. */
bool arn__zone_has(const void *start);

/* Gives it back. False: it stays as it is. */
bool arn__zone_give(char *base, size_t bytes);

/* Its pages were moved elsewhere, and left a hole. */
void arn__zone_refill(char *base, size_t bytes);

#endif
