/* interpose.c - libc's and C++'s names for what alloc.c does; nothing else.
 *
 * All of them in one object: a static link that took some of libc's names from here and the others
 * from libc would mix two heaps.
 */
#include <arenite/arenite.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "diag.h"
#include "options.h"
#include "stats.h"

#define EXPORT __attribute__((visibility("default")))
#define ALIAS(name) __attribute__((visibility("default"), alias(#name)))

/* glibc's headers declare these with attributes that an alias need not repeat; and not all of them. */
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wmissing-attributes"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wnonnull-compare"

/* ---- ISO C, POSIX, BSD ---- */

EXPORT void *malloc(size_t bytes)
{
    return arn__malloc(bytes);
}

EXPORT void free(void *block)
{
    arn__free(block, "free");
}

EXPORT void *calloc(size_t count, size_t bytes)
{
    return arn__calloc(count, bytes);
}

EXPORT void *realloc(void *block, size_t bytes)
{
    return arn__realloc(block, bytes, "realloc");
}

EXPORT void *reallocarray(void *block, size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return arn__realloc(block, total, "reallocarray");
}

EXPORT void free_sized(void *block, size_t bytes)
{
    (void)bytes;
    arn__free(block, "free_sized");
}

EXPORT void free_aligned_sized(void *block, size_t alignment, size_t bytes)
{
    (void)alignment;
    (void)bytes;
    arn__free(block, "free_aligned_sized");
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
    return arn_aligned_alloc(alignment, bytes);
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    return arn_posix_memalign(block, alignment, bytes);
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
    return arn_memalign(alignment, bytes);
}

EXPORT void *valloc(size_t bytes)
{
    return arn_valloc(bytes);
}

EXPORT void *pvalloc(size_t bytes)
{
    return arn_pvalloc(bytes);
}

EXPORT size_t malloc_usable_size(void *block)
{
    return arn__usable(block, "malloc_usable_size");
}

EXPORT void cfree(void *block)
{
    arn__free(block, "cfree");
}

/* ---- glibc's own names for them ---- */

void *__libc_malloc(size_t bytes) ALIAS(malloc);
void __libc_free(void *block) ALIAS(free);
void __libc_cfree(void *block) ALIAS(cfree);
void *__libc_calloc(size_t count, size_t bytes) ALIAS(calloc);
void *__libc_realloc(void *block, size_t bytes) ALIAS(realloc);
void *__libc_reallocarray(void *block, size_t count, size_t bytes) ALIAS(reallocarray);
void *__libc_memalign(size_t alignment, size_t bytes) ALIAS(memalign);
void *__libc_valloc(size_t bytes) ALIAS(valloc);
void *__libc_pvalloc(size_t bytes) ALIAS(pvalloc);
int __posix_memalign(void **block, size_t alignment, size_t bytes) ALIAS(posix_memalign);

/* ---- glibc's control functions ---- */

/* glibc's fields, told of this allocator: what is in arenas, what is mapped, what a trim gives. */
EXPORT struct mallinfo2 mallinfo2(void)
{
    struct census census;
    struct arn_stats stats;
    arn__census(&census);
    arn_stats(&stats);
    size_t free_blocks = 0;
    for (unsigned c = 0; c < CLASSES; c++)
        free_blocks += census.classes[c].free;
    size_t in_arenas = stats.used_bytes - stats.map_bytes;
    size_t free_bytes = stats.free_bytes + stats.dirty_bytes;
    return (struct mallinfo2){
        .arena = in_arenas + free_bytes,
        .ordblks = free_blocks,
        .hblks = stats.map_blocks,
        .hblkhd = stats.map_bytes,
        .uordblks = in_arenas,
        .fordblks = free_bytes,
        .keepcost = stats.dirty_bytes,
    };
}

EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 wide = mallinfo2();
    return (struct mallinfo){
        .arena = (int)wide.arena,
        .ordblks = (int)wide.ordblks,
        .hblks = (int)wide.hblks,
        .hblkhd = (int)wide.hblkhd,
        .uordblks = (int)wide.uordblks,
        .fordblks = (int)wide.fordblks,
        .keepcost = (int)wide.keepcost,
    };
}

/* What there is an equivalent of: 1. The rest: 0, and nothing is changed. */
EXPORT int mallopt(int parameter, int value)
{
    switch (parameter) {
    case M_TRIM_THRESHOLD:
        if (value < 0)
            return 0;
        arn__options.purge_budget_bytes = (size_t)value;
        return 1;
    case M_MMAP_THRESHOLD:
        if (value < 1 << 20)
            return 0; /* runs and spans are cheaper below that */
        arn__options.map_threshold_bytes = (size_t)value;
        return 1;
    case M_CHECK_ACTION:
        arn__options.misuse = value & 2 ? MISUSE_ABORT : MISUSE_IGNORE;
        return 1;
    default:
        return 0;
    }
}

EXPORT int malloc_trim(size_t keep_bytes)
{
    return arn__trim(keep_bytes);
}

EXPORT void malloc_stats(void)
{
    arn_stats_print(2);
}

/* The elements of glibc's version 1, as far as they have a meaning here. */
EXPORT int malloc_info(int options, FILE *stream)
{
    if (options != 0)
        return EINVAL;
    struct census census;
    struct arn_stats stats;
    arn__census(&census);
    arn_stats(&stats);
    size_t free_blocks = 0;
    fprintf(stream, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n");
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct class_count *count = &census.classes[c];
        size_t bytes = arn__size_classes[c].block_bytes;
        free_blocks += count->free;
        if (count->free > 0)
            fprintf(stream, "  <size from=\"%zu\" to=\"%zu\" total=\"%zu\" count=\"%zu\"/>\n",
                    c == 0 ? 1 : (size_t)arn__size_classes[c - 1].block_bytes + 1, bytes,
                    bytes * count->free, count->free);
    }
    size_t free_bytes = stats.free_bytes + stats.dirty_bytes;
    size_t in_arenas = stats.used_bytes - stats.map_bytes + free_bytes;
    fprintf(stream, "</sizes>\n<total type=\"fast\" count=\"0\" size=\"0\"/>\n");
    fprintf(stream, "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n", free_blocks, free_bytes);
    fprintf(stream, "<system type=\"current\" size=\"%zu\"/>\n", in_arenas);
    fprintf(stream, "<system type=\"max\" size=\"%zu\"/>\n", stats.opened_bytes);
    fprintf(stream, "<aspace type=\"total\" size=\"%zu\"/>\n", stats.reserved_bytes);
    fprintf(stream, "<aspace type=\"mprotect\" size=\"%zu\"/>\n</heap>\n", stats.opened_bytes);
    fprintf(stream, "<total type=\"fast\" count=\"0\" size=\"0\"/>\n");
    fprintf(stream, "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n", free_blocks, free_bytes);
    fprintf(stream, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", stats.map_blocks,
            stats.map_bytes);
    fprintf(stream, "<system type=\"current\" size=\"%zu\"/>\n", in_arenas);
    fprintf(stream, "<system type=\"max\" size=\"%zu\"/>\n", stats.opened_bytes);
    fprintf(stream, "<aspace type=\"total\" size=\"%zu\"/>\n", stats.reserved_bytes);
    fprintf(stream, "<aspace type=\"mprotect\" size=\"%zu\"/>\n</malloc>\n", stats.opened_bytes);
    return 0;
}

/* ---- C++: operator new and delete ----
 *
 * Mangled by hand (Itanium C++ ABI: std::size_t is `m` on LP64), so that no C++ library is needed.
 * What only a C++ program has is looked up weakly: the new handler, and the throw of bad_alloc. */

typedef void (*new_handler)(void);

/* std::get_new_handler() of libstdc++ and libc++ are one name; std::__throw_bad_alloc() differ. */
extern new_handler cxx_get_new_handler(void) __asm__("_ZSt15get_new_handlerv")
    __attribute__((weak));
extern void gnu_throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));
extern void llvm_throw_bad_alloc(void) __asm__("_ZNSt3__117__throw_bad_allocEv")
    __attribute__((weak));

static void throw_bad_alloc(void)
{
    if (gnu_throw_bad_alloc != NULL)
        gnu_throw_bad_alloc();
    if (llvm_throw_bad_alloc != NULL)
        llvm_throw_bad_alloc();
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: operator new: out of memory, and no C++ library to throw with");
    arn__line_write(&line, 2);
    abort();
}

static void *try_new(size_t bytes, size_t alignment)
{
    return alignment == 0 ? arn__malloc(bytes) : arn__aligned(alignment, bytes);
}

/* [new.delete.single]: try, call the new handler, try again; without one, throw. */
static __attribute__((noinline)) void *new_slow(size_t bytes, size_t alignment)
{
    for (;;) {
        new_handler handler = cxx_get_new_handler != NULL ? cxx_get_new_handler() : NULL;
        if (handler == NULL) {
            throw_bad_alloc();
            return NULL;
        }
        handler();
        void *block = try_new(bytes, alignment);
        if (block != NULL)
            return block;
    }
}

static inline void *new_or_throw(size_t bytes, size_t alignment)
{
    void *block = try_new(bytes, alignment);
    return __builtin_expect(block != NULL, true) ? block : new_slow(bytes, alignment);
}

/* The nothrow forms call the handler too; whether it throws cannot be caught from C, so without a
 * handler that is the end of it, and a handler that throws does so through here. */
static inline void *new_nothrow(size_t bytes, size_t alignment)
{
    void *block = try_new(bytes, alignment);
    while (__builtin_expect(block == NULL, false)) {
        new_handler handler = cxx_get_new_handler != NULL ? cxx_get_new_handler() : NULL;
        if (handler == NULL)
            return NULL;
        handler();
        block = try_new(bytes, alignment);
    }
    return block;
}

EXPORT void *cxx_new(size_t bytes) __asm__("_Znwm");
EXPORT void *cxx_new_array(size_t bytes) __asm__("_Znam");
EXPORT void *cxx_new_nothrow(size_t bytes, const void *tag) __asm__("_ZnwmRKSt9nothrow_t");
EXPORT void *cxx_new_array_nothrow(size_t bytes, const void *tag) __asm__("_ZnamRKSt9nothrow_t");
EXPORT void *cxx_new_aligned(size_t bytes, size_t alignment) __asm__("_ZnwmSt11align_val_t");
EXPORT void *cxx_new_array_aligned(size_t bytes, size_t alignment) __asm__("_ZnamSt11align_val_t");
EXPORT void *cxx_new_aligned_nothrow(size_t bytes, size_t alignment,
                                     const void *tag) __asm__("_ZnwmSt11align_val_tRKSt9nothrow_t");
EXPORT void *
cxx_new_array_aligned_nothrow(size_t bytes, size_t alignment,
                              const void *tag) __asm__("_ZnamSt11align_val_tRKSt9nothrow_t");

void *cxx_new(size_t bytes)
{
    return new_or_throw(bytes, 0);
}

void *cxx_new_array(size_t bytes)
{
    return new_or_throw(bytes, 0);
}

void *cxx_new_nothrow(size_t bytes, const void *tag)
{
    (void)tag;
    return new_nothrow(bytes, 0);
}

void *cxx_new_array_nothrow(size_t bytes, const void *tag)
{
    (void)tag;
    return new_nothrow(bytes, 0);
}

void *cxx_new_aligned(size_t bytes, size_t alignment)
{
    return new_or_throw(bytes, alignment);
}

void *cxx_new_array_aligned(size_t bytes, size_t alignment)
{
    return new_or_throw(bytes, alignment);
}

void *cxx_new_aligned_nothrow(size_t bytes, size_t alignment, const void *tag)
{
    (void)tag;
    return new_nothrow(bytes, alignment);
}

void *cxx_new_array_aligned_nothrow(size_t bytes, size_t alignment, const void *tag)
{
    (void)tag;
    return new_nothrow(bytes, alignment);
}

/* Deletes ignore what they are told besides the pointer. */
static void delete_block(void *block)
{
    arn__free(block, "operator delete");
}

#define DELETE(name, mangled, ...)                  \
    EXPORT void name(__VA_ARGS__) __asm__(mangled); \
    void name(__VA_ARGS__)

#pragma GCC diagnostic ignored "-Wunused-parameter"

DELETE(cxx_delete, "_ZdlPv", void *block)
{
    delete_block(block);
}
DELETE(cxx_delete_array, "_ZdaPv", void *block)
{
    delete_block(block);
}
DELETE(cxx_delete_nothrow, "_ZdlPvRKSt9nothrow_t", void *block, const void *tag)
{
    delete_block(block);
}
DELETE(cxx_delete_array_nothrow, "_ZdaPvRKSt9nothrow_t", void *block, const void *tag)
{
    delete_block(block);
}
DELETE(cxx_delete_sized, "_ZdlPvm", void *block, size_t bytes)
{
    delete_block(block);
}
DELETE(cxx_delete_array_sized, "_ZdaPvm", void *block, size_t bytes)
{
    delete_block(block);
}
DELETE(cxx_delete_aligned, "_ZdlPvSt11align_val_t", void *block, size_t alignment)
{
    delete_block(block);
}
DELETE(cxx_delete_array_aligned, "_ZdaPvSt11align_val_t", void *block, size_t alignment)
{
    delete_block(block);
}
DELETE(cxx_delete_sized_aligned, "_ZdlPvmSt11align_val_t", void *block, size_t bytes,
       size_t alignment)
{
    delete_block(block);
}
DELETE(cxx_delete_array_sized_aligned, "_ZdaPvmSt11align_val_t", void *block, size_t bytes,
       size_t alignment)
{
    delete_block(block);
}
DELETE(cxx_delete_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t", void *block,
       size_t alignment, const void *tag)
{
    delete_block(block);
}
DELETE(cxx_delete_array_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t", void *block,
       size_t alignment, const void *tag)
{
    delete_block(block);
}

/* ---- exit ---- */

/* A destructor and no constructor: nothing runs before the first block is asked for. */
static __attribute__((destructor)) void at_exit(void)
{
    arn__stats_at_exit();
}
