/* empty.h - blocks of no bytes, in the hardened build: addresses where nothing can be read or written.
 *
 * Each is a place of 16 bytes in a reservation without access; a bit for each tells whether it is out. Where they
 * run out, such blocks come from pools, and their canary begins at once.
 */
#ifndef ARENITE_EMPTY_H
#define ARENITE_EMPTY_H

#include <stdbool.h>
#include <stddef.h>

#include "descriptor.h"

/* NULL: there is none, or none for this alignment, a power of two. */
void *arn__empty_take(size_t alignment);

/* False: it is not out. */
bool arn__empty_give(void *block);

static inline bool arn__is_empty(const struct descriptor *d, const void *pointer)
{
    return arn__kind(d) == KIND_EMPTY && ((uintptr_t)pointer & (QUANTUM_BYTES - 1)) == 0 &&
           arn__has_tract(pointer);
}

#endif
