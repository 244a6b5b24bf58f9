/* interpose.c - libc's and C++'s names for what alloc.c does; and who else may have them.
 *
 * A program, or a library before this one, may have some of the names itself: a malloc of its own, or
 * one that watches this. What it then frees must come from where it frees to. So a name of ours that the
 * caller reached asks for the others by their public names: where glibc builds one on another
 * (reallocarray on realloc, C++'s operators on malloc and free), and where a block would else come from
 * a heap that the free in force does not know. arenite(3) has the table.
 *
 * All of them in one object: a static link that took some of libc's names from here and the others
 * from libc would mix two heaps. Weak there, so that the program's own win in every order; of one that
 * brings libc's own malloc along as well, the linker says that __libc_malloc is defined twice.
 */
#include <arenite/arenite.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catch.h"
#include "diag.h"
#include "face.h"
#include "interpose.h"
#include "options.h"
#include "os.h"
#include "sampled.h"
#include "stats.h"

#define EXPORT __attribute__((visibility("default"), weak)) ARN__ENTRY
#define ALIAS(name) __attribute__((visibility("default"), alias(#name)))
#define UNUSED __attribute__((unused))

/* glibc's headers declare these with attributes that an alias need not repeat; and not all of them. */
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wmissing-attributes"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wnonnull-compare"

/* ---- which of the names are another's ---- */

/* Before their first use. */
#pragma weak malloc
#pragma weak free
#pragma weak calloc
#pragma weak memalign
#pragma weak aligned_alloc
#pragma weak posix_memalign
#pragma weak valloc
#pragma weak pvalloc

/* Ours, whoever has the name. */
static void *own_malloc(size_t bytes) __attribute__((alias("malloc")));
static void own_free(void *block) __attribute__((alias("free")));
static void *own_calloc(size_t count, size_t bytes) __attribute__((alias("calloc")));
static void *own_memalign(size_t alignment, size_t bytes) __attribute__((alias("memalign")));
static void *own_aligned_alloc(size_t alignment, size_t bytes)
    __attribute__((alias("aligned_alloc")));
static int own_posix_memalign(void **block, size_t alignment, size_t bytes)
    __attribute__((alias("posix_memalign")));
static void *own_valloc(size_t bytes) __attribute__((alias("valloc")));
static void *own_pvalloc(size_t bytes) __attribute__((alias("pvalloc")));

/* Two addresses that the linker has filled in: nothing to keep, and right from the first call on. */
#define IS_ANOTHERS(name) (name != own_##name)
/* Compilers take such a comparison for a toss-up; they believe this. */
#define SELDOM __attribute__((noinline, cold))

/* Blocks come from another's malloc, and go to another's free. */
#define IS_ELSEWHERE() (IS_ANOTHERS(malloc) && IS_ANOTHERS(free))

bool arn__interpose_has_malloc(void)
{
    return !IS_ANOTHERS(malloc);
}

/* ---- ISO C, POSIX, BSD ---- */

EXPORT void *malloc(size_t bytes)
{
    return arn__take(bytes, ORIGIN_MALLOC);
}

EXPORT void free(void *block)
{
    arn__give(block, "free");
}

/* By the malloc and free that are another's, who has left out this. */
static SELDOM void *calloc_elsewhere(size_t count, size_t bytes)
{
    size_t total;
    if (!IS_ANOTHERS(free) || IS_ANOTHERS(calloc))
        return arn__take_zeroed(count, bytes);
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = malloc(total);
    return block == NULL ? NULL : memset(block, 0, total);
}

EXPORT void *calloc(size_t count, size_t bytes)
{
    if (IS_ANOTHERS(malloc))
        return calloc_elsewhere(count, bytes);
    return arn__take_zeroed(count, bytes);
}

EXPORT void *realloc(void *block, size_t bytes)
{
    return arn__take_again(block, bytes, "realloc");
}

/* By a call even if realloc is ours: tools look at calls of it, too. So are the other forms of free. */
EXPORT void *reallocarray(void *block, size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, total);
}

static inline void free_as(void *block, const char *function, struct claim claim)
{
    if (IS_ANOTHERS(free))
        free(block);
    else
        arn__give_as(block, function, claim);
}

EXPORT void free_sized(void *block, size_t bytes)
{
    free_as(block, "free_sized", (struct claim){ORIGIN_MALLOC, bytes, 1});
}

EXPORT void free_aligned_sized(void *block, size_t alignment, size_t bytes)
{
    free_as(block, "free_aligned_sized", (struct claim){ORIGIN_MALLOC, bytes, alignment});
}

EXPORT void cfree(void *block)
{
    free(block);
}

/* ---- aligned blocks ----
 *
 * glibc builds none of these on another's name. Who replaces malloc and free has to replace them, too, and
 * often leaves out some: those are served by what is there. */

/* By the first of the aligned forms that is another's; else by malloc, whose blocks are at multiples of 16. */
static bool aligned_by_another(void **block, size_t alignment, size_t bytes)
{
    if (IS_ANOTHERS(aligned_alloc)) {
        /* Some insist on a multiple. */
        size_t rounded = (bytes + alignment - 1) & ~(alignment - 1);
        *block = aligned_alloc(alignment, rounded < bytes ? bytes : rounded);
    } else if (IS_ANOTHERS(posix_memalign)) {
        size_t least = alignment < sizeof(void *) ? sizeof(void *) : alignment;
        int error = posix_memalign(block, least, bytes);
        if (error != 0) {
            errno = error;
            *block = NULL;
        }
    } else if (IS_ANOTHERS(memalign)) {
        *block = memalign(alignment, bytes);
    } else if (alignment <= QUANTUM_BYTES) {
        *block = malloc(bytes);
    } else {
        return false;
    }
    return true;
}

/* Nor when such a form asks for this itself: it may be built on one of ours. */
static SELDOM void *aligned_elsewhere(size_t alignment, size_t bytes)
{
    void *block;
    bool served = false;
    if (!arn__thread.aligns && alignment != 0 && (alignment & (alignment - 1)) == 0) {
        arn__thread.aligns = true;
        served = aligned_by_another(&block, alignment, bytes);
        arn__thread.aligns = false;
    }
    return served ? block : arn__take_aligned(alignment, bytes, ORIGIN_MALLOC);
}

/* Whether the name was reached that the program meant: if it is another's, he asks for ours. */
#define ALIGNED(name, alignment, bytes)                                         \
    (IS_ELSEWHERE() && !IS_ANOTHERS(name) ? aligned_elsewhere(alignment, bytes) \
                                          : arn__take_aligned(alignment, bytes, ORIGIN_MALLOC))

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
    return ALIGNED(aligned_alloc, alignment, bytes);
}

/* errno is ENOMEM after that, as in glibc, and programs look. */
EXPORT int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    void *result = ALIGNED(posix_memalign, alignment, bytes);
    if (result == NULL)
        return ENOMEM;
    *block = result;
    return 0;
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
    size_t power = arn__memalign_power(alignment);
    return ALIGNED(memalign, power, bytes);
}

EXPORT void *valloc(size_t bytes)
{
    return ALIGNED(valloc, arn__os_page_bytes(), bytes);
}

EXPORT void *pvalloc(size_t bytes)
{
    size_t rounded = arn__pvalloc_bytes(bytes);
    return ALIGNED(pvalloc, arn__os_page_bytes(), rounded);
}

/* What is not ours is the business of whoever has free: there is nothing to be told of it here. */
static SELDOM size_t usable_size_elsewhere(void *block)
{
    return arn__may_be_ours(block) ? arn__taken_bytes(block, "malloc_usable_size") : 0;
}

EXPORT size_t malloc_usable_size(void *block)
{
    if (IS_ANOTHERS(free))
        return usable_size_elsewhere(block);
    return arn__taken_bytes(block, "malloc_usable_size");
}

/* ---- glibc's own names for them ---- */

void *__libc_malloc(size_t bytes) ALIAS(malloc);
void __libc_free(void *block) ALIAS(free);
void *__libc_calloc(size_t count, size_t bytes) ALIAS(calloc);
void *__libc_realloc(void *block, size_t bytes) ALIAS(realloc);
void *__libc_memalign(size_t alignment, size_t bytes) ALIAS(memalign);
void *__libc_valloc(size_t bytes) ALIAS(valloc);
void *__libc_pvalloc(size_t bytes) ALIAS(pvalloc);

/* ---- strong names for those that have no second one ----
 *
 * Valgrind replaces malloc and its like in every library, there only where a strong name leads to them; the
 * public ones are weak. A second name that is strong is enough. So have C++'s operators. */

#define STRONG(name) \
    __typeof__(name) arn__strong_##name __attribute__((visibility("default"), alias(#name)))

STRONG(posix_memalign);
STRONG(aligned_alloc);
STRONG(malloc_usable_size);

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

/* glibc's most: half of what one of its arenas' heaps can be. */
enum { MMAP_THRESHOLD_MOST = 32 << 20 };

/* 1: done, as far as it can be here, or there is nothing here that it could limit. 0: it asks for what is
 * not there, or glibc refuses it. */
EXPORT int mallopt(int parameter, int value)
{
    switch (parameter) {
    case M_TRIM_THRESHOLD: /* glibc: -1 is never */
        arn__options.purge_budget_bytes = value < 0 ? SIZE_MAX / 4 : (size_t)value;
        return 1;
    case M_MMAP_THRESHOLD: /* from there on; ours is beyond */
        if (value < 0 || value > MMAP_THRESHOLD_MOST)
            return 0;
        arn__options.map_threshold_bytes = value <= POOLED_BYTES ? POOLED_BYTES : (size_t)value - 1;
        return 1;
    case M_PERTURB:
        arn__perturb((unsigned)value);
        return 1;
    case M_CHECK_ACTION:
        arn__options.misuse = value & 2 ? MISUSE_ABORT : MISUSE_IGNORE;
        return 1;
    case M_ARENA_MAX:
    case M_ARENA_TEST:
    case M_MMAP_MAX:
    case M_MXFAST:
    case M_TOP_PAD:
        return 1;
    default:
        return 0;
    }
}

struct mallinfo __libc_mallinfo(void) ALIAS(mallinfo);
int __libc_mallopt(int parameter, int value) ALIAS(mallopt);

/* By the arn_ name: so a static program that has these names has those, too. */
EXPORT int malloc_trim(size_t keep_bytes)
{
    return arn_malloc_trim(keep_bytes);
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
 * What only a C++ program has is looked up weakly: the new handler, and the throw of bad_alloc.
 *
 * A program may replace any of them. [new.delete]: the array, sized and nothrow forms call the plain
 * ones; so these do, through their public names. They call malloc, free and aligned_alloc, as those of
 * libstdc++ do, where these are another's. */

#define OPERATOR(result, name, mangled, ...)                                                       \
    EXPORT result name(__VA_ARGS__) __asm__(mangled);                                              \
    result arn__strong_##name(__VA_ARGS__) __attribute__((visibility("default"), alias(mangled))); \
    result name(__VA_ARGS__)

typedef void (*new_handler)(void);

/* Functions of the C++ library, which may come with the program, or late and out of sight, with a
 * plug-in: weak where it was linked, looked up by name where it was not. std::get_new_handler() of
 * libstdc++ and libc++ are one name; std::__throw_bad_alloc() differ. */
extern new_handler linked_get_new_handler(void) __asm__("_ZSt15get_new_handlerv")
    __attribute__((weak));
extern void linked_throw(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));
extern void linked_throw_llvm(void) __asm__("_ZNSt3__117__throw_bad_allocEv") __attribute__((weak));
extern void *late_dlopen(const char *, int) __asm__("dlopen") __attribute__((weak));
extern void *late_dlsym(void *, const char *) __asm__("dlsym") __attribute__((weak));
extern int late_dlclose(void *) __asm__("dlclose") __attribute__((weak));

static void *find_late(const char *name)
{
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
    void *found = NULL;
    if (late_dlopen == NULL || late_dlsym == NULL || late_dlclose == NULL)
        return NULL; /* a static program has what it has */
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries && found == NULL; i++) {
        void *library = late_dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library == NULL)
            continue;
        found = late_dlsym(library, name);
        late_dlclose(library); /* who loaded it keeps it */
    }
    return found;
}

static new_handler handler_now(void)
{
    new_handler (*get)(void) = linked_get_new_handler;
    if (get == NULL)
        get = (new_handler(*)(void))find_late("_ZSt15get_new_handlerv");
    return get == NULL ? NULL : get();
}

/* The parts of a throw of std::bad_alloc, for a static program into which the function that does it
 * was not linked: it has these if it catches one. */
extern void *cxa_allocate_exception(size_t bytes) __asm__("__cxa_allocate_exception")
    __attribute__((weak));
extern void cxa_throw(void *, void *, void (*)(void *)) __asm__("__cxa_throw")
    __attribute__((weak));
extern char bad_alloc_type[] __asm__("_ZTISt9bad_alloc") __attribute__((weak));
extern void *bad_alloc_vtable[] __asm__("_ZTVSt9bad_alloc") __attribute__((weak));
extern void bad_alloc_destroy(void *) __asm__("_ZNSt9bad_allocD1Ev") __attribute__((weak));

static void throw_by_hand(void)
{
    if (cxa_allocate_exception == NULL || cxa_throw == NULL || bad_alloc_type == NULL ||
        bad_alloc_vtable == NULL || bad_alloc_destroy == NULL)
        return;
    void **exception = cxa_allocate_exception(sizeof(void *));
    *exception = &bad_alloc_vtable[2]; /* behind the offset to the top and the type */
    cxa_throw(exception, bad_alloc_type, bad_alloc_destroy);
}

static void throw_bad_alloc(void)
{
    void (*throw_it)(void) = linked_throw != NULL ? linked_throw : linked_throw_llvm;
    if (throw_it == NULL)
        throw_it = (void (*)(void))find_late("_ZSt17__throw_bad_allocv");
    if (throw_it == NULL)
        throw_it = (void (*)(void))find_late("_ZNSt3__117__throw_bad_allocEv");
    if (throw_it != NULL)
        throw_it();
    throw_by_hand();
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: operator new: out of memory, and no C++ library to throw with");
    arn__line_write(&line, 2);
    abort();
}

static SELDOM void *malloc_elsewhere(size_t bytes)
{
    return malloc(bytes);
}

static SELDOM void free_elsewhere(void *block)
{
    free(block);
}

ARN__ENTRY static inline void *try_new(size_t bytes, size_t alignment, enum origin origin)
{
    if (alignment == 0)
        return IS_ANOTHERS(malloc) ? malloc_elsewhere(bytes) : arn__take(bytes, origin);
    if (IS_ANOTHERS(aligned_alloc) || IS_ELSEWHERE())
        return aligned_elsewhere(alignment, bytes);
    return arn__take_aligned(alignment, bytes, origin);
}

/* [new.delete.single]: try, call the new handler, try again; without one, throw. */
ARN__ENTRY static __attribute__((noinline)) void *new_slow(size_t bytes, size_t alignment,
                                                           enum origin origin)
{
    void *block;
    do {
        new_handler handler = handler_now();
        if (handler == NULL)
            throw_bad_alloc();
        else
            handler();
        block = try_new(bytes, alignment, origin);
    } while (block == NULL);
    return block;
}

static inline void *new_or_throw(size_t bytes, size_t alignment, enum origin origin)
{
    void *block = try_new(bytes, alignment, origin);
    return __builtin_expect(block != NULL, true) ? block : new_slow(bytes, alignment, origin);
}

OPERATOR(void *, cxx_new, "_Znwm", size_t bytes)
{
    return new_or_throw(bytes, 0, ORIGIN_NEW);
}

OPERATOR(void *, cxx_new_aligned, "_ZnwmSt11align_val_t", size_t bytes, size_t alignment)
{
    return new_or_throw(bytes, alignment, ORIGIN_NEW);
}

/* These are the program's, or ours: the names resolve to the one that is in force. */
static void *own_new(size_t bytes) __attribute__((alias("_Znwm")));
static void *own_new_aligned(size_t bytes, size_t alignment)
    __attribute__((alias("_ZnwmSt11align_val_t")));

OPERATOR(void *, cxx_new_array, "_Znam", size_t bytes)
{
    return cxx_new == own_new ? new_or_throw(bytes, 0, ORIGIN_NEW_ARRAY) : cxx_new(bytes);
}

OPERATOR(void *, cxx_new_array_aligned, "_ZnamSt11align_val_t", size_t bytes, size_t alignment)
{
    return cxx_new_aligned == own_new_aligned ? new_or_throw(bytes, alignment, ORIGIN_NEW_ARRAY)
                                              : cxx_new_aligned(bytes, alignment);
}

static void *own_new_array(size_t bytes) __attribute__((alias("_Znam")));
static void *own_new_array_aligned(size_t bytes, size_t alignment)
    __attribute__((alias("_ZnamSt11align_val_t")));

/* What a nothrow form asks for, and gets. */
struct request {
    void *(*form)(size_t);
    void *(*aligned_form)(size_t, size_t);
    size_t bytes, alignment; /* alignment 0: that of malloc */
    void *block;
};

static void call_new(void *argument)
{
    struct request *request = argument;
    request->block = request->alignment == 0
                         ? request->form(request->bytes)
                         : request->aligned_form(request->bytes, request->alignment);
}

static void call_handler(void *argument)
{
    (*(new_handler *)argument)();
}

/* As the throwing form, with NULL for an exception: the program's, if it has one; else ours, without
 * the throw and the catch of what nobody sees. */
ARN__ENTRY static void *new_nothrow(size_t bytes, size_t alignment, enum origin origin)
{
    if (alignment == 0 ? cxx_new != own_new : cxx_new_aligned != own_new_aligned) {
        struct request request = {cxx_new, cxx_new_aligned, bytes, alignment, NULL};
        return arn__returns(call_new, &request) ? request.block : NULL;
    }
    void *block = try_new(bytes, alignment, origin);
    while (__builtin_expect(block == NULL, false)) {
        new_handler handler = handler_now();
        if (handler == NULL || !arn__returns(call_handler, &handler))
            return NULL;
        block = try_new(bytes, alignment, origin);
    }
    return block;
}

ARN__ENTRY static void *new_array_nothrow(size_t bytes, size_t alignment)
{
    if (alignment == 0 ? cxx_new_array != own_new_array
                       : cxx_new_array_aligned != own_new_array_aligned) {
        struct request request = {cxx_new_array, cxx_new_array_aligned, bytes, alignment, NULL};
        return arn__returns(call_new, &request) ? request.block : NULL;
    }
    return new_nothrow(bytes, alignment, ORIGIN_NEW_ARRAY);
}

OPERATOR(void *, cxx_new_nothrow, "_ZnwmRKSt9nothrow_t", size_t bytes, UNUSED const void *tag)
{
    return new_nothrow(bytes, 0, ORIGIN_NEW);
}

OPERATOR(void *, cxx_new_array_nothrow, "_ZnamRKSt9nothrow_t", size_t bytes, UNUSED const void *tag)
{
    return new_array_nothrow(bytes, 0);
}

OPERATOR(void *, cxx_new_aligned_nothrow, "_ZnwmSt11align_val_tRKSt9nothrow_t", size_t bytes,
         size_t alignment, UNUSED const void *tag)
{
    return new_nothrow(bytes, alignment, ORIGIN_NEW);
}

OPERATOR(void *, cxx_new_array_aligned_nothrow, "_ZnamSt11align_val_tRKSt9nothrow_t", size_t bytes,
         size_t alignment, UNUSED const void *tag)
{
    return new_array_nothrow(bytes, alignment);
}

/* By which of the forms of new a block was made is known where that is ours. */
static inline void delete_as(void *block, enum origin origin, size_t bytes, size_t alignment)
{
    bool is_known = origin == ORIGIN_NEW_ARRAY
                        ? cxx_new_array == own_new_array && cxx_new == own_new
                        : cxx_new == own_new;
    if (IS_ANOTHERS(free))
        free_elsewhere(block);
    else
        arn__give_as(block, origin == ORIGIN_NEW ? "operator delete" : "operator delete[]",
                     (struct claim){is_known ? origin : ORIGIN_MALLOC, bytes, alignment});
}

OPERATOR(void, cxx_delete, "_ZdlPv", void *block)
{
    delete_as(block, ORIGIN_NEW, SIZE_UNTOLD, 1);
}

OPERATOR(void, cxx_delete_aligned, "_ZdlPvSt11align_val_t", void *block, size_t alignment)
{
    delete_as(block, ORIGIN_NEW, SIZE_UNTOLD, alignment);
}

/* As with new: the plain form is asked where it is the program's. */
static void own_delete(void *block) __attribute__((alias("_ZdlPv")));
static void own_delete_aligned(void *block, size_t alignment)
    __attribute__((alias("_ZdlPvSt11align_val_t")));

static inline void delete_array_as(void *block, size_t bytes)
{
    if (cxx_delete == own_delete)
        delete_as(block, ORIGIN_NEW_ARRAY, bytes, 1);
    else
        cxx_delete(block);
}

static inline void delete_array_aligned_as(void *block, size_t bytes, size_t alignment)
{
    if (cxx_delete_aligned == own_delete_aligned)
        delete_as(block, ORIGIN_NEW_ARRAY, bytes, alignment);
    else
        cxx_delete_aligned(block, alignment);
}

OPERATOR(void, cxx_delete_array, "_ZdaPv", void *block)
{
    delete_array_as(block, SIZE_UNTOLD);
}

OPERATOR(void, cxx_delete_array_aligned, "_ZdaPvSt11align_val_t", void *block, size_t alignment)
{
    delete_array_aligned_as(block, SIZE_UNTOLD, alignment);
}

static void own_delete_array(void *block) __attribute__((alias("_ZdaPv")));
static void own_delete_array_aligned(void *block, size_t alignment)
    __attribute__((alias("_ZdaPvSt11align_val_t")));

OPERATOR(void, cxx_delete_nothrow, "_ZdlPvRKSt9nothrow_t", void *block, UNUSED const void *tag)
{
    cxx_delete(block);
}

OPERATOR(void, cxx_delete_array_nothrow, "_ZdaPvRKSt9nothrow_t", void *block,
         UNUSED const void *tag)
{
    cxx_delete_array(block);
}

OPERATOR(void, cxx_delete_sized, "_ZdlPvm", void *block, size_t bytes)
{
    if (cxx_delete == own_delete)
        delete_as(block, ORIGIN_NEW, bytes, 1);
    else
        cxx_delete(block);
}

OPERATOR(void, cxx_delete_array_sized, "_ZdaPvm", void *block, size_t bytes)
{
    if (cxx_delete_array == own_delete_array)
        delete_array_as(block, bytes);
    else
        cxx_delete_array(block);
}

OPERATOR(void, cxx_delete_sized_aligned, "_ZdlPvmSt11align_val_t", void *block, size_t bytes,
         size_t alignment)
{
    if (cxx_delete_aligned == own_delete_aligned)
        delete_as(block, ORIGIN_NEW, bytes, alignment);
    else
        cxx_delete_aligned(block, alignment);
}

OPERATOR(void, cxx_delete_array_sized_aligned, "_ZdaPvmSt11align_val_t", void *block, size_t bytes,
         size_t alignment)
{
    if (cxx_delete_array_aligned == own_delete_array_aligned)
        delete_array_aligned_as(block, bytes, alignment);
    else
        cxx_delete_array_aligned(block, alignment);
}

OPERATOR(void, cxx_delete_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t", void *block,
         size_t alignment, UNUSED const void *tag)
{
    cxx_delete_aligned(block, alignment);
}

OPERATOR(void, cxx_delete_array_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t", void *block,
         size_t alignment, UNUSED const void *tag)
{
    cxx_delete_array_aligned(block, alignment);
}

/* ---- start and exit ---- */

/* False: there is no ARENITE_OPTIONS. By letters, which are part of the code: whoever allocates nothing shall not
 * need a page of options, nor of constants, to find that out. */
static bool may_have_options(void)
{
    if (environ == NULL)
        return true;
    for (char **variable = environ; *variable != NULL; variable++) {
        const char *name = *variable;
        if (name[0] == 'A' && name[1] == 'R' && name[2] == 'E' && name[3] == 'N')
            return true;
    }
    return false;
}

/* Sampling begins here: the dynamic linker is at rest, and the program is not confined yet. For the rest nothing runs
 * before the first block is asked for. */
static __attribute__((constructor)) void at_start(void)
{
    if (CHECKED_BLOCKS || !may_have_options())
        return; /* each block is checked, or none is to be sampled */
    arn__thread_read_options();
    if (arn__options.guard_rate != 0 && arn__sampled_begin(arn__options.guard_rate)) {
        arn__sampled_explain_faults();
        arn__count_for_samples();
    }
}

static __attribute__((destructor)) void at_exit(void)
{
    arn__stats_at_exit();
}
