/* alloc.h - malloc and free: the fast paths, inline, and the way into the slow ones.
 *
 * Included by alloc.c for the arn_ names and by interpose.c for libc's, so that neither calls
 * through the other.
 */
#ifndef ARENITE_ALLOC_H
#define ARENITE_ALLOC_H

#include <stddef.h>

#include "descriptor.h"
#include "heap.h"
#include "size_class.h"
#include "thread.h"

/* Any size, when the class's list is empty or there is none. NULL with ENOMEM. */
void *arn__malloc_slow(size_t bytes);

/* Everything that is not the free of a valid block into a pool of one's own. `function` is named
 * when it turns out to be misuse. */
void arn__free_slow(void *block, const char *function);

/* The pool has no block out any more. */
void arn__free_emptied(struct descriptor *pool);

void *arn__calloc(size_t count, size_t bytes);
void *arn__realloc(void *block, size_t bytes, const char *function);

/* `alignment` is a power of two. */
void *arn__aligned(size_t alignment, size_t bytes);

size_t arn__usable(void *block, const char *function);

/* malloc_trim: collects this thread's heap, purges down to keep_bytes; true if any went back. */
bool arn__trim(size_t keep_bytes);

static inline void *arn__malloc(size_t bytes)
{
    struct heap *heap = arn__thread.heap;
    struct block *block = NULL;
    if (__builtin_expect(bytes <= SMALL_BYTES, true))
        block = arn__heap_pop(heap, (unsigned)((bytes + 15) / 16));
    else if (bytes <= POOLED_BYTES)
        block = arn__heap_pop(heap, arn__medium_classes[(bytes - 1) >> MEDIUM_SHIFT]);
    if (__builtin_expect(block != NULL, true))
        return block;
    return arn__malloc_slow(bytes);
}

static inline void arn__free(void *pointer, const char *function)
{
    struct descriptor *d = arn__descriptor(pointer);
    struct block *block = pointer;
    /* The order matters: only what has an owner, and this thread as such, is read at all. */
    if (__builtin_expect(atomic_load_explicit(&d->owner, memory_order_relaxed) ==
                                 arn__thread.heap &&
                             arn__pool_starts_block(d, block) && block->mark != arn__mark(block),
                         true)) {
        struct descriptor *pool = atomic_load_explicit(&d->head, memory_order_relaxed);
        if (__builtin_expect(arn__heap_push_own(pool, block), false))
            arn__free_emptied(pool);
        return;
    }
    arn__free_slow(pointer, function);
}

#endif
