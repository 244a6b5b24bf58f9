/* large.h - requests too big for a pool: one descriptor per block.
 *
 *   run    slices in a row in one arena: up to 256 KiB
 *   span   arenas in a row in one region: up to the map threshold (32 MiB)
 *   map    a mapping of its own: beyond that, for alignments above 2 MiB, and for what grows to 1 MiB or more
 *          and has to move
 *
 * Freed runs and spans stay with their arenas under the purge budget, which is the cache; maps go
 * back to the OS at once, and grow by mremap.
 */
#ifndef ARENITE_LARGE_H
#define ARENITE_LARGE_H

#include <stdbool.h>
#include <stddef.h>

#include "descriptor.h"

struct large_totals {
    _Atomic size_t maps; /* number of map blocks */
    _Atomic size_t map_bytes;
};
extern struct large_totals arn__large_totals;

/* At a multiple of `alignment` (a power of two); zeroed if asked. NULL: no memory. */
void *arn__large_alloc(size_t bytes, size_t alignment, bool zeroed);

/* A map block, without taking a lock: may run in a signal handler. Zeroed. */
void *arn__large_map(size_t bytes, size_t alignment);

/* False: it is being freed by somebody else already. */
bool arn__large_free(void *block);

/* Frees a map block without taking a lock; false: it is not one, or munmap refused. */
bool arn__large_unmap(void *block);

/* Marks a run or span as freed, to be given back by arn__large_free_deferred, without taking a lock;
 * false: somebody else frees it, or has. */
bool arn__large_defer(void *block);
void arn__large_free_deferred(void *block);

/* Slices of a run or span in use; 0: it is none. */
static inline unsigned arn__large_slices(const struct descriptor *d)
{
    unsigned kind_flags = arn__kind_flags(d);
    return kind_flags == KIND_RUN    ? d->units
           : kind_flags == KIND_SPAN ? d->units * ARENA_SLICES
                                     : 0;
}

static inline bool arn__large_fits_run(size_t bytes, size_t alignment)
{
    return bytes <= ARENA_BYTES && alignment <= SLICE_BYTES;
}

/* Slices that a run or span of so many bytes has. */
static inline size_t arn__large_slices_for(size_t bytes, size_t alignment)
{
    size_t unit = arn__large_fits_run(bytes, alignment) ? SLICE_BYTES : ARENA_BYTES;
    return ((bytes + unit - 1) & ~(unit - 1)) / SLICE_BYTES;
}

/* A run or span in use becomes a spare; false: somebody else frees it, or has. */
static inline bool arn__large_keep(struct descriptor *d)
{
    uint8_t kind = (uint8_t)arn__kind(d);
    return atomic_compare_exchange_strong(&d->kind_flags, &kind, (uint8_t)(kind | LARGE_SPARE));
}

/* A spare is in use again; false: it is none any more. Nobody but its heap's thread changes one. */
static inline bool arn__large_take_again(struct descriptor *d)
{
    /* relaxed: this thread stored it. */
    unsigned spare = atomic_load_explicit(&d->kind_flags, memory_order_relaxed);
    if (spare != (KIND_RUN | LARGE_SPARE) && spare != (KIND_SPAN | LARGE_SPARE))
        return false;
    /* release: see enter in large.c. */
    atomic_store_explicit(&d->kind_flags, (uint8_t)(spare & ~(unsigned)LARGE_SPARE),
                          memory_order_release);
    return true;
}

/* Before a spare is in use again for `bytes`, of which it has the slices: a span tells how far pages were written. */
void arn__large_reach(struct descriptor *d, size_t bytes);

/* A spare goes back to its arenas. */
void arn__large_free_spare(void *block);

/* How many bytes of freed large blocks are still here; and gives them back to the OS. */
size_t arn__large_waiting(void);
size_t arn__large_release(void);

/* In a forked child: the parent's other threads may have been at work here. */
void arn__large_after_fork(void);

/* Makes the block hold `bytes`: where it is, or by moving its pages, or once, as it comes to have huge
 * ones, by a copy of less than 16 MiB. NULL: it can't be done so, and the block is as it was. */
void *arn__large_resize(void *block, size_t bytes);

/* Where a block that has to be copied to grow should go. */
void *arn__large_alloc_growing(size_t bytes);

/* Is this the start of a large block? */
static inline bool arn__large_starts(const struct descriptor *d, const void *pointer)
{
    unsigned kind_flags = arn__kind_flags(d);
    return (kind_flags & KIND_MASK) >= KIND_RUN &&
           (kind_flags & (LARGE_DEFERRED | LARGE_SPARE)) == 0 &&
           ((uintptr_t)pointer & (SLICE_BYTES - 1)) == 0;
}

/* A large block that arn__large_resize would leave as it is. */
static inline bool arn__large_is_made_for(const struct descriptor *d, enum kind kind, size_t bytes)
{
    size_t most = d->block_bytes;
    size_t too_few = kind == KIND_SPAN  ? (size_t)(d->units - 1) * ARENA_BYTES
                     : kind == KIND_RUN ? most - SLICE_BYTES
                                        : most - arn__os_page_bytes();
    return bytes > POOLED_BYTES && bytes > too_few && bytes <= most;
}

#endif
