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

/* Never inlined into the fast paths, as link-time optimisation would: they would save registers for it. */
#define ARN__SLOW __attribute__((noinline))

/* A size that no pool serves, or 0; told less 1, as the fast path has it. NULL with ENOMEM. */
ARN__SLOW void *arn__malloc_slow(size_t last);

/* A class whose list is empty. NULL with ENOMEM. */
ARN__SLOW void *arn__malloc_refill(size_t class_idx, struct heap *heap);

/* Everything that is not the free of a valid block into a pool of one's own. `function` is named
 * when it turns out to be misuse. */
ARN__SLOW void arn__free_slow(void *block, const char *function);

/* The pool has no block out any more. */
ARN__SLOW void arn__free_emptied(struct descriptor *pool);

void *arn__calloc(size_t count, size_t bytes);
void *arn__realloc(void *block, size_t bytes, const char *function);

/* `alignment` is a power of two. */
void *arn__aligned(size_t alignment, size_t bytes);

size_t arn__usable(void *block, const char *function);

/* malloc_trim: collects this thread's heap, purges down to keep_bytes; true if any went back. */
bool arn__trim(size_t keep_bytes);

static inline void *arn__malloc_class(struct heap *heap, size_t class_idx)
{
    struct block *block = arn__heap_pop(heap, class_idx);
    return __builtin_expect(block != NULL, true) ? block : arn__malloc_refill(class_idx, heap);
}

static inline void *arn__malloc(size_t bytes)
{
    struct heap *heap = arn__thread.heap;
    size_t last = bytes - 1; /* 0 bytes: a very large number */
    if (__builtin_expect(last < SMALL_BYTES, true))
        return arn__malloc_class(heap, last >> SMALL_SHIFT);
    if (__builtin_expect(last < POOLED_BYTES, true))
        return arn__malloc_class(heap, heap->medium_classes[last >> MEDIUM_SHIFT]);
    return arn__malloc_slow(last);
}

static inline void arn__free(void *pointer, const char *function)
{
    struct block *block = arn__block_from_program(pointer);
    struct descriptor *d = arn__descriptor(block);
    /* The order matters: only what has an owner, and this thread as such, is read at all. */
    if (__builtin_expect(ARN__PEEK(d->owner) == arn__thread.heap &&
                             arn__pool_starts_block(d, block) && block->mark != arn__mark(block),
                         true)) {
        struct descriptor *pool = ARN__PEEK(d->head);
        if (__builtin_expect(arn__heap_push_own(pool, block), false))
            arn__free_emptied(pool);
        return;
    }
    arn__free_slow(block, function);
}

#endif
