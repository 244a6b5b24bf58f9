/* inline.h - malloc's and free's fast paths, inlined into programs that are linked statically with
 * arenite (arenite.o or libarenite.a); C and C++.
 *
 *     void *arn_inline_malloc(size_t bytes);
 *     void arn_inline_free(void *block);
 *     void arn_inline_free_sized(void *block, size_t bytes);
 *
 * They do what arn_malloc, arn_free and arn_free_sized do, checks and errors included, and share
 * their blocks. A constant size costs nothing to look up. A block freed with the constant size that it
 * was asked for with, soon after, costs least; a size that cannot be right is misuse, or goes unnoticed.
 *
 * With ARENITE_INLINE_NAMES defined before the header is included, calls of malloc and free in C mean
 * these (their addresses are still the functions'). C++ has arenite::allocator instead, for containers.
 *
 * A program that includes this header belongs to the version of the library that it came with: what is
 * declared below besides these names is the library's inside, and changes. It does not link with the
 * shared library.
 */
#ifndef ARENITE_INLINE_H
#define ARENITE_INLINE_H

#include <arenite/arenite.h>

#ifdef __cplusplus
#include <cstdlib>
#include <new>
extern "C" {
#else
#include <stdlib.h>
#endif

/* ---- the inside: as in descriptor.h, pool.h, heap.h; alloc.c checks that they agree ---- */

enum {
    ARN__POOLED_BYTES = 32768,
    ARN__CLASSES = 96,
    ARN__ROOT_ENTRIES = 1 << 15,
};

/* The same memory is the library's by its own types, and the program's by any: compilers must not take
 * an access by one for no access by another, and change their order. */
#define ARN__INLINE_SHARED __attribute__((may_alias))

struct ARN__INLINE_SHARED arn__inline_block {
    uint64_t link;
};

struct ARN__INLINE_SHARED arn__inline_list {
    struct arn__inline_block *first;
    uint32_t needed;
    uint32_t unused;
};

/* The first half of a descriptor. */
struct ARN__INLINE_SHARED arn__inline_slice {
    uint64_t place;
    uint64_t inverse;
    uint64_t unused;
    struct arn__inline_list *frees_to;
};

/* The current pool of a class: its blocks so far. */
struct ARN__INLINE_SHARED arn__inline_extent {
    uintptr_t base;
    uint64_t end;
};

/* The first part of a heap. */
struct ARN__INLINE_SHARED arn__inline_heap {
    struct arn__inline_list lists[ARN__CLASSES];
    uint8_t list_index[ARN__POOLED_BYTES / 16];
    struct arn__inline_extent extents[ARN__CLASSES];
};

/* The first part of a thread's storage. */
struct arn__inline_thread {
    struct arn__inline_heap *heap;
    uint64_t token;
};

struct arn__inline_directory {
    uintptr_t root[ARN__ROOT_ENTRIES];
    char nowhere[1 << 17];
};

extern struct arn__inline_directory arn__inline_directory __asm__("arn__directory");
extern uint64_t arn__inline_link_times __asm__("arn__link_times");
extern uint64_t arn__inline_link_back __asm__("arn__link_back");
extern uint64_t arn__inline_link_bias __asm__("arn__link_bias");
extern uint64_t arn__inline_link_least __asm__("arn__link_least");

#if defined(__PIC__) && !defined(__PIE__)
#define ARN__INLINE_TLS __attribute__((tls_model("initial-exec")))
#else
#define ARN__INLINE_TLS __attribute__((tls_model("local-exec")))
#endif
extern __thread struct arn__inline_thread arn__inline_thread __asm__("arn__thread") ARN__INLINE_TLS;

void arn__inline_free_emptied(const void *block) __asm__("arn__free_emptied");

#define ARN__INLINE static inline __attribute__((always_inline))
#define ARN__INLINE_LIKELY(condition) __builtin_expect(!!(condition), 1)

/* Compilers know what malloc returns: a block that holds nothing yet. This one holds its link. */
#define ARN__INLINE_HIDE(pointer) __asm__("" : "+r"(pointer))

ARN__INLINE uint64_t arn__inline_link_to(const struct arn__inline_block *next)
{
    return ((uintptr_t)next - arn__inline_link_bias) * arn__inline_link_times;
}

ARN__INLINE int arn__inline_looks_free(const struct arn__inline_block *block)
{
    return block->link * arn__inline_link_back >= arn__inline_link_least;
}

/* Size classes: multiples of a step that grows with the size. */
ARN__INLINE size_t arn__inline_step(size_t bytes)
{
    return bytes <= 1024    ? 16
           : bytes <= 2048  ? 128
           : bytes <= 4096  ? 256
           : bytes <= 8192  ? 512
           : bytes <= 16384 ? 2048
                            : 4096;
}

ARN__INLINE size_t arn__inline_class(size_t bytes)
{
    size_t steps = (bytes - 1) / arn__inline_step(bytes);
    return bytes <= 1024    ? steps
           : bytes <= 2048  ? 56 + steps
           : bytes <= 4096  ? 64 + steps
           : bytes <= 8192  ? 72 + steps
           : bytes <= 16384 ? 84 + steps
                            : 88 + steps;
}

ARN__INLINE size_t arn__inline_block_bytes(size_t bytes)
{
    size_t step = arn__inline_step(bytes);
    return (bytes + step - 1) / step * step;
}

/* A block's number for its offset, and for no other of the 2^64 offsets: divided modulo 2^64 by the odd part of
 * block_bytes, then rotated (Warren: "Hacker's Delight", 10-17). The compiler leaves a multiplication and a
 * rotation of it. */
ARN__INLINE uint64_t arn__inline_position(uint64_t offset, uint64_t block_bytes)
{
    int shift = __builtin_ctzll(block_bytes);
    uint64_t odd = block_bytes >> shift;
    uint64_t inverse = odd * 3 ^ 2; /* of the lowest 5 bits; each step has twice as many */
    inverse *= 2 - odd * inverse;
    inverse *= 2 - odd * inverse;
    inverse *= 2 - odd * inverse;
    inverse *= 2 - odd * inverse;
    uint64_t product = offset * inverse;
    return product >> shift | product << (64 - shift);
}

/* The slow ways: misuse is reported of the function that was called. */
#if defined(ARENITE_INLINE_NAMES) && !defined(__cplusplus)
#define ARN__INLINE_MALLOC malloc
#define ARN__INLINE_FREE free
#else
#define ARN__INLINE_MALLOC arn_malloc
#define ARN__INLINE_FREE arn_free
#endif

/* ---- what programs call ---- */

ARN__INLINE void *arn_inline_malloc(size_t bytes)
{
    struct arn__inline_heap *heap = arn__inline_thread.heap;
    struct arn__inline_list *list;
    struct arn__inline_block *block;
    uint64_t below;
    if (!ARN__INLINE_LIKELY(bytes - 1 < ARN__POOLED_BYTES))
        return ARN__INLINE_MALLOC(bytes);
    if (__builtin_constant_p(bytes))
        list = &heap->lists[arn__inline_class(bytes)];
    else
        list = (struct arn__inline_list *)((char *)heap +
                                           (size_t)heap->list_index[(bytes - 1) >> 4] * 8);
    block = list->first;
    below = block->link * arn__inline_link_back;
    if (!ARN__INLINE_LIKELY(below >= arn__inline_link_least))
        return ARN__INLINE_MALLOC(bytes);
    list->first = (struct arn__inline_block *)(uintptr_t)(below + arn__inline_link_bias);
    block->link = 0;
    __asm__ volatile(
        ""
        :
        : "m"(block->link)); /* needed, whatever follows: free() is known to compilers */
    return block;
}

ARN__INLINE void arn_inline_free(void *pointer)
{
    ARN__INLINE_HIDE(pointer);
    struct arn__inline_block *block = (struct arn__inline_block *)pointer;
    uintptr_t address = (uintptr_t)pointer;
    /* As numbers: the root leads to another table than this. */
    uintptr_t table = (uintptr_t)arn__inline_directory.nowhere +
                      arn__inline_directory.root[(uint32_t)(address >> 8) >> 17];
    const struct arn__inline_slice *slice =
        (const struct arn__inline_slice *)(table + (address >> 8 & 0x1ffc0));
    uint64_t from_end = arn__inline_thread.token - slice->place;
    if (ARN__INLINE_LIKELY(!__builtin_add_overflow(from_end, address, &from_end) &&
                           from_end * slice->inverse >= -((uint64_t)1 << 20) &&
                           !arn__inline_looks_free(block))) {
        struct arn__inline_list *list = slice->frees_to;
        block->link = arn__inline_link_to(list->first);
        list->first = block;
        if (!ARN__INLINE_LIKELY(--list->needed != 0))
            arn__inline_free_emptied(pointer);
        return;
    }
    ARN__INLINE_FREE(pointer);
}

ARN__INLINE void arn_inline_free_sized(void *pointer, size_t bytes)
{
    ARN__INLINE_HIDE(pointer);
    struct arn__inline_block *block = (struct arn__inline_block *)pointer;
    if (__builtin_constant_p(bytes) && bytes - 1 < ARN__POOLED_BYTES) {
        /* A block of the current pool needs no look at its descriptor. */
        struct arn__inline_heap *heap = arn__inline_thread.heap;
        const size_t class_idx = arn__inline_class(bytes);
        struct arn__inline_list *list = &heap->lists[class_idx];
        uint64_t position = arn__inline_position((uintptr_t)pointer - heap->extents[class_idx].base,
                                                 arn__inline_block_bytes(bytes));
        if (ARN__INLINE_LIKELY(position < heap->extents[class_idx].end &&
                               !arn__inline_looks_free(block))) {
            block->link = arn__inline_link_to(list->first);
            list->first = block;
            return;
        }
    }
    arn_free_sized(pointer, bytes);
}

#ifdef __cplusplus
}

namespace arenite
{

/* For containers: std::vector<T, arenite::allocator<T>>. */
template <class T> struct allocator {
    using value_type = T;

    allocator() noexcept = default;
    template <class U> allocator(const allocator<U> &) noexcept
    {
    }

    T *allocate(size_t count)
    {
        if (count > PTRDIFF_MAX / sizeof(T))
            fail();
        size_t bytes = count * sizeof(T);
        void *block = alignof(T) > 16 ? arn_aligned_alloc(alignof(T), bytes)
                      : count == 1    ? arn_inline_malloc(sizeof(T))
                                      : arn_inline_malloc(bytes);
        if (block == nullptr)
            fail();
        return static_cast<T *>(block);
    }

    void deallocate(T *block, size_t count) noexcept
    {
        if (count == 1 && alignof(T) <= 16)
            arn_inline_free_sized(block, sizeof(T));
        else
            arn_inline_free(block);
    }

    template <class U> bool operator==(const allocator<U> &) const noexcept
    {
        return true;
    }
    template <class U> bool operator!=(const allocator<U> &) const noexcept
    {
        return false;
    }

  private:
    [[noreturn]] static void fail()
    {
#if defined(__cpp_exceptions)
        throw std::bad_alloc();
#else
        std::abort();
#endif
    }
};

} // namespace arenite

#elif defined(ARENITE_INLINE_NAMES)
#define malloc(bytes) arn_inline_malloc(bytes)
#define free(block) arn_inline_free(block)
#endif

#endif
