/* large.c - runs, spans and maps: what they are made of and how they change. */
#include "large.h"

#include <arenite/arenite.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "options.h"
#include "os.h"
#include "pattern.h"
#include "region.h"
#include "shim.h"

enum { MIB = 1 << 20 };

static enum kind kind_of(const void *block)
{
    return arn__kind(arn__descriptor(block));
}

TEST(large, the_kind_follows_from_the_size)
{
    static const struct {
        size_t bytes;
        enum kind kind;
    } cases[] = {
        {32768, KIND_POOL},           {32769, KIND_RUN},     {ARENA_BYTES, KIND_RUN},
        {ARENA_BYTES + 1, KIND_SPAN}, {32 * MIB, KIND_SPAN}, {32 * MIB + 1, KIND_MAP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *block = arn_malloc(cases[i].bytes);
        EXPECT_EQ(kind_of(block), cases[i].kind);
        arn_free(block);
    }
    void *aligned = arn_aligned_alloc(GROUP_BYTES * 2, 100);
    EXPECT_EQ(kind_of(aligned), KIND_MAP);
    arn_free(aligned);
}

/* Memory that was written by blocks of other shapes reads as zero all the same. */
TEST(large, zeroed_blocks_are_zero_where_smaller_and_larger_ones_were)
{
    static const size_t sizes[] = {40000, 262144, 100000, 300000, 2 * MIB + 5, 50000, 700000};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    char *blocks[SIZES];
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < SIZES; i++) {
            size_t bytes = sizes[(i + round) % SIZES];
            blocks[i] = arn_calloc(1, bytes);
            ASSERT_NE(blocks[i], NULL);
            ASSERT_TRUE(pattern_zero(blocks[i], bytes));
            memset(blocks[i], 0xee, arn_malloc_usable_size(blocks[i]));
        }
        for (unsigned i = 0; i < SIZES; i++)
            arn_free(blocks[(i * 3) % SIZES]);
        if (round == 2)
            arn_malloc_trim(0);
        if (round == 3)
            arn_malloc_trim(1 * MIB);
    }
}

/* A span that shrank has written more than it holds. */
static void shrunk_and_grown(void)
{
    arn__options.purge_budget_bytes = (size_t)256 * MIB;
    static const size_t steps[][4] = {
        {900000, 600000, 880000, 270000},    {900000, 300000, 520000, 900000},
        {3 * MIB, 2 * MIB, 5 * MIB, 300000}, {262145, 400000, 262145, 524288},
        {260000, 40000, 200000, 50000},      {262144, 33000, 262144, 262144},
    };
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        char *block = arn_malloc(steps[i][0]);
        memset(block, 0xdd, arn_malloc_usable_size(block));
        for (unsigned j = 1; j < 4; j++) {
            block = arn_realloc(block, steps[i][j]);
            ASSERT_NE(block, NULL);
            memset(block, 0xdd, arn_malloc_usable_size(block));
        }
        arn_free(block);
        for (size_t bytes = 40000; bytes <= 6 * MIB; bytes = bytes * 3 / 2) {
            char *zeroed = arn_calloc(bytes, 1);
            TRACE("steps %u, calloc of %zu", i, bytes);
            ASSERT_TRUE(pattern_zero(zeroed, bytes));
            memset(zeroed, 0xcc, arn_malloc_usable_size(zeroed));
            arn_free(zeroed);
        }
    }
    arn__arena_verify();
}

TEST(large, zeroed_blocks_are_zero_where_others_shrank_and_grew)
{
    IN_OWN_PROCESS(shrunk_and_grown());
}

static void in_place(void)
{
    char *run = arn_malloc(50000);
    pattern_fill(run, 50000, 1);
    EXPECT_EQ(arn_realloc(run, 100000), run);
    EXPECT_EQ(arn_realloc(run, ARENA_BYTES), run);
    EXPECT_EQ(arn_realloc(run, 40000), run);
    EXPECT_TRUE(pattern_holds(run, 50000, 40000, 1));
    /* Of the first region, which is small. */
    void *rest = arn_malloc((arn__regions->arenas - 1) * (size_t)ARENA_BYTES);
    char *span = arn_malloc(300000);
    pattern_fill(span, 300000, 2);
    EXPECT_EQ(arn_realloc(span, 1000000), span);
    EXPECT_EQ(arn_realloc(span, 300000), span);
    EXPECT_TRUE(pattern_holds(span, 300000, 300000, 2));
    char *map = arn_malloc(40 * MIB);
    EXPECT_EQ(arn_realloc(map, 33 * MIB), map);
    EXPECT_EQ(arn_malloc_usable_size(map), 33 * MIB);
    arn_free(run);
    arn_free(rest);
    arn_free(span);
    arn_free(map);
    arn__arena_verify();
}

TEST(large, blocks_grow_and_shrink_where_they_are_if_they_can)
{
    IN_OWN_PROCESS(in_place());
}

static void moves(void)
{
    size_t bytes = (size_t)64 * MIB;
    char *map = arn_malloc(bytes);
    pattern_fill(map, bytes, 5);
    for (unsigned i = 0; i < 6; i++) {
        size_t larger = bytes * 5 / 4;
        map = arn_realloc(map, larger);
        ASSERT_NE(map, NULL);
        EXPECT_EQ(kind_of(map), KIND_MAP);
        ASSERT_TRUE(pattern_holds(map, bytes, bytes, 5));
        pattern_fill(map, larger, 5);
        bytes = larger;
    }
    EXPECT_EQ(atomic_load(&arn__large_totals.maps), 1);
    EXPECT_EQ(atomic_load(&arn__large_totals.map_bytes), arn_malloc_usable_size(map));
    arn_free(map);
    EXPECT_EQ(atomic_load(&arn__large_totals.maps), 0);
    EXPECT_EQ(atomic_load(&arn__large_totals.map_bytes), 0);
}

TEST(large, a_map_grows_by_moving_its_pages)
{
    IN_OWN_PROCESS(moves());
}

/* The flags that the kernel shows of the mapping that holds an address: " rd wr mr ... " */
static bool flags_of(const void *address, char *flags, int flags_bytes)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false;
    bool found = false;
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start;
        uintptr_t end;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
            inside = (uintptr_t)address >= start && (uintptr_t)address < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = snprintf(flags, (size_t)flags_bytes, "%s", line + 8) > 0;
    }
    if (maps != NULL)
        fclose(maps);
    return found;
}

static void grows_huge(int huge, size_t bytes, bool expected)
{
    char flags[256];
    arn__options.huge = huge;
    char *map = arn_realloc(arn_realloc(arn_malloc(512 << 10), 4 * MIB), bytes);
    EXPECT_EQ(kind_of(map), KIND_MAP);
    ASSERT_TRUE(flags_of(map, flags, sizeof flags));
    EXPECT_EQ(strstr(flags, " hg ") != NULL, expected);
    arn_free(map);
}

TEST(large, a_map_that_grows_large_asks_for_huge_pages)
{
    char flags[256];
    if (EMULATED)
        SKIP("an emulator ignores it");
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0 ||
        !flags_of(flags, flags, sizeof flags))
        SKIP("the kernel has no huge pages, or does not show flags");
    IN_OWN_PROCESS(grows_huge(HUGE_AUTO, 15 * MIB, false));
    IN_OWN_PROCESS(grows_huge(HUGE_AUTO, 16 * MIB, true));
    IN_OWN_PROCESS(grows_huge(HUGE_OFF, 16 * MIB, false));
}

static void refused_resize(void)
{
    char *map = arn_malloc(40 * MIB);
    pattern_fill(map, 40 * MIB, 5);
    for (long n = 1; n < 6; n++) {
        arn__os_fail_at(1, n);
        char *resized = arn__large_resize(map, 80 * MIB);
        arn__os_fail_at(0, 0);
        if (resized != NULL) {
            EXPECT_TRUE(pattern_holds(resized, 40 * MIB, 40 * MIB, 5));
            map = arn__large_resize(resized, 40 * MIB);
            ASSERT_NE(map, NULL);
        }
        EXPECT_TRUE(pattern_holds(map, 40 * MIB, 40 * MIB, 5));
        EXPECT_EQ(arn_malloc_usable_size(map), 40 * MIB);
    }
    arn_free(map);
    EXPECT_EQ(atomic_load(&arn__large_totals.map_bytes), 0);
}

TEST(large, a_map_that_cannot_grow_is_as_it_was)
{
    IN_OWN_PROCESS(refused_resize());
}

static void kept(void)
{
    char *map = arn_malloc(40 * MIB), *larger = arn_malloc(50 * MIB);
    memset(map, 1, 40 * MIB);
    memset(larger, 1, 4096);
    arn__os_fail_at(1, 1);
    arn_free(map);
    arn__os_fail_at(1, 1);
    arn_free(larger);
    arn__os_fail_at(0, 0);
    EXPECT_EQ(atomic_load(&arn__large_totals.maps), 0);
    EXPECT_EQ(atomic_load(&arn__large_totals.map_bytes), 0);
    /* Nothing is lost. */
    char *again = arn_calloc(1, 39 * MIB), *other = arn_calloc(1, 33 * MIB);
    EXPECT_TRUE((again == map && other == larger) || (again == larger && other == map));
    EXPECT_TRUE(pattern_zero(again, 39 * MIB));
    EXPECT_TRUE(pattern_zero(other, 33 * MIB));
    EXPECT_GE(arn_malloc_usable_size(again), 39 * MIB);
    EXPECT_EQ(atomic_load(&arn__large_totals.map_bytes), 90 * MIB);
    arn_free(again);
    arn_free(other);
    EXPECT_EQ(atomic_load(&arn__large_totals.map_bytes), 0);
}

TEST(large, a_map_that_the_os_will_not_take_back_is_used_again)
{
    IN_OWN_PROCESS(kept());
}

TEST(large, a_second_free_is_refused)
{
    static const size_t sizes[] = {50000, 300000, 40 * MIB};
    for (unsigned i = 0; i < 3; i++) {
        void *block = arn__large_alloc(sizes[i], 1, false);
        ASSERT_NE(block, NULL);
        EXPECT_TRUE(arn__large_free(block));
        EXPECT_FALSE(arn__large_free(block));
        EXPECT_FALSE(arn__large_unmap(block));
    }
}

TEST(large, a_block_that_grows_again_and_again_becomes_a_map)
{
    void *block = arn__large_alloc_growing(2 * MIB);
    EXPECT_EQ(kind_of(block), KIND_MAP);
    arn_free(block);
    block = arn__large_alloc_growing(100000);
    EXPECT_EQ(kind_of(block), KIND_RUN);
    arn_free(block);
}

TEST(large, only_slice_starts_of_large_blocks_are_their_starts)
{
    char *block = arn_malloc(100000), *pooled = arn_malloc(16);
    EXPECT_TRUE(arn__large_starts(arn__descriptor(block), block));
    EXPECT_FALSE(arn__large_starts(arn__descriptor(block + 16), block + 16));
    EXPECT_FALSE(arn__large_starts(arn__descriptor(block + SLICE_BYTES), block + SLICE_BYTES));
    EXPECT_FALSE(arn__large_starts(arn__descriptor(pooled), pooled));
    arn_free(block);
    arn_free(pooled);
}
