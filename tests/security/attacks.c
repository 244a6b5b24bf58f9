/* attacks.c - what becomes of programs that misuse the heap, under each of the two libraries.
 *
 * Each attack runs in a child of its own. It stops the program with a line on stderr, or makes it die by SIGSEGV, or
 * goes unnoticed, or is held off: it runs to its end, and does not find what it is after.
 *
 * The program runs itself again for each round, so that each has other secrets, and makes the attacks there. In every
 * other round the heap has been used before.
 *
 * Some attacks are noticed by chance only. They go on until they are noticed; how often at most, each says, so that
 * one round in 10^9 fails at the most.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "way.h"

enum { ROUNDS = 20, PLAIN_ROUNDS = 4, SURE_ROUNDS = 4 };

/* Of the blocks that are attacked. */
enum {
    SMALL = 20,           /* in the hardened library: room for a short canary */
    FULL = 24,            /* and for none */
    MEDIUM = 3000,        /* its block has more than 32 bytes to spare there */
    LARGE = 200000,       /* does not end with a page */
    LARGE_PAGES = 262144, /* does */
    MIB = 1 << 20,
};

/* Volatile: compilers see through some of what is done here. */
static unsigned char *volatile block, *volatile other;
static volatile uint64_t told;
static unsigned char zeros[LARGE_PAGES + 2 * MIB];

/* C++'s operators and C23's functions: the library has them. */
extern void *new_(size_t) __asm__("_Znwm") __attribute__((weak));
extern void *new_array(size_t) __asm__("_Znam") __attribute__((weak));
extern void *new_aligned(size_t, size_t) __asm__("_ZnwmSt11align_val_t") __attribute__((weak));
extern void delete_(void *) __asm__("_ZdlPv") __attribute__((weak));
extern void delete_sized(void *, size_t) __asm__("_ZdlPvm") __attribute__((weak));
extern void delete_aligned(void *, size_t) __asm__("_ZdlPvSt11align_val_t") __attribute__((weak));
extern void delete_sized_aligned(void *, size_t, size_t) __asm__("_ZdlPvmSt11align_val_t")
    __attribute__((weak));
extern void delete_array(void *) __asm__("_ZdaPv") __attribute__((weak));
extern void delete_array_sized(void *, size_t) __asm__("_ZdaPvm") __attribute__((weak));
extern void free_sized(void *, size_t) __attribute__((weak));
extern void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));

/* A byte at some distance from the block's start, and no call that could look at what it writes to. */
static void spoil(ptrdiff_t at)
{
    *(volatile unsigned char *)(block + at) ^= 0x41;
}

static void fill(unsigned char *start, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((volatile unsigned char *)start)[i] = 'A';
}

/* Allocations and frees, until blocks that are kept back have come around. */
static void go_on(size_t bytes)
{
    for (unsigned i = 0; i < 3000; i++)
        free(opaque(malloc(bytes)));
}

static bool has_letters(const unsigned char *start, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (((const volatile unsigned char *)start)[i] == 'A')
            return true;
    }
    return false;
}

static void *take(void *bytes)
{
    return malloc((size_t)(uintptr_t)bytes);
}

/* Of a thread that has ended. */
static void *take_elsewhere(size_t bytes)
{
    pthread_t thread;
    void *taken;
    CHECK(pthread_create(&thread, NULL, take, (void *)bytes) == 0);
    CHECK(pthread_join(thread, &taken) == 0);
    return taken;
}

/* ---- freed twice ---- */

static bool twice(size_t bytes)
{
    block = malloc(bytes);
    free(block);
    free(block);
    return true;
}

static bool twice_after_others(size_t bytes)
{
    block = malloc(bytes);
    free(block);
    for (unsigned i = 0; i < (bytes < LARGE ? 1000 : 8); i++)
        free(opaque(malloc(bytes)));
    free(block);
    return true;
}

static bool twice_around_another(size_t bytes)
{
    block = malloc(bytes);
    other = malloc(bytes);
    free(block);
    free(other);
    free(block);
    return true;
}

/* Where the block is handed out at once, the first free of the two is a valid one. */
static bool twice_when_reused(size_t bytes)
{
    block = malloc(bytes);
    free(block);
    other = malloc(bytes);
    free(block);
    free(other);
    return true;
}

static bool twice_elsewhere(size_t bytes)
{
    block = take_elsewhere(bytes);
    free(block);
    free(block);
    return true;
}

static bool twice_by_realloc(size_t bytes)
{
    block = malloc(bytes);
    other = realloc(block, 0);
    free(block);
    return true;
}

/* ---- freed though it is no block ---- */

static bool free_unaligned(size_t bytes)
{
    block = malloc(bytes);
    free(block + 1);
    return true;
}

static bool free_half_aligned(size_t bytes)
{
    block = malloc(bytes);
    free(block + 8);
    return true;
}

static bool free_inside(size_t bytes)
{
    block = malloc(bytes);
    free(block + 16);
    return true;
}

static bool free_deep_inside(size_t bytes)
{
    block = malloc(bytes);
    free(block + bytes / 32 * 16);
    return true;
}

static bool free_beside(size_t bytes)
{
    block = malloc(bytes);
    free(block + 4096);
    return true;
}

static bool free_far(size_t bytes)
{
    block = malloc(bytes);
    free(block + ((size_t)1 << 30));
    return true;
}

static bool free_stack(size_t bytes)
{
    char here[64];
    (void)bytes;
    block = (unsigned char *)here + 16 - (uintptr_t)here % 16;
    free(block);
    return true;
}

static bool free_number(size_t bytes)
{
    block = (void *)bytes;
    free(block);
    return true;
}

static bool free_with_high_bit(size_t bytes)
{
    block = malloc(bytes);
    free((void *)((uintptr_t)block | (uintptr_t)1 << 60));
    return true;
}

/* ---- written beyond its bounds ---- */

static bool past_1(size_t bytes)
{
    block = malloc(bytes);
    spoil((ptrdiff_t)bytes);
    free(block);
    return true;
}

/* In the hardened library, of a block that has no canary: what tells its size. */
static bool past_2(size_t bytes)
{
    block = malloc(bytes);
    spoil((ptrdiff_t)bytes + 1);
    free(block);
    return true;
}

static bool past_32(size_t bytes)
{
    block = malloc(bytes);
    spoil((ptrdiff_t)bytes + 31);
    free(block);
    return true;
}

/* Within the block behind, which is looked at now and then: in one free of 8 at least. */
static bool past_32_often(size_t bytes)
{
    for (unsigned i = 0; i < 300; i++)
        past_32(bytes);
    return true;
}

static bool past_elsewhere(size_t bytes)
{
    block = take_elsewhere(bytes);
    spoil((ptrdiff_t)bytes);
    free(block);
    return true;
}

static bool past_1_realloc(size_t bytes)
{
    block = malloc(bytes);
    spoil((ptrdiff_t)bytes);
    block = realloc(block, 2 * bytes);
    return true;
}

static bool past_1_usable(size_t bytes)
{
    block = malloc(bytes);
    spoil((ptrdiff_t)bytes);
    told = malloc_usable_size(block);
    return true;
}

static bool before_1(size_t bytes)
{
    block = malloc(bytes);
    spoil(-1);
    free(block);
    return true;
}

/* The word may be a link; one of 2^17 that are changed looks like one. */
static bool before_32(size_t bytes)
{
    for (unsigned i = 0; i < 8; i++) {
        block = malloc(bytes);
        spoil(-32);
        free(block);
    }
    return true;
}

/* So far from a large block there is memory of the heap by chance, in one of some hundred cases. Each of these blocks
 * lies elsewhere, and one in 10^9 attacks meets none that is inaccessible. */
static bool spoil_far(size_t bytes, ptrdiff_t at)
{
    enum { LARGE_ONES = 4 };
    for (unsigned i = 0; i < (bytes >= LARGE ? LARGE_ONES : 1); i++) {
        block = malloc(bytes);
        spoil(at);
    }
    free(block);
    return true;
}

static bool past_mib(size_t bytes)
{
    return spoil_far(bytes, (ptrdiff_t)bytes - 1 + MIB);
}

static bool before_mib(size_t bytes)
{
    return spoil_far(bytes, -MIB);
}

/* ---- written when it is free ---- */

/* Words of chance where links are; one of 2^17 looks like a link. */
static bool link_written(size_t bytes)
{
    uint64_t number = 88172645463325252;
    unsigned char *blocks[8];
    for (unsigned i = 0; i < 8; i++)
        blocks[i] = malloc(bytes);
    for (unsigned i = 0; i < 8; i++)
        free(blocks[i]);
    for (unsigned i = 0; i < 8; i++)
        *(volatile uint64_t *)opaque(blocks[i]) = next_number(&number);
    go_on(bytes);
    return true;
}

/* A block waits in one of 64 places; each free empties one: after 3,000 it is still there once in 10^20 rounds. */
static bool middle_written(size_t bytes)
{
    block = malloc(bytes);
    free(block);
    spoil((ptrdiff_t)(bytes / 2));
    go_on(bytes);
    return true;
}

/* As if it had never been used. */
static bool zeros_to_end(size_t bytes)
{
    enum { MEDIUM_BLOCK = 3072 };
    block = malloc(bytes);
    free(block);
    spoil((ptrdiff_t)bytes / 2);
    for (size_t i = bytes; i < MEDIUM_BLOCK; i++)
        ((volatile unsigned char *)block)[i] = 0;
    go_on(bytes);
    return true;
}

static bool last_written(size_t bytes)
{
    block = malloc(bytes);
    free(block);
    spoil((ptrdiff_t)bytes - 1);
    go_on(bytes);
    return true;
}

static bool realloc_freed(size_t bytes)
{
    block = malloc(bytes);
    free(block);
    block = realloc(block, 2 * bytes);
    return true;
}

static bool usable_of_freed(size_t bytes)
{
    block = malloc(bytes);
    free(block);
    told = malloc_usable_size(block);
    return true;
}

/* ---- large blocks that come and go so often that the hardened library closes few of them ---- */

static void make_traffic(size_t bytes)
{
    enum { TURNS = 3000, BLOCKS = 8 };
    for (unsigned turn = 0; turn < TURNS; turn++) {
        void *blocks[BLOCKS];
        for (unsigned i = 0; i < BLOCKS; i++)
            blocks[i] = opaque(malloc(bytes));
        for (unsigned i = 0; i < BLOCKS; i++)
            free(blocks[i]);
    }
}

static bool written_in_traffic(size_t bytes)
{
    make_traffic(bytes);
    block = malloc(bytes);
    free(block);
    spoil((ptrdiff_t)bytes / 2);
    go_on(bytes);
    return true;
}

static bool read_in_traffic(size_t bytes)
{
    make_traffic(bytes);
    block = malloc(bytes);
    fill(block, bytes);
    free(block);
    return has_letters(block, bytes);
}

static bool twice_in_traffic(size_t bytes)
{
    make_traffic(bytes);
    return twice(bytes);
}

static bool past_in_traffic(size_t bytes)
{
    make_traffic(bytes);
    return past_1(bytes);
}

/* ---- what is left in memory ---- */

static bool read_when_freed(size_t bytes)
{
    block = malloc(bytes);
    fill(block, bytes);
    free(block);
    return has_letters(block, bytes);
}

static bool read_when_new(size_t bytes)
{
    unsigned count = bytes < LARGE ? 64 : 2;
    unsigned char *blocks[64];
    for (unsigned i = 0; i < count; i++)
        fill(blocks[i] = malloc(bytes), bytes);
    for (unsigned i = 0; i < count; i++)
        free(blocks[i]);
    bool found = false;
    for (unsigned i = 0; i < count; i++)
        found |= has_letters(opaque(malloc(bytes)), bytes);
    return found;
}

/* ---- where the next block is ---- */

/* A large block's place is drawn from 2^16: three times the same is chance once in 2^48. */
static bool same_again(size_t bytes)
{
    free(malloc(bytes)); /* the first request of a forked child takes another way */
    for (unsigned i = 0; i < 3; i++) {
        block = malloc(bytes);
        free(block);
        other = malloc(bytes);
        if (other != block)
            return false;
        free(other);
    }
    return true;
}

static bool among_the_next(size_t bytes)
{
    block = malloc(bytes);
    free(block);
    for (unsigned i = 0; i < 16; i++) {
        if (opaque(malloc(bytes)) == block)
            return true;
    }
    return false;
}

/* ---- no bytes ---- */

static bool read_of_none(size_t bytes)
{
    block = malloc(bytes);
    told = *(volatile unsigned char *)block;
    return true;
}

static bool write_of_none(size_t bytes)
{
    block = malloc(bytes);
    spoil(0);
    free(block);
    return true;
}

static bool write_of_none_new(size_t bytes)
{
    block = new_array(bytes);
    spoil(0);
    delete_array(block);
    return true;
}

/* A block to which other addresses of the page belong. */
static bool free_inside_none(size_t bytes)
{
    block = malloc(bytes);
    free(block + 8);
    return true;
}

/* ---- freed as something else ---- */

static bool deleted_as_larger(size_t bytes)
{
    block = new_(bytes);
    delete_sized(block, bytes + 72);
    return true;
}

static bool deleted_as_slightly_larger(size_t bytes)
{
    block = new_(bytes);
    delete_sized(block, bytes + 1);
    return true;
}

static bool deleted_array_as_smaller(size_t bytes)
{
    block = new_array(bytes);
    delete_array_sized(block, bytes - 1);
    return true;
}

static bool freed_as_larger(size_t bytes)
{
    block = malloc(bytes);
    free_sized(block, bytes + 1);
    return true;
}

static bool freed_aligned_as_larger(size_t bytes)
{
    block = aligned_alloc(64, bytes);
    free_aligned_sized(block, 64, bytes + 1);
    return true;
}

static bool freed_aligned_as_less(size_t bytes)
{
    block = aligned_alloc(64, bytes);
    free_aligned_sized(block, 32, bytes);
    return true;
}

static bool freed_sized_though_aligned(size_t bytes)
{
    block = aligned_alloc(64, bytes);
    free_sized(block, bytes);
    return true;
}

static bool deleted_aligned_as_more(size_t bytes)
{
    block = new_aligned(bytes, 64);
    delete_aligned(block, 128);
    return true;
}

static bool deleted_plainly_though_aligned(size_t bytes)
{
    block = new_aligned(bytes, 64);
    delete_(block);
    return true;
}

static bool deleted_sized_aligned_wrongly(size_t bytes)
{
    block = new_(bytes);
    delete_sized_aligned(block, bytes, 32);
    return true;
}

static bool array_deleted_plainly(size_t bytes)
{
    block = new_array(bytes);
    delete_(block);
    return true;
}

static bool deleted_as_array(size_t bytes)
{
    block = new_(bytes);
    delete_array(block);
    return true;
}

/* As of an array whose elements have destructors, which was made as a plain one, and the other way round. */
static bool deleted_before_start(size_t bytes)
{
    block = new_(bytes);
    delete_array(block - 8);
    return true;
}

static bool deleted_behind_count(size_t bytes)
{
    block = new_array(bytes);
    delete_(block + 8);
    return true;
}

/* ---- copies ---- */

/* What is copied is hidden: compilers that see zeros call memset. */
static void by_memcpy(unsigned char *target, size_t bytes)
{
    memcpy(target, opaque(zeros), bytes);
}

static void by_memmove(unsigned char *target, size_t bytes)
{
    memmove(target, opaque(zeros), bytes);
}

/* Compilers that know what it is call memcpy. */
static void *(*volatile copy_on)(void *, const void *, size_t) = mempcpy;

static void by_mempcpy(unsigned char *target, size_t bytes)
{
    copy_on(target, zeros, bytes);
}

static void by_memset(unsigned char *target, size_t bytes)
{
    memset(target, 0, bytes);
}

static bool copy_past(void (*copy)(unsigned char *, size_t), size_t bytes, size_t past)
{
    block = malloc(bytes);
    copy(block, bytes + past);
    free(block);
    return true;
}

static bool copy_to_freed(void (*copy)(unsigned char *, size_t), size_t bytes)
{
    block = malloc(bytes);
    free(block);
    copy(block, bytes);
    return true;
}

static bool copy_below(void (*copy)(unsigned char *, size_t), size_t bytes)
{
    block = malloc(bytes);
    copy(block - 16, bytes);
    return true;
}

#define COPIES(function)                            \
    static bool function##_past_1(size_t bytes)     \
    {                                               \
        return copy_past(by_##function, bytes, 1);  \
    }                                               \
    static bool function##_to_freed(size_t bytes)   \
    {                                               \
        return copy_to_freed(by_##function, bytes); \
    }                                               \
    static bool function##_below(size_t bytes)      \
    {                                               \
        return copy_below(by_##function, bytes);    \
    }

COPIES(memcpy)
COPIES(memmove)
COPIES(mempcpy)
COPIES(memset)

static bool memcpy_past_32(size_t bytes)
{
    return copy_past(by_memcpy, bytes, 32);
}

static bool memcpy_past_mib(size_t bytes)
{
    return copy_past(by_memcpy, bytes, MIB);
}

/* From the middle of one block into the next one. */
static bool memset_across(size_t bytes)
{
    block = malloc(bytes);
    memset(block + bytes / 2, 0, bytes / 2 + 1);
    return true;
}

/* ---- others ---- */

static bool get_the_impossible(size_t bytes)
{
    return opaque(malloc(bytes)) != NULL || opaque(calloc(bytes, 3)) != NULL ||
           opaque(realloc(NULL, bytes)) != NULL || opaque(reallocarray(NULL, bytes, 8)) != NULL ||
           opaque(aligned_alloc(4096, bytes)) != NULL || opaque(memalign(64, bytes)) != NULL ||
           opaque(valloc(bytes)) != NULL || opaque(pvalloc(bytes)) != NULL;
}

static bool run_what_is_written(size_t bytes)
{
#if defined(__x86_64__)
    static const unsigned char code[] = {0x90, 0xc3};
#else
    static const unsigned char code[] = {0xc0, 0x03, 0x5f, 0xd6};
#endif
    void (*run)(void);
    block = malloc(bytes);
    memcpy(block, code, sizeof code);
    __builtin___clear_cache((char *)block, (char *)block + sizeof code);
    run = (void (*)(void))(uintptr_t)block;
    run();
    return true;
}

/* ---- what is to become of them ---- */

/* Each way, a bit. */
enum { UNNOTICED = 1, HELD = 2, STOPS = 4, DIES = 8, MORE_IF_USED = 16 };

enum { TEXTS = 5 };

struct outcome {
    unsigned ways;            /* any of these */
    const char *texts[TEXTS]; /* if it stops: "FUNCTION: REASON", one of these */
};

/* clang-format off */
#define WAYS(ways_)                        \
    {                                      \
        .ways = (ways_), .texts = { NULL } \
    }
#define GOES_ON WAYS(UNNOTICED)
#define IS_HELD WAYS(HELD)
#define FAULTS WAYS(DIES)
#define SAYS(...)                               \
    {                                           \
        .ways = STOPS, .texts = { __VA_ARGS__ } \
    }
#define SAYS_OR_FAULTS(...)                                \
    {                                                      \
        .ways = STOPS | DIES, .texts = { __VA_ARGS__ }     \
    }
#define GOES_ON_OR_FAULTS WAYS(UNNOTICED | DIES) /* by chance */
#define FAULTS_IF_NEW WAYS(DIES | MORE_IF_USED)  /* a heap that was used has more that is open */
#define BOTH(...) __VA_ARGS__, __VA_ARGS__

/* The reasons, each once. */
#define DOUBLE "double free"
#define FREED "already freed"
#define GONE "already freed: nothing is allocated here any more"
#define FOREIGN "not allocated by arenite"
#define WILD "wild pointer: no such address in user space"
#define NO_START "not the start of a block"
#define IN_LARGE "inside a large block, not its start"
#define PAST "overwritten past its end"
#define BEFORE "overwritten past its end, or before the start of the block behind"
#define WAITING "overwritten after it was freed"
#define WHEN_FREE "overwritten after it was freed, or past the end of the block before"
#define OTHER_SIZE "not of the size that it is said to have"
#define OTHER_ALIGNMENT "not of the alignment that it is said to have"
#define BY_NEW "allocated by operator new"
#define BY_NEW_ARRAY "allocated by operator new[]"
#define COPIED_PAST "copied to past its end"
#define COPIED_FREE "copied to while it was free"

#define COPY_ROWS(name, past, to_freed, below)                                                 \
    {name " past the end", past, {SMALL, FULL, MEDIUM}, GOES_ON, SAYS(name ": " COPIED_PAST)}, \
        {name " past the end", past, {LARGE_PAGES}, GOES_ON_OR_FAULTS, FAULTS},                \
        {name " to a free block",                                                              \
         to_freed,                                                                             \
         {SMALL, MEDIUM},                                                                      \
         GOES_ON,                                                                              \
         SAYS(name ": " COPIED_FREE)},                                                         \
        {name " to a free block", to_freed, {LARGE}, GOES_ON, FAULTS},                         \
        {name " below the start",                                                              \
         below,                                                                                \
         {SMALL, MEDIUM},                                                                      \
         GOES_ON_OR_FAULTS,                                                                    \
         SAYS(name ": " COPIED_FREE)},                                                         \
    {                                                                                          \
        name " below the start", below, {LARGE}, GOES_ON_OR_FAULTS, FAULTS                     \
    }

struct attack {
    const char *name;
    bool (*commit)(size_t bytes); /* whether it found what it was after */
    size_t bytes[3];              /* once for each; the first may be 0 */
    struct outcome plain, hardened;
};

/* Where blocks lie and what is next to them decides here: in all rounds. */
static const struct attack chancy[] = {
    {"written 1 past the end", past_1, {SMALL, FULL, MEDIUM}, GOES_ON, SAYS("free: " PAST)},
    {"written 1 past the end", past_1, {LARGE}, GOES_ON, SAYS("free: " PAST)},
    {"written 2 past the end", past_2, {SMALL, FULL, MEDIUM}, GOES_ON, SAYS("free: " PAST)},
    {"written 1 past the end", past_1, {LARGE_PAGES}, GOES_ON_OR_FAULTS, FAULTS},
    {"written 32 past the end", past_32, {MEDIUM, LARGE}, GOES_ON, SAYS("free: " PAST)},
    {"written 32 past the end", past_32, {LARGE_PAGES}, GOES_ON_OR_FAULTS, FAULTS},
    {"written 32 past the end, again and again", past_32_often, {SMALL, FULL},
     GOES_ON, SAYS("free: " WHEN_FREE, "malloc: " WHEN_FREE, "free: " BEFORE)},
    {"written past the end, another thread's", past_elsewhere, {SMALL, FULL, MEDIUM}, GOES_ON, SAYS("free: " PAST)},
    {"written past the end, resized", past_1_realloc, {SMALL, FULL, MEDIUM}, GOES_ON, SAYS("realloc: " PAST)},
    {"written past the end, resized", past_1_realloc, {LARGE}, GOES_ON, SAYS("realloc: " PAST)},
    {"written past the end, measured", past_1_usable, {FULL}, GOES_ON, SAYS("malloc_usable_size: " PAST)},
    {"written 1 before the start", before_1, {SMALL, FULL, MEDIUM}, GOES_ON_OR_FAULTS, SAYS("free: " BEFORE)},
    {"written 1 before the start", before_1, {LARGE, LARGE_PAGES}, GOES_ON_OR_FAULTS, FAULTS},
    {"written 32 before the start", before_32, {SMALL, MEDIUM}, GOES_ON_OR_FAULTS, SAYS("free: " BEFORE)},
    {"written 32 before the start", before_32, {LARGE, LARGE_PAGES}, GOES_ON_OR_FAULTS, FAULTS},
    {"written 1 MiB past the end", past_mib, {SMALL, MEDIUM}, GOES_ON_OR_FAULTS, FAULTS_IF_NEW},
    {"written 1 MiB past the end", past_mib, {LARGE}, GOES_ON_OR_FAULTS, FAULTS},
    {"written 1 MiB before the start", before_mib, {SMALL, MEDIUM}, GOES_ON_OR_FAULTS, FAULTS_IF_NEW},
    {"written 1 MiB before the start", before_mib, {LARGE}, GOES_ON_OR_FAULTS, FAULTS},

    {"links written", link_written, {SMALL, MEDIUM},
     SAYS("malloc: " WHEN_FREE), SAYS("malloc: " WHEN_FREE, "free: " WHEN_FREE, "free: " BEFORE)},
    {"the middle written when free", middle_written, {FULL, MEDIUM},
     GOES_ON, SAYS("malloc: " WHEN_FREE, "free: " WHEN_FREE, "free: " BEFORE)},
    {"the middle written when free", middle_written, {LARGE}, GOES_ON, FAULTS},
    {"the last byte written when free", last_written, {FULL, MEDIUM},
     GOES_ON, SAYS("malloc: " WHEN_FREE, "free: " WHEN_FREE, "free: " BEFORE)},
    {"the last byte written when free", last_written, {LARGE}, GOES_ON, FAULTS},
    {"the middle written when free, and zeros behind", zeros_to_end, {MEDIUM},
     GOES_ON, SAYS("malloc: " WHEN_FREE, "free: " WHEN_FREE, "free: " BEFORE)},
    {"resized when free", realloc_freed, {SMALL, MEDIUM}, BOTH(SAYS("realloc: " FREED))},
    {"resized when free", realloc_freed, {LARGE}, SAYS("realloc: " GONE), SAYS("realloc: " FOREIGN)},
    {"measured when free", usable_of_freed, {SMALL, MEDIUM}, BOTH(SAYS("malloc_usable_size: " FREED))},
    {"measured when free", usable_of_freed, {LARGE},
     SAYS("malloc_usable_size: " GONE), SAYS("malloc_usable_size: " FOREIGN)},

    {"read when free", read_when_freed, {SMALL, MEDIUM}, GOES_ON, IS_HELD},
    {"read when free", read_when_freed, {LARGE}, GOES_ON, FAULTS},
    {"read when new", read_when_new, {SMALL, MEDIUM}, GOES_ON, IS_HELD},
    {"read when new", read_when_new, {LARGE}, GOES_ON, IS_HELD},
    {"handed out again at once", same_again, {SMALL, MEDIUM, LARGE}, GOES_ON, IS_HELD},
    {"handed out again soon", among_the_next, {SMALL, MEDIUM}, GOES_ON, IS_HELD},
};

/* What pointers, sizes and kinds tell; in a few of the rounds. */
static const struct attack sure[] = {
    {"freed twice", twice, {SMALL, MEDIUM}, BOTH(SAYS("free: " DOUBLE))},
    {"freed twice", twice, {LARGE}, SAYS("free: " GONE), SAYS("free: " FOREIGN)},
    {"freed twice, others in between", twice_after_others, {SMALL, MEDIUM}, BOTH(SAYS("free: " DOUBLE))},
    {"freed twice, others in between", twice_after_others, {LARGE}, SAYS("free: " GONE), SAYS("free: " FOREIGN)},
    {"freed twice, another in between", twice_around_another, {SMALL, MEDIUM}, BOTH(SAYS("free: " DOUBLE))},
    {"freed twice, another in between", twice_around_another, {LARGE}, SAYS("free: " GONE), SAYS("free: " FOREIGN)},
    {"freed twice, reused in between", twice_when_reused, {SMALL, MEDIUM}, BOTH(SAYS("free: " DOUBLE))},
    {"freed twice, reused in between", twice_when_reused, {LARGE}, SAYS("free: " GONE), SAYS("free: " FOREIGN)},
    {"freed twice, another thread's", twice_elsewhere, {SMALL, MEDIUM},
     SAYS("free: " DOUBLE, "free: " GONE), SAYS("free: " DOUBLE)},
    {"freed twice, first by realloc", twice_by_realloc, {SMALL, MEDIUM}, BOTH(SAYS("free: " DOUBLE))},

    {"written when free, many come and go", written_in_traffic, {LARGE, LARGE_PAGES},
     GOES_ON_OR_FAULTS, SAYS_OR_FAULTS("malloc: " WAITING, "free: " WAITING)}, /* used again, or closed first */
    {"read when free, many come and go", read_in_traffic, {LARGE}, GOES_ON_OR_FAULTS, WAYS(HELD | DIES)},
    {"freed twice, many come and go", twice_in_traffic, {LARGE}, SAYS("free: " GONE), SAYS("free: " FOREIGN)},
    {"written 1 past the end, many come and go", past_in_traffic, {LARGE, LARGE_PAGES},
     GOES_ON_OR_FAULTS, SAYS_OR_FAULTS("free: " PAST)},

    {"freed by an odd address", free_unaligned, {SMALL, MEDIUM, LARGE}, BOTH(SAYS("free: " NO_START))},
    {"freed by half of 16", free_half_aligned, {SMALL, MEDIUM, LARGE}, BOTH(SAYS("free: " NO_START))},
    {"freed 16 bytes inside", free_inside, {SMALL, MEDIUM, LARGE}, BOTH(SAYS("free: " NO_START))},
    {"freed deep inside", free_deep_inside, {MEDIUM}, BOTH(SAYS("free: " NO_START))},
    {"freed deep inside", free_deep_inside, {LARGE}, SAYS("free: " IN_LARGE), SAYS("free: " FOREIGN)},
    {"freed 4096 bytes beside", free_beside, {SMALL, MEDIUM},
     BOTH(SAYS("free: " NO_START, "free: " DOUBLE, "free: " GONE, "free: " FOREIGN))},
    {"freed 1 GiB beside", free_far, {SMALL, MEDIUM, LARGE}, BOTH(SAYS("free: " FOREIGN))},
    {"a stack's freed", free_stack, {0}, BOTH(SAYS("free: " FOREIGN))},
    {"a number freed", free_number, {1, 48, 1 << 20}, BOTH(SAYS("free: " FOREIGN))},
    {"freed with a high bit", free_with_high_bit, {SMALL, MEDIUM, LARGE}, BOTH(SAYS("free: " WILD))},

    {"a block of no bytes read", read_of_none, {0}, GOES_ON, FAULTS},
    {"a block of no bytes written", write_of_none, {0}, GOES_ON, FAULTS},
    {"a block of no bytes written, by new", write_of_none_new, {0}, GOES_ON, FAULTS},
    {"a block of no bytes freed inside", free_inside_none, {0}, BOTH(SAYS("free: " NO_START))},
    {"a block of no bytes freed twice", twice, {0}, BOTH(SAYS("free: " DOUBLE))},

    {"deleted as larger", deleted_as_larger, {SMALL}, BOTH(SAYS("operator delete: " OTHER_SIZE))},
    {"deleted as slightly larger", deleted_as_slightly_larger, {SMALL, MEDIUM, LARGE},
     GOES_ON, SAYS("operator delete: " OTHER_SIZE)},
    {"deleted as a smaller array", deleted_array_as_smaller, {SMALL, MEDIUM, LARGE},
     GOES_ON, SAYS("operator delete[]: " OTHER_SIZE)},
    {"freed as larger", freed_as_larger, {SMALL, MEDIUM, LARGE}, GOES_ON, SAYS("free_sized: " OTHER_SIZE)},
    {"freed as larger, aligned", freed_aligned_as_larger, {SMALL, MEDIUM, LARGE},
     GOES_ON, SAYS("free_aligned_sized: " OTHER_SIZE)},
    {"freed as aligned less", freed_aligned_as_less, {SMALL, MEDIUM, LARGE},
     GOES_ON, SAYS("free_aligned_sized: " OTHER_ALIGNMENT)},
    {"freed as not aligned", freed_sized_though_aligned, {SMALL, MEDIUM, LARGE},
     GOES_ON, SAYS("free_sized: " OTHER_ALIGNMENT)},
    {"deleted as aligned more", deleted_aligned_as_more, {SMALL, MEDIUM, LARGE},
     GOES_ON, SAYS("operator delete: " OTHER_ALIGNMENT)},
    {"deleted as not aligned", deleted_plainly_though_aligned, {SMALL, MEDIUM, LARGE},
     GOES_ON, SAYS("operator delete: " OTHER_ALIGNMENT)},
    {"deleted as aligned", deleted_sized_aligned_wrongly, {SMALL, MEDIUM, LARGE},
     GOES_ON, SAYS("operator delete: " OTHER_ALIGNMENT)},
    {"an array deleted as none", array_deleted_plainly, {SMALL, MEDIUM, LARGE},
     GOES_ON, SAYS("operator delete: " BY_NEW_ARRAY)},
    {"deleted as an array", deleted_as_array, {SMALL, MEDIUM, LARGE}, GOES_ON, SAYS("operator delete[]: " BY_NEW)},
    {"deleted before its start", deleted_before_start, {SMALL, MEDIUM},
     SAYS("operator delete[]: " NO_START, "operator delete[]: " GONE, "operator delete[]: " FOREIGN),
     SAYS("operator delete[]: " NO_START)},
    {"deleted behind its count", deleted_behind_count, {SMALL, MEDIUM, LARGE},
     BOTH(SAYS("operator delete: " NO_START))},

    COPY_ROWS("memcpy", memcpy_past_1, memcpy_to_freed, memcpy_below),
    COPY_ROWS("memmove", memmove_past_1, memmove_to_freed, memmove_below),
    COPY_ROWS("mempcpy", mempcpy_past_1, mempcpy_to_freed, mempcpy_below),
    COPY_ROWS("memset", memset_past_1, memset_to_freed, memset_below),
    {"memcpy 32 past the end", memcpy_past_32, {SMALL, MEDIUM}, GOES_ON_OR_FAULTS, SAYS("memcpy: " COPIED_PAST)},
    {"memcpy 32 past the end", memcpy_past_32, {LARGE_PAGES}, GOES_ON_OR_FAULTS, FAULTS},
    {"memcpy 1 MiB past the end", memcpy_past_mib, {SMALL, MEDIUM}, GOES_ON_OR_FAULTS, SAYS("memcpy: " COPIED_PAST)},
    {"memcpy 1 MiB past the end", memcpy_past_mib, {LARGE}, GOES_ON_OR_FAULTS, FAULTS},
    {"memset from the middle past the end", memset_across, {SMALL, MEDIUM}, GOES_ON, SAYS("memset: " COPIED_PAST)},

    {"more than there is", get_the_impossible, {SIZE_MAX - 1, SIZE_MAX / 2 + 1, SIZE_MAX - 4096}, BOTH(IS_HELD)},
    {"written and run", run_what_is_written, {SMALL, MEDIUM, LARGE}, BOTH(FAULTS)},
};
/* clang-format on */
enum { CHANCY = sizeof chancy / sizeof *chancy, SURE = sizeof sure / sizeof *sure };

/* ---- rounds ---- */

/* Blocks of all sizes have come and gone; no attack finds those that stay. */
static void use_heap(void)
{
    enum { BLOCKS = 2000 };
    static void *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(i % 50 == 0 ? LARGE : i % 5 == 0 ? MEDIUM : i % 3 == 0 ? SMALL : i);
    for (unsigned i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static int lines; /* what a child says */

/* Never returns. */
static void commit(const struct attack *attack, size_t bytes)
{
    alarm(100);
    CHECK(dup2(lines, 2) == 2);
    _exit(attack->commit(bytes) ? 0 : 1);
}

static bool is_text(const char *line, const char *text)
{
    char pattern[200], rest[200];
    const char *reason = strstr(text, ": ");
    int function_length = (int)(reason - text);
    snprintf(pattern, sizeof pattern, "arenite: %.*s(0x", function_length, text);
    snprintf(rest, sizeof rest, ")%s\n", reason);
    if (strncmp(line, pattern, strlen(pattern)) != 0)
        return false;
    const char *behind = line + strlen(pattern);
    behind += strspn(behind, "0123456789abcdef");
    return strcmp(behind, rest) == 0;
}

static bool is_among(const char *line, const struct outcome *outcome)
{
    for (unsigned i = 0; i < TEXTS && outcome->texts[i] != NULL; i++) {
        if (is_text(line, outcome->texts[i]))
            return true;
    }
    return false;
}

/* 0: none of them. */
static unsigned way_of(int status, const char *line)
{
    if (WIFEXITED(status) && line[0] == '\0')
        return WEXITSTATUS(status) == 0 ? UNNOTICED : WEXITSTATUS(status) == 1 ? HELD : 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        return STOPS;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && line[0] == '\0')
        return DIES;
    return 0;
}

static bool is_expected(const struct outcome *expected, unsigned way, const char *line, bool used)
{
    if (way == UNNOTICED && used && (expected->ways & MORE_IF_USED) != 0)
        return true;
    return (way & expected->ways) != 0 && (way != STOPS || is_among(line, expected));
}

static bool comes_out(const struct attack *attack, size_t bytes, bool used)
{
    const struct outcome *expected = is_hardened() ? &attack->hardened : &attack->plain;
    char line[400];
    int status;
    CHECK(ftruncate(lines, 0) == 0 && lseek(lines, 0, SEEK_SET) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        commit(attack, bytes);
    CHECK(waitpid(child, &status, 0) == child);
    ssize_t length = pread(lines, line, sizeof line - 1, 0);
    CHECK(length >= 0);
    line[length] = '\0';
    if (is_expected(expected, way_of(status, line), line, used))
        return true;
    dprintf(2, "%s, %zu bytes: status %x: %s\n", attack->name, bytes, status, line);
    return false;
}

static bool all_come_out(const struct attack *attacks, size_t count, bool used)
{
    bool well = true;
    for (size_t i = 0; i < count; i++) {
        for (unsigned n = 0; n < 3 && (n == 0 || attacks[i].bytes[n] != 0); n++)
            well &= comes_out(&attacks[i], attacks[i].bytes[n], used);
    }
    return well;
}

static int one_round(unsigned number)
{
    bool used = number % 2 == 1;
    CHECK((lines = memfd_create("lines", MFD_CLOEXEC)) >= 0);
    if (used)
        use_heap();
    bool well = all_come_out(chancy, CHANCY, used);
    if (number < SURE_ROUNDS)
        well &= all_come_out(sure, SURE, used);
    return well ? 0 : 1;
}

/* The default library notices little of what chance decides on. */
int main(int count, char **arguments)
{
    CHECK(new_ != NULL && new_array != NULL && free_sized != NULL);
    if (count > 1)
        return one_round((unsigned)atoi(arguments[1]));
    if (emulated())
        return one_round(1);
    bool well = true;
    for (unsigned i = 0; i < (is_hardened() ? ROUNDS : PLAIN_ROUNDS); i++) {
        static struct said said;
        char number[12];
        snprintf(number, sizeof number, "%u", i);
        run_again(&said, number, "ARENITE_OPTIONS", NULL);
        if (said.status != 0)
            dprintf(2, "round %u: status %x\n%s", i, said.status, said.text);
        well &= said.status == 0;
    }
    return well ? 0 : 1;
}
