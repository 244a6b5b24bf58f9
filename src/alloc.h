/* alloc.h - malloc and free of raw blocks: the fast paths, inline, and the way into the slow ones.
 *
 * Inline in face.h, which public.c has for the arn_ names and interpose.c for libc's, so that neither calls through
 * the other.
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

/* Functions that the program calls, and what such may be left for without a trace in the stack: where the
 * library is part of a program, their section tells the program's callers from the library's
 * (src/trace/site.c). */
#define ARN__ENTRY __attribute__((section("arn_entry")))

/* A size that no pool serves, or 0; told less 1, as the fast path has it. NULL with ENOMEM. */
ARN__SLOW void *arn__malloc_slow(size_t last);

/* A size whose list is empty; and the same with an alignment. NULL with ENOMEM. */
ARN__SLOW void *arn__malloc_refill(size_t bytes);
ARN__SLOW void *arn__aligned_refill(size_t alignment, size_t bytes);

/* Everything that is not the free of a valid block into a pool of one's own. `function` is named
 * when it turns out to be misuse. */
ARN__SLOW void arn__free_slow(void *block, const char *function);

/* The countdown of the pool that this block was in has ended. */
ARN__SLOW void arn__free_emptied(const void *block);

void *arn__calloc(size_t count, size_t bytes);
void *arn__realloc(void *block, size_t bytes, const char *function);

/* What no pool serves, a size of 0, and an alignment that is no power of two. */
ARN__SLOW void *arn__aligned_slow(size_t alignment, size_t bytes);

size_t arn__usable(void *block, const char *function);

/* The whole of arn__may_have. */
ARN__SLOW bool arn__has_bytes(void *block, size_t bytes, size_t alignment, const char *function);

/* False: no block that this process has, or had; of NULL, too. */
bool arn__may_be_ours(const void *pointer);

/* What memalign makes of an alignment: a power of two, or 0 if there is none. */
size_t arn__memalign_power(size_t alignment);

/* What pvalloc makes of a size: whole pages, or what is too much. */
size_t arn__pvalloc_bytes(size_t bytes);

/* Sampling has begun: what this thread has at hand is counted, too. */
void arn__count_for_samples(void);

/* mallopt's M_PERTURB: what is allocated holds the value's complement in every byte, unless it has to be zero, and
 * what is freed holds its lowest byte; 0: they are left alone. Every call takes the slow path for it. */
void arn__perturb(unsigned value);

/* malloc_trim: collects this thread's heap, purges down to keep_bytes; true if any went back. */
bool arn__trim(size_t keep_bytes);

static inline bool arn__is_power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* The compiler adds up an address that is used twice, which x86 does for nothing in each use: hides
 * that it is the same. */
#define ARN__HIDE(index) __asm__("" : "+r"(index))

/* From the class of a size that pools serve, told less 1: for so many bytes at such an alignment, of which the fast
 * path knows nothing more. NULL with ENOMEM. */
static inline void *arn__malloc_pooled(size_t last, size_t alignment, size_t bytes)
{
    struct heap *heap = ARN__PEEK(arn__thread.heap);
    size_t quanta = last >> QUANTUM_SHIFT;
    size_t index = heap->list_index[quanta];
    struct block *block = arn__heap_list_at(heap, index)->first;
    uint64_t below = arn__link_below(block->link);
    if (__builtin_expect(!arn__link_may_be(below), false)) /* the list's end, or overwritten */
        return alignment == 1 ? arn__malloc_refill(bytes) : arn__aligned_refill(alignment, bytes);
    ARN__HIDE(index);
    ARN__HIDE(block); /* or gcc has it in a register that is not the result's */
    ARN__HIDE(below); /* or gcc adds the bias before the test, in another register */
    arn__heap_list_at(heap, index)->first = arn__link_next(below);
    arn__block_hand_out(block);
    return block;
}

static inline void *arn__malloc(size_t bytes)
{
    size_t last = bytes - 1; /* 0 bytes: a very large number */
    if (__builtin_expect(last >= POOLED_BYTES, false))
        return arn__malloc_slow(last);
    return arn__malloc_pooled(last, 1, bytes);
}

/* NULL with ENOMEM, or with EINVAL if `alignment` is no power of two. */
static inline void *arn__aligned(size_t alignment, size_t bytes)
{
    size_t last = arn__aligned_last(bytes - 1, alignment);
    if (__builtin_expect(last >= POOLED_BYTES || (alignment & (alignment - 1)) != 0, false))
        return arn__aligned_slow(alignment, bytes);
    return arn__malloc_pooled(last, alignment, bytes);
}

/* Whether this is a block that is out, of a pool of this thread's. One multiplication tells both whether the pool
 * is this heap's and whether a block starts here: the place less the token is the pool's end, or an address that no
 * pointer is near to. An overflow is a pointer that is not below the pool's end, one with bits above every address
 * among them. Nothing is read through the pointer before. */
static inline bool arn__is_own(uintptr_t *index, const struct block *block)
{
    uint64_t from_end =
        ARN__PEEK(arn__thread.token) - ARN__PEEK(arn__descriptor_at(*index)->place);
    if (__builtin_expect(__builtin_add_overflow(from_end, (uintptr_t)block, &from_end), false))
        return false;
    ARN__HIDE(*index);
    return __builtin_expect(
               arn__is_multiple_below(from_end, arn__descriptor_at(*index)->inverse), true) &&
           __builtin_expect(!arn__link_may_be(arn__link_below(block->link)), true);
}

/* Whether a block that is to be freed can be of this size; says so if not. Most can, by their class: more than half
 * full, or with fewer than 64 bytes to spare. */
static inline bool arn__may_have(void *block, size_t bytes, size_t alignment, const char *function)
{
    const struct descriptor *d = arn__descriptor(block);
    size_t block_bytes = arn__size_classes[d->class_idx].block_bytes;
    return __builtin_expect(block_bytes - bytes < (block_bytes / 2 | 63), true) ||
           arn__has_bytes(block, bytes, alignment, function);
}

static inline void arn__free(void *pointer, const char *function)
{
    pointer = arn__block_from_program(pointer);
    uintptr_t index = arn__descriptor_index(pointer);
    if (__builtin_expect(!arn__is_own(&index, pointer), false)) {
        if (pointer != NULL)
            arn__free_slow(pointer, function);
        return;
    }
    ARN__HIDE(index);
    if (__builtin_expect(arn__heap_push_own(arn__descriptor_at(index), pointer), false))
        arn__free_emptied(pointer);
}

#endif
