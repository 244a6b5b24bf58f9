/* limits.c - where memory ends for real: rlimits, locked pages, no more mappings. */
#include <arenite/arenite.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "os.h"
#include "pattern.h"
#include "region.h"
#include "sanitized.h"
#include "shim.h"

/* Sanitizers keep terabytes of address space and map what they like. */
#define SKIP_IF_SANITIZED() \
    if (SANITIZED)          \
    SKIP("not with a sanitizer")

enum { MIB = 1 << 20, MOST = 200000 };

static char *held[MOST];

/* Takes blocks until there is no memory; returns how many. */
static unsigned exhaust(size_t bytes)
{
    unsigned count = 0;
    while (count < MOST) {
        errno = 0;
        char *block = arn_malloc(bytes);
        if (block == NULL)
            break;
        memset(block, (int)count, bytes < 64 ? bytes : 64);
        held[count++] = block;
    }
    return count;
}

static void give_back(unsigned count, size_t bytes)
{
    for (unsigned i = 0; i < count; i++) {
        for (size_t j = 0; j < bytes && j < 64; j++)
            ASSERT_EQ(held[i][j], (char)i);
        arn_free(held[i]);
    }
}

static size_t mapped_bytes(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%zu", &pages) != 1)
        return 0;
    fclose(file);
    return pages * arn__os_page_bytes();
}

static void use_up(int resource, size_t bytes, size_t least)
{
    size_t limit_bytes =
        resource == RLIMIT_AS ? mapped_bytes() + (size_t)64 * MIB : (size_t)64 * MIB;
    struct rlimit limit = {limit_bytes, limit_bytes};
    ASSERT_EQ(setrlimit(resource, &limit), 0);
    for (unsigned round = 0; round < 3; round++) {
        unsigned count = exhaust(bytes);
        EXPECT_EQ(errno, ENOMEM);
        EXPECT_GE(count * bytes, least);
        TRACE("round %u, %u blocks of %zu", round, count, bytes);
        errno = 0;
        EXPECT_EQ(arn_realloc(held[0], (size_t)80 * MIB), NULL);
        EXPECT_EQ(errno, ENOMEM);
        EXPECT_EQ((void *)arn_calloc(80, MIB), NULL);
        give_back(count, bytes);
        void *block = arn_malloc(bytes); /* service resumes */
        EXPECT_NE(block, NULL);
        arn_free(block);
    }
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
    arn__arena_verify();
}

static const size_t sizes[] = {500, 20000, 100000, 1000000, 10000000};

/* An emulator needs its address space, and ignores limits to it. */
#define SKIP_IF_EMULATED() \
    if (EMULATED)          \
    SKIP("not in an emulator")

TEST_EACH(limits, of_address_space_are_met_with_ENOMEM, size_t, bytes, sizes)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(use_up(RLIMIT_AS, bytes, (size_t)40 * MIB));
}

TEST_EACH(limits, of_data_are_met_with_ENOMEM, size_t, bytes, sizes)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(use_up(RLIMIT_DATA, bytes, (size_t)30 * MIB));
}

/* The start maps slack to align its region in. */
static void start_within_limit(void)
{
    ASSERT_EQ((void *)arn__regions, NULL);
    size_t before = mapped_bytes();
    struct rlimit limit = {before + (size_t)64 * MIB, before + (size_t)64 * MIB};
    ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    arn_free(arn_malloc(1));
    EXPECT_LT(mapped_bytes() - before, sizeof(struct tract) + MIB + 64 * 1024);
}

TEST(limits, of_address_space_are_not_spent_on_slack)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(start_within_limit());
}

static void limit_address_space(size_t more_bytes)
{
    size_t limit_bytes = mapped_bytes() + more_bytes;
    struct rlimit limit = {limit_bytes, RLIM_INFINITY};
    ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

/* Slices of arenas that are there in part. */
static unsigned slices_of_parts(void)
{
    unsigned slices = 0;
    for (const struct region *region = arn__regions; region != NULL; region = region->next)
        slices += region->slices < ARENA_SLICES ? region->slices * region->arenas : 0;
    return slices;
}

static void all_comes_back(unsigned count, size_t bytes)
{
    give_back(count, bytes);
    arn__arena_verify();
    arn_malloc_trim(0);
    EXPECT_EQ(slices_of_parts(), 0);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
    EXPECT_LE(stats.reserved_bytes, 4 * (size_t)ARENA_BYTES);
    arn__arena_verify();
}

/* Less than an arena is left, three times. Of that a table may take ten slices each time, for it is chance whether
 * the kernel offers a place in a tract that has one, and the record of a region two. */
static void fill_the_rest(void)
{
    enum { BYTES = 500, LEFT_SLICES = 14, ROUNDS = 3, PART_SLICES = LEFT_SLICES - 10 - 2 };
    limit_address_space(8 * MIB);
    unsigned count = exhaust(BYTES), before = slices_of_parts();
    for (unsigned round = 0; round < ROUNDS; round++) {
        limit_address_space((size_t)LEFT_SLICES * SLICE_BYTES);
        char *block;
        while ((block = arn_malloc(BYTES)) != NULL && count < MOST) {
            memset(block, (int)count, 64);
            held[count++] = block;
        }
    }
    EXPECT_GE(slices_of_parts(), before + ROUNDS * PART_SLICES);
    EXPECT_EQ(arn_malloc(100000), NULL);
    limit_address_space((size_t)64 * MIB);
    pid_t child = fork();
    if (child == 0) {
        all_comes_back(count, BYTES);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    for (unsigned i = 0; i < count; i += 2)
        arn_free(held[i]);
    for (unsigned i = 0; i < count; i += 2) {
        ASSERT_NE(held[i] = arn_malloc(BYTES), NULL);
        memset(held[i], (int)i, 64);
    }
    all_comes_back(count, BYTES);
}

TEST(limits, that_leave_less_than_an_arena_are_filled_by_the_slice)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(fill_the_rest());
}

/* Blocks of a class whose pools are arenas: the first few take no arena each, later ones do. */
static void few_take_little(void)
{
    enum { FEW = 4, MANY = 40 };
    static const size_t classes[] = {10000, 12000, 14000, 16000, 20000, 24000, 28000, 32768};
    limit_address_space((size_t)64 * MIB);
    arn_free(arn_malloc(1));
    size_t before = mapped_bytes(), sum = 0;
    unsigned count = 0;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        for (unsigned k = 0; k < FEW; k++, sum += classes[i]) {
            ASSERT_NE(held[count] = arn_malloc(classes[i]), NULL);
            memset(held[count], (int)count, 64);
            count++;
        }
    }
    EXPECT_LT(mapped_bytes() - before, sum + sum / 2 + 2 * ARENA_BYTES);
    for (unsigned k = 0; k < MANY; k++) {
        ASSERT_NE(held[count] = arn_malloc(32768), NULL);
        memset(held[count], (int)count, 64);
        count++;
    }
    EXPECT_EQ(arn__kind(arn__descriptor(held[count - 1])), KIND_POOL);
    all_comes_back(count, 64);
}

TEST(limits, that_are_tight_give_few_blocks_no_arena_of_their_own)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(few_take_little());
}

/* Also of blocks that get no pool. */
static void aligned_as_asked(void)
{
    static const size_t alignments[] = {64, 4096, 16384, 32768, 65536};
    unsigned count = 0;
    limit_address_space((size_t)64 * MIB);
    for (unsigned k = 0; k < 8; k++) {
        for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
            held[count++] = arn_malloc(10000); /* a slice between */
            ASSERT_NE(held[count] = arn_aligned_alloc(alignments[i], alignments[i]), NULL);
            EXPECT_EQ((uintptr_t)held[count] % alignments[i], 0);
            memset(held[count], (int)count, 64);
            count++;
        }
    }
    while (count > 0)
        arn_free(held[--count]);
}

TEST(limits, that_are_tight_leave_alignments_alone)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(aligned_as_asked());
}

/* A pool of nine blocks, one of them out, from before memory was short. */
static void pool_of_before(void)
{
    enum { BYTES = 28000, OTHERS = 8 };
    char *first = arn_malloc(BYTES);
    limit_address_space(4 * MIB);
    unsigned count = exhaust(100);
    for (unsigned i = 0; i < OTHERS; i++)
        EXPECT_NE(held[MOST - 1 - i] = arn_malloc(BYTES), NULL);
    for (unsigned i = 0; i < OTHERS; i++)
        arn_free(held[MOST - 1 - i]);
    give_back(count, 100);
    arn_free(first);
}

TEST(limits, leave_the_blocks_that_pools_have)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(pool_of_before());
}

/* Regions that can be reserved and not opened, many times. */
static void refused_again_and_again(void)
{
    enum { TIMES = 2000 };
    struct rlimit limit = {16 * MIB, RLIM_INFINITY};
    struct arn_stats before, after;
    ASSERT_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
    unsigned count = exhaust(1000);
    ASSERT_LT(count, MOST);
    limit.rlim_cur += MIB - 256 * 1024; /* for what the library needs itself */
    ASSERT_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
    arn_stats(&before);
    for (unsigned i = 0; i < TIMES; i++)
        EXPECT_EQ(arn_malloc(MIB), NULL);
    arn_stats(&after);
    EXPECT_EQ(after.metadata_bytes, before.metadata_bytes);
    give_back(count, 1000);
}

TEST(limits, that_refuse_for_ever_take_no_memory_for_it)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(refused_again_and_again());
}

/* Whoever was refused a small block finds no room for a larger one. */
static void small_to_the_end(void)
{
    static const size_t classes[] = {8, 1000, 5000, 20000};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        limit_address_space(2 * MIB + i * 300000);
        unsigned count = exhaust(classes[i]);
        EXPECT_GT(count, 10);
        EXPECT_EQ(arn_malloc(40000), NULL);
        give_back(count, classes[i]);
        void *larger = arn_malloc(40000);
        EXPECT_NE(larger, NULL);
        arn_free(larger);
        arn__arena_verify();
    }
}

TEST(limits, are_used_to_the_end_by_small_blocks)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(small_to_the_end());
}

/* Runs that waste less than maps would: arenas hold them. */
static void free_the_end(void)
{
    enum { BLOCKS = 100, BYTES = 240 << 10, KEPT = 10 };
    limit_address_space((size_t)64 * MIB);
    for (unsigned i = 0; i < BLOCKS; i++) {
        ASSERT_NE(held[i] = arn_malloc(BYTES), NULL);
        memset(held[i], (int)i, 64);
    }
    size_t before = arn__region_totals.reserved_bytes;
    EXPECT_GE(before, (size_t)BLOCKS * BYTES);
    for (unsigned i = KEPT; i < BLOCKS; i++)
        arn_free(held[i]);
    size_t mapped = mapped_bytes();
    arn_malloc_trim(0);
    EXPECT_LE(arn__region_totals.reserved_bytes, (size_t)(KEPT + 2) * ARENA_BYTES);
    EXPECT_LE(mapped_bytes(), mapped - (before - arn__region_totals.reserved_bytes) + 64 * 1024);
    EXPECT_LE(arn__region_totals.opened_bytes, arn__region_totals.reserved_bytes);
    arn__arena_verify();
    for (unsigned i = KEPT; i < BLOCKS; i++) { /* new regions lie where the ends were */
        ASSERT_NE(held[i] = arn_malloc(BYTES), NULL);
        memset(held[i], (int)i, 64);
    }
    all_comes_back(BLOCKS, BYTES);
}

TEST(limits, that_are_tight_let_the_free_end_of_a_region_go)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(free_the_end());
}

/* What was taken in one size is there for another. */
static void every_size_in_turn(void)
{
    size_t limit_bytes = mapped_bytes() + (size_t)64 * MIB;
    struct rlimit limit = {limit_bytes, limit_bytes};
    ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    for (unsigned round = 0; round < 10; round++) {
        size_t bytes = sizes[round % 5];
        unsigned count = exhaust(bytes);
        TRACE("round %u, %u blocks of %zu", round, count, bytes);
        EXPECT_GE(count * bytes, (size_t)35 * MIB);
        give_back(count, bytes);
    }
}

TEST(limits, memory_that_one_size_had_serves_the_next)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED();
    IN_OWN_PROCESS(every_size_in_turn());
}

static void locked(void)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        SKIP("this user may not lock its memory");
    for (unsigned round = 0; round < 3; round++) {
        for (size_t bytes = 10; bytes < (size_t)40 * MIB; bytes *= 7) {
            char *block = arn_calloc(1, bytes);
            if (block == NULL) {
                EXPECT_EQ(errno, ENOMEM);
                continue;
            }
            EXPECT_TRUE(pattern_zero(block, bytes));
            memset(block, 0xff, arn_malloc_usable_size(block));
            char *larger = arn_realloc(block, bytes * 2);
            arn_free(larger != NULL ? larger : block);
        }
        arn_malloc_trim(0);
    }
    arn__arena_verify();
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
}

TEST(limits, locked_memory_does_no_harm)
{
    SKIP_IF_SANITIZED();
    IN_OWN_PROCESS(locked());
}

/* As many mappings as the system allows: every second page of a range is of another kind. */
static void no_more_mappings(void)
{
    size_t page_bytes = arn__os_page_bytes(), pages = 400000;
    char *early = arn_malloc(100);
    char *maps[3];
    for (unsigned i = 0; i < 3; i++)
        maps[i] = arn_malloc((size_t)40 * MIB);
    char *range = mmap(NULL, pages * page_bytes, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(range, MAP_FAILED);
    size_t split = 1;
    while (split < pages && mprotect(range + split * page_bytes, page_bytes, PROT_READ) == 0)
        split += 2;
    if (split >= pages) {
        munmap(range, pages * page_bytes);
        SKIP("the system allows more mappings than this makes");
    }
    for (unsigned i = 0; i < 3; i++)
        arn_free(maps[i]);
    for (unsigned i = 0; i < 5; i++) {
        unsigned count = 0;
        for (; count < 2000; count++) {
            errno = 0;
            held[count] = arn_malloc(sizes[i]);
            if (held[count] == NULL)
                break;
            memset(held[count], (int)count, 64);
        }
        EXPECT_TRUE(count == 2000 || errno == ENOMEM);
        char *map = arn_malloc((size_t)50 * MIB);
        if (map != NULL) {
            memset(map, 1, 4096);
            char *larger = arn_realloc(map, (size_t)70 * MIB);
            arn_free(larger != NULL ? larger : map);
        }
        give_back(count, 64);
        arn_malloc_trim(0);
    }
    munmap(range, pages * page_bytes);
    for (unsigned i = 0; i < 3; i++) {
        maps[i] = arn_calloc(1, (size_t)40 * MIB); /* service resumes */
        ASSERT_NE(maps[i], NULL);
        EXPECT_TRUE(pattern_zero(maps[i], (size_t)40 * MIB));
    }
    for (unsigned i = 0; i < 3; i++)
        arn_free(maps[i]);
    arn_free(early);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
    arn__arena_verify();
}

TEST(limits, no_more_mappings_is_survived)
{
    SKIP_IF_SANITIZED();
    SKIP_IF_EMULATED(); /* takes an hour */
    IN_OWN_PROCESS(no_more_mappings());
}
