/* alloc.c - the public functions, as POSIX, C23 and glibc say. */
#include "alloc.h"

#include <arenite/arenite.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "os.h"
#include "pattern.h"
#include "region.h"
#include "shim.h"

enum { KIB = 1024, MIB = 1024 * 1024 };
static const size_t gib = (size_t)1 << 30;

/* One of each kind, and the edges between them. */
static const size_t sizes[] = {
    1,
    15,
    16,
    17,
    24,
    100,
    1023,
    1024,
    1025,
    1152,
    2000,
    4096,
    8192,
    8193,
    10000,
    20000,
    32767,
    32768,
    32769,
    49152,
    65536,
    100000,
    262143,
    262144,
    262145,
    300000,
    1 * MIB,
    2 * MIB,
    2 * MIB + 1,
    5 * MIB + 7,
    32 * MIB - 1,
    32 * MIB,
    32 * MIB + 1,
    40 * MIB + 123,
};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Requests that no machine can serve. */
static const size_t impossible[] = {SIZE_MAX,           SIZE_MAX - 1,    SIZE_MAX - 15,
                                    SIZE_MAX - 4095,    SIZE_MAX - 4096, SIZE_MAX / 2 + 1,
                                    SIZE_MAX / 2,       PTRDIFF_MAX,     PTRDIFF_MAX - 1,
                                    PTRDIFF_MAX - 4096, (size_t)1 << 60, (size_t)1 << 48};

/* Keeps the compiler from knowing where a pointer is from. */
static void *launder(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static size_t used_bytes(void)
{
    struct arn_stats stats;
    arn_stats(&stats);
    return stats.used_bytes;
}

TEST_EACH(alloc, malloc_gives_what_was_asked_for, size_t, bytes, sizes)
{
    errno = 1234;
    char *block = arn_malloc(bytes);
    ASSERT_NE(block, NULL);
    EXPECT_EQ(errno, 1234);
    EXPECT_EQ((uintptr_t)block % 16, 0);
    size_t usable = arn_malloc_usable_size(block);
    EXPECT_GE(usable, bytes);
    memset(block, 0x5a, usable);
    EXPECT_EQ(errno, 1234);
    arn_free(block);
    EXPECT_EQ(errno, 1234);
}

TEST_EACH(alloc, usable_size_is_within_the_waste_bound, size_t, bytes, sizes)
{
    void *block = arn_malloc(bytes);
    ASSERT_NE(block, NULL);
    size_t waste = arn_malloc_usable_size(block) - bytes;
    EXPECT_LE(waste, bytes <= 1024 ? 15 : bytes <= 32768 ? bytes / 4 : 16383);
    arn_free(block);
}

TEST(alloc, malloc_of_nothing_is_a_block_of_its_own)
{
    void *first = launder(arn_malloc(0)), *second = launder(arn_malloc(0));
    ASSERT_NE(first, NULL);
    ASSERT_NE(second, NULL);
    EXPECT_NE(first, second);
    arn_free(first);
    arn_free(second);
}

TEST(alloc, malloc_of_nothing_loses_no_freed_blocks)
{
    enum { COUNT = 600 };
    static void *blocks[COUNT];
    size_t before = used_bytes();
    for (unsigned round = 0; round < 300; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            blocks[i] = i % 3 == round % 3 ? arn_malloc(0) : arn_malloc(16);
            if (i % 7 == 3) {
                arn_free(blocks[i / 2]);
                blocks[i / 2] = arn_malloc(0);
            }
        }
        for (size_t i = 0; i < COUNT; i++)
            arn_free(blocks[i]);
    }
    EXPECT_EQ(used_bytes(), before);
    arn_malloc_trim(0);
    EXPECT_EQ(used_bytes(), before);
    struct descriptor *pool = arn__thread.heap->current[0];
    EXPECT_EQ(pool, NULL); /* released: all of its blocks had come back */
}

TEST(alloc, what_no_machine_has_is_ENOMEM)
{
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        size_t bytes = impossible[i];
        TRACE("%zx bytes", bytes);
        errno = 0;
        EXPECT_EQ(launder(arn_malloc(bytes)), NULL);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(launder(arn_calloc(1, bytes)), NULL);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(launder(arn_calloc(bytes, 1)), NULL);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(arn_realloc(NULL, bytes), NULL);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(arn_reallocarray(NULL, bytes, 1), NULL);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(launder(arn_valloc(bytes)), NULL);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(launder(arn_pvalloc(bytes)), NULL);
        EXPECT_EQ(errno, ENOMEM);
        for (size_t alignment = 8; alignment <= gib; alignment *= 8) {
            errno = 0;
            EXPECT_EQ(launder(arn_memalign(alignment, bytes)), NULL);
            EXPECT_EQ(errno, ENOMEM);
            errno = 0;
            EXPECT_EQ(launder(arn_aligned_alloc(alignment, bytes)), NULL);
            EXPECT_EQ(errno, ENOMEM);
            errno = 0;
            void *block = &block;
            EXPECT_EQ(arn_posix_memalign(&block, alignment, bytes), ENOMEM);
            EXPECT_EQ(errno, ENOMEM); /* as glibc leaves it */
            EXPECT_EQ(block, &block); /* untouched */
        }
    }
}

static size_t dirty_bytes(void)
{
    struct arn_stats stats;
    arn_stats(&stats);
    return stats.dirty_bytes;
}

TEST(alloc, a_request_that_no_address_space_holds_costs_nothing_that_is_kept_ready)
{
    char *large = arn_malloc(100000), *small = arn_malloc(100), *map = arn_malloc(40 * MIB);
    char *dirty = arn_malloc(200000);
    memset(dirty, 1, 200000);
    arn_free(dirty);
    size_t before = dirty_bytes();
    ASSERT_GT(before, 0);
    for (size_t bytes = ARN__ADDRESS_SPACE_BYTES; bytes != 0; bytes <<= 1) {
        TRACE("%zx bytes", bytes);
        EXPECT_EQ(launder(arn_malloc(bytes)), NULL);
        EXPECT_EQ(launder(arn_calloc(bytes, 1)), NULL);
        EXPECT_EQ(launder(arn_memalign(bytes, 1)), NULL);
        EXPECT_EQ(launder(arn_memalign(4096, bytes - 1)), NULL);
        EXPECT_EQ(launder(arn_pvalloc(bytes)), NULL);
        EXPECT_EQ(arn_realloc(small, bytes), NULL);
        EXPECT_EQ(arn_realloc(large, bytes), NULL);
        EXPECT_EQ(arn_reallocarray(map, bytes / 2, 2), NULL);
    }
    EXPECT_EQ(dirty_bytes(), before);
    arn_free(large);
    arn_free(small);
    arn_free(map);
}

TEST(alloc, a_product_that_overflows_is_ENOMEM)
{
    static const size_t factors[][2] = {{SIZE_MAX, 2},
                                        {2, SIZE_MAX},
                                        {SIZE_MAX / 2 + 1, 2},
                                        {(size_t)1 << 32, (size_t)1 << 32},
                                        {((size_t)1 << 32) + 1, ((size_t)1 << 32) - 1 + 2},
                                        {SIZE_MAX, SIZE_MAX}};
    char *kept = arn_malloc(100);
    pattern_fill(kept, 100, 1);
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        errno = 0;
        EXPECT_EQ(launder(arn_calloc(factors[i][0], factors[i][1])), NULL);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(arn_reallocarray(NULL, factors[i][0], factors[i][1]), NULL);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT_EQ(arn_reallocarray(kept, factors[i][0], factors[i][1]), NULL);
        EXPECT_EQ(errno, ENOMEM);
    }
    EXPECT_TRUE(pattern_holds(kept, 100, 100, 1));
    arn_free(kept);
}

TEST(alloc, a_realloc_that_fails_leaves_the_block)
{
    for (size_t i = 0; i < SIZES; i++) {
        char *block = arn_malloc(sizes[i]);
        ASSERT_NE(block, NULL);
        pattern_fill(block, sizes[i], i);
        for (size_t j = 0; j < sizeof impossible / sizeof *impossible; j++) {
            errno = 0;
            EXPECT_EQ(arn_realloc(block, impossible[j]), NULL);
            EXPECT_EQ(errno, ENOMEM);
        }
        EXPECT_TRUE(pattern_holds(block, sizes[i], sizes[i], i));
        arn_free(block);
    }
}

TEST(alloc, alignments_that_are_no_power_of_two_are_EINVAL)
{
    static const size_t wrong[] = {0, 3, 5, 6, 7, 9, 12, 24, 48, 100, 4095, 4097, SIZE_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        EXPECT_EQ(launder(arn_aligned_alloc(wrong[i], 100)), NULL);
        EXPECT_EQ(errno, EINVAL);
        errno = 77;
        void *block = &block;
        EXPECT_EQ(arn_posix_memalign(&block, wrong[i], 100), EINVAL);
        EXPECT_EQ(block, &block);
        EXPECT_EQ(errno, 77);
    }
    void *block;
    for (size_t alignment = 1; alignment < sizeof(void *); alignment *= 2) {
        EXPECT_EQ(arn_posix_memalign(&block, alignment, 100), EINVAL);
        void *small = arn_aligned_alloc(alignment, 100);
        EXPECT_NE(small, NULL);
        arn_free(small);
    }
    errno = 0;
    EXPECT_EQ(launder(arn_memalign(SIZE_MAX / 2 + 2, 1)), NULL);
    EXPECT_EQ(errno, EINVAL);
}

TEST(alloc, memalign_rounds_an_alignment_up_as_glibc_does)
{
    static const size_t pairs[][2] = {{0, 16},      {1, 16},          {3, 16},
                                      {17, 32},     {24, 32},         {100, 128},
                                      {4097, 8192}, {100000, 131072}, {3 * MIB, 4 * MIB}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        void *block = arn_memalign(pairs[i][0], 50);
        ASSERT_NE(block, NULL);
        EXPECT_EQ((uintptr_t)block % pairs[i][1], 0);
        arn_free(block);
    }
}

static const size_t alignments[] = {1 << 4,  1 << 5,  1 << 6,  1 << 7,  1 << 8,  1 << 9,
                                    1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15,
                                    1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21,
                                    1 << 22, 1 << 24, 1 << 26, 1 << 28, 1 << 30};

TEST_EACH(alloc, aligned_blocks_lie_at_the_alignment, size_t, alignment, alignments)
{
    static const size_t some[] = {0,     1,     16,    17,     1000,   4096,   5000,    16384,
                                  30000, 32768, 40000, 100000, 262144, 300000, 3 * MIB, 40 * MIB};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        void *blocks[3];
        for (unsigned j = 0; j < 3; j++) {
            TRACE("%zu bytes at %zu, number %u", some[i], alignment, j);
            errno = 99;
            if (j == 0)
                blocks[j] = arn_aligned_alloc(alignment, some[i]);
            else if (j == 1)
                blocks[j] = arn_memalign(alignment, some[i]);
            else
                ASSERT_EQ(arn_posix_memalign(&blocks[j], alignment, some[i]), 0);
            ASSERT_NE(blocks[j], NULL);
            EXPECT_EQ(errno, 99);
            EXPECT_EQ((uintptr_t)blocks[j] % alignment, 0);
            size_t usable = arn_malloc_usable_size(blocks[j]);
            EXPECT_GE(usable, some[i]);
            pattern_fill(blocks[j], usable, j);
        }
        EXPECT_NE(blocks[0], blocks[1]);
        EXPECT_NE(blocks[1], blocks[2]);
        for (unsigned j = 0; j < 3; j++) {
            size_t usable = arn_malloc_usable_size(blocks[j]);
            EXPECT_TRUE(pattern_holds(blocks[j], usable, usable, j));
            arn_free(blocks[j]);
        }
    }
}

TEST(alloc, an_aligned_block_of_nothing_is_memory_of_its_own)
{
    for (size_t alignment = 16; alignment <= gib; alignment *= 2) {
        TRACE("alignment %zu", alignment);
        char *block = arn_aligned_alloc(alignment, 0);
        ASSERT_NE(block, NULL);
        ASSERT_GT(arn_malloc_usable_size(block), 0);
        if (alignment <= POOLED_BYTES)
            EXPECT_EQ(arn_malloc_usable_size(block), alignment);
        *(volatile char *)block = 1;
        arn_free(block);
    }
}

TEST(alloc, valloc_and_pvalloc_know_pages)
{
    size_t page_bytes = arn__os_page_bytes();
    for (size_t i = 0; i < SIZES; i++) {
        void *block = arn_valloc(sizes[i]);
        EXPECT_EQ((uintptr_t)block % page_bytes, 0);
        void *rounded = arn_pvalloc(sizes[i]);
        EXPECT_EQ((uintptr_t)rounded % page_bytes, 0);
        EXPECT_GE(arn_malloc_usable_size(rounded),
                  (sizes[i] + page_bytes - 1) / page_bytes * page_bytes);
        arn_free(block);
        arn_free(rounded);
    }
    void *page = arn_pvalloc(0);
    ASSERT_NE(page, NULL);
    EXPECT_GE(arn_malloc_usable_size(page), page_bytes);
    arn_free(page);
}

TEST(alloc, calloc_is_zero_for_every_size_also_after_reuse)
{
    for (unsigned round = 0; round < 4; round++) {
        for (size_t i = 0; i < SIZES; i++) {
            void *blocks[5];
            unsigned count = sizes[i] < 256 << 10 ? 5 : sizes[i] < 8 * MIB ? 2 : 1;
            for (unsigned j = 0; j < count; j++) {
                TRACE("round %u, %zu bytes, number %u", round, sizes[i], j);
                blocks[j] = (round + j) % 2 == 0 ? arn_calloc(1, sizes[i]) : arn_calloc(sizes[i], 1);
                ASSERT_NE(blocks[j], NULL);
                ASSERT_TRUE(pattern_zero(blocks[j], sizes[i]));
                memset(blocks[j], 0xff, arn_malloc_usable_size(blocks[j]));
            }
            for (unsigned j = 0; j < count; j++)
                arn_free(blocks[round & 1 ? count - 1 - j : j]);
        }
        if (round == 1)
            arn_malloc_trim(0);
    }
}

TEST(alloc, calloc_is_zero_for_every_class_as_the_pool_is_carved_freed_and_filled_again)
{
    static void *blocks[2100];
    for (unsigned c = 0; c < CLASSES; c++) {
        size_t bytes = arn__size_classes[c].block_bytes;
        size_t count = (size_t)arn__size_classes[c].capacity * 2 + 3;
        for (unsigned round = 0; round < 3; round++) {
            for (size_t i = 0; i < count; i++) {
                blocks[i] = arn_calloc(1, bytes);
                ASSERT_NE(blocks[i], NULL);
                if (!pattern_zero(blocks[i], bytes))
                    FAIL("round %u, block %zu of %zu bytes is not zero", round, i, bytes);
                memset(blocks[i], 0xa5, bytes);
            }
            for (size_t i = 0; i < count; i++) {
                arn_free(blocks[i]);
                if (i % 3 == 0 && round == 1) {
                    void *again = arn_calloc(bytes / 8, 8);
                    ASSERT_TRUE(pattern_zero(again, bytes));
                    memset(again, 0xc3, bytes);
                    arn_free(again);
                }
            }
        }
    }
    arn_malloc_trim(0);
}

/* Freed and never-used blocks are on one list. */
TEST(alloc, calloc_is_zero_where_freed_blocks_and_fresh_ones_mix)
{
    enum { BLOCKS = 400 };
    static const size_t mixed[] = {1, 16, 17, 100, 500, 1000, 3000, 20000};
    for (unsigned s = 0; s < sizeof mixed / sizeof *mixed; s++) {
        char *blocks[BLOCKS];
        uint64_t seed = s;
        size_t bytes = mixed[s];
        memset(blocks, 0, sizeof blocks);
        for (unsigned round = 0; round < 20 * BLOCKS; round++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            unsigned idx = (seed >> 33) % BLOCKS;
            arn_free(blocks[idx]);
            blocks[idx] = seed >> 63 ? arn_malloc(bytes) : arn_calloc(1, bytes);
            ASSERT_NE(blocks[idx], NULL);
            if (!(seed >> 63))
                ASSERT_TRUE(pattern_zero(blocks[idx], bytes));
            memset(blocks[idx], 0xa5, bytes);
        }
        for (unsigned i = 0; i < BLOCKS; i++)
            arn_free(blocks[i]);
    }
}

TEST(alloc, calloc_of_nothing_is_a_block)
{
    void *block = arn_calloc(0, 0), *other = arn_calloc(0, SIZE_MAX),
         *third = arn_calloc(SIZE_MAX, 0);
    EXPECT_NE(block, NULL);
    EXPECT_NE(other, NULL);
    EXPECT_NE(third, NULL);
    arn_free(block);
    arn_free(other);
    arn_free(third);
}

static const size_t steps[] = {1,       16,          17,       64,       100,      1024,
                               1025,    3000,        8192,     20000,    32768,    32769,
                               50000,   100000,      262144,   262145,   500000,   1 * MIB,
                               3 * MIB, 8 * MIB + 5, 31 * MIB, 32 * MIB, 33 * MIB, 48 * MIB};
enum { STEPS = sizeof steps / sizeof *steps };

TEST_EACH(alloc, realloc_keeps_the_contents_to_and_from_every_kind, size_t, from, steps)
{
    for (size_t i = 0; i < STEPS; i++) {
        size_t to = steps[i];
        TRACE("from %zu to %zu bytes", from, to);
        char *block = arn_malloc(from);
        ASSERT_NE(block, NULL);
        pattern_fill(block, from, i);
        errno = 55;
        char *moved = arn_realloc(block, to);
        ASSERT_NE(moved, NULL);
        EXPECT_EQ(errno, 55);
        EXPECT_EQ((uintptr_t)moved % 16, 0);
        size_t usable = arn_malloc_usable_size(moved);
        EXPECT_GE(usable, to);
        ASSERT_TRUE(pattern_holds(moved, from, to < from ? to : from, i));
        pattern_fill(moved, usable, i + 1);
        char *back = arn_realloc(moved, from);
        ASSERT_NE(back, NULL);
        ASSERT_TRUE(pattern_holds(back, usable, to < from ? to : from, i + 1));
        arn_free(back);
    }
}

TEST(alloc, realloc_of_nothing_allocates_and_to_nothing_frees)
{
    size_t before = used_bytes();
    char *block = arn_realloc(NULL, 100);
    ASSERT_NE(block, NULL);
    EXPECT_GT(used_bytes(), before);
    errno = 0;
    EXPECT_EQ(arn_realloc(block, 0), NULL);
    EXPECT_EQ(errno, 0);
    EXPECT_EQ(used_bytes(), before);
    void *empty = arn_realloc(NULL, 0);
    EXPECT_NE(empty, NULL);
    EXPECT_EQ(arn_reallocarray(empty, 0, 10), NULL);
    EXPECT_EQ(used_bytes(), before);
}

TEST(alloc, reallocarray_multiplies)
{
    char *block = arn_reallocarray(NULL, 10, 100);
    ASSERT_NE(block, NULL);
    EXPECT_GE(arn_malloc_usable_size(block), 1000);
    pattern_fill(block, 1000, 3);
    block = arn_reallocarray(block, 1000, 100);
    ASSERT_NE(block, NULL);
    EXPECT_GE(arn_malloc_usable_size(block), 100000);
    EXPECT_TRUE(pattern_holds(block, 1000, 1000, 3));
    arn_free(block);
}

TEST(alloc, a_block_that_shrinks_by_much_gives_memory_back)
{
    size_t before = used_bytes();
    for (size_t i = 0; i < SIZES; i++) {
        char *block = arn_malloc(sizes[i]);
        block = arn_realloc(block, 1);
        ASSERT_NE(block, NULL);
        TRACE("from %zu", sizes[i]);
        EXPECT_LE(used_bytes() - before, 64);
        arn_free(block);
    }
}

TEST(alloc, a_block_that_grows_step_by_step_stays_whole)
{
    char *block = NULL;
    size_t filled = 0;
    for (size_t bytes = 1; bytes < 80 * MIB; bytes += bytes / 3 + 7) {
        block = arn_realloc(block, bytes);
        ASSERT_NE(block, NULL);
        ASSERT_TRUE(pattern_holds(block, filled, filled, 9));
        pattern_fill(block, bytes, 9);
        filled = bytes;
    }
    arn_free(block);
}

TEST(alloc, every_way_to_free_frees)
{
    size_t before = used_bytes();
    for (size_t i = 0; i < SIZES; i++) {
        void *block = arn_malloc(sizes[i]);
        errno = 4321;
        arn_free_sized(block, sizes[i]);
        block = arn_aligned_alloc(64, sizes[i]);
        arn_free_aligned_sized(block, 64, sizes[i]);
        EXPECT_EQ(errno, 4321);
    }
    arn_free_sized(NULL, 0);
    arn_free_aligned_sized(NULL, 16, 0);
    arn_free(NULL);
    EXPECT_EQ(used_bytes(), before);
}

TEST(alloc, usable_size_of_null_is_0)
{
    EXPECT_EQ(arn_malloc_usable_size(NULL), 0);
}

TEST(alloc, trim_gives_back_what_is_free_and_says_so)
{
    enum { COUNT = 64 };
    void *blocks[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = arn_malloc(100000);
        memset(blocks[i], 1, 100000);
    }
    for (size_t i = 0; i < COUNT; i++)
        arn_free(blocks[i]);
    arn_malloc_trim(0);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.dirty_bytes, 0);
    EXPECT_EQ(arn_malloc_trim(0), 0);
    void *block = arn_malloc(200000);
    memset(block, 1, 200000);
    arn_free(block);
    EXPECT_EQ(arn_malloc_trim(0), 1);
}

TEST(alloc, blocks_that_live_together_do_not_overlap)
{
    enum { COUNT = 3000 };
    static char *blocks[COUNT];
    static size_t bytes[COUNT];
    uint64_t random = 42;
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t r = pattern_random(&random);
        bytes[i] = r >> 8 & (r & 15 ? 1023 : 65535);
        blocks[i] = arn_malloc(bytes[i]);
        ASSERT_NE(blocks[i], NULL);
        bytes[i] = arn_malloc_usable_size(blocks[i]);
        pattern_fill(blocks[i], bytes[i], i);
    }
    for (size_t i = 0; i < COUNT; i++) {
        EXPECT_TRUE(pattern_holds(blocks[i], bytes[i], bytes[i], i));
        arn_free(blocks[i]);
    }
}

TEST(alloc, the_version_is_three_numbers)
{
    unsigned major, minor, patch;
    EXPECT_EQ(sscanf(arn_version(), "%u.%u.%u", &major, &minor, &patch), 3);
}
