/* inline.c - the fast paths that programs inline do what the functions do. */
#include <arenite/inline.h>
#include <stdint.h>
#include <string.h>

#include "pattern.h"
#include "shim.h"
#include "size_class.h"
#include "thread.h"

TEST(inline_, classes_are_those_of_the_library)
{
    for (size_t bytes = 1; bytes <= POOLED_BYTES; bytes++) {
        unsigned c = arn__class_of(bytes);
        if (arn__inline_class(bytes) != c ||
            arn__inline_block_bytes(bytes) != arn__size_classes[c].block_bytes)
            FAIL("%zu bytes", bytes);
    }
}

static bool is_in_extent(const struct size_class *class, int64_t offset, uint64_t count)
{
    return arn__inline_position((uint64_t)offset, class->block_bytes) < count;
}

/* Distances up to 2^63, about each of which all offsets are looked at. */
static bool is_exact(const struct size_class *class, int64_t distance, unsigned count)
{
    int64_t bytes = class->block_bytes;
    for (int64_t offset = distance - 4 * bytes; offset <= distance + 4 * bytes; offset++) {
        bool is_in = offset >= 0 && offset < count * bytes && offset % bytes == 0;
        if (is_in_extent(class, offset, count) != is_in)
            return false;
    }
    return true;
}

TEST(inline_, what_is_in_an_extent_is_told_from_everything_else)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct size_class *class = &arn__size_classes[c];
        unsigned counts[] = {0, 1, 3, class->capacity};
        for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
            for (int64_t offset = -(1 << 18); offset < 1 << 18; offset += class->block_bytes * 4) {
                if (!is_exact(class, offset, counts[i]))
                    FAIL("about %ld, %u blocks of %u", (long)offset, counts[i], class->block_bytes);
            }
        }
        for (unsigned shift = 18; shift <= 62; shift++) {
            int64_t distance = (int64_t)1 << shift;
            if (!is_exact(class, distance, class->capacity) ||
                !is_exact(class, -distance, class->capacity) ||
                !is_exact(class, INT64_MAX - distance, class->capacity))
                FAIL("about 2^%u, of %u", shift, class->block_bytes);
        }
    }
}

TEST(inline_, blocks_are_whole_and_apart)
{
    enum { BLOCKS = 600 };
    static const size_t some[] = {0, 1, 16, 24, 100, 1024, 1025, 5000, 32768, 32769, 300000};
    char *blocks[BLOCKS];
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            size_t bytes = some[i % (sizeof some / sizeof *some)];
            blocks[i] = arn_inline_malloc(bytes);
            ASSERT_NE(blocks[i], NULL);
            ASSERT_GE(arn_malloc_usable_size(blocks[i]), bytes);
            pattern_fill(blocks[i], bytes, i);
        }
        for (unsigned n = 0; n < BLOCKS; n++) {
            unsigned i = n * 7 % BLOCKS; /* 7 and 600 have no common factor */
            size_t bytes = some[i % (sizeof some / sizeof *some)];
            ASSERT_TRUE(pattern_holds(blocks[i], bytes, bytes, i));
            if (round % 2 == 0)
                arn_inline_free(blocks[i]);
            else
                arn_inline_free_sized(blocks[i], bytes);
        }
    }
    arn_inline_free(NULL);
    arn_inline_free_sized(NULL, 64);
    EXPECT_EQ(arn_inline_malloc(SIZE_MAX), NULL);
}

/* The size is a constant only if it is written so. */
#define HOLDS_FOR(constant)                                                               \
    do {                                                                                  \
        void *first = arn_inline_malloc(constant), *second = arn_inline_malloc(constant); \
        ASSERT_EQ(arn_malloc_usable_size(first),                                          \
                  arn__size_classes[arn__class_of(constant)].block_bytes);                \
        arn_inline_free_sized(first, constant);                                           \
        arn_inline_free_sized(second, constant);                                          \
        ASSERT_EQ(arn_inline_malloc(constant), second);                                   \
        ASSERT_EQ(arn_inline_malloc(constant), first);                                    \
        arn_inline_free_sized(second, (constant)*3 / 4); /* realloc might have left it so */ \
        arn_inline_free_sized(first, constant);                                           \
    } while (0)

TEST(inline_, a_constant_size_leads_to_its_class)
{
    HOLDS_FOR(16);
    HOLDS_FOR(48);
    HOLDS_FOR(64);
    HOLDS_FOR(1024);
    HOLDS_FOR(1100);
    HOLDS_FOR(4096);
    HOLDS_FOR(9000);
    HOLDS_FOR(20000);
    HOLDS_FOR(32768);
}

static void full_and_back(void)
{
    enum { BLOCKS = 2000 };
    static char *blocks[BLOCKS];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = arn_inline_malloc(96);
            memset(blocks[i], (int)i, 96);
        }
        for (unsigned n = 0; n < BLOCKS; n++) {
            unsigned i = n * 7 % BLOCKS;
            ASSERT_EQ(blocks[i][95], (char)i);
            arn_inline_free_sized(blocks[i], 96);
        }
        struct arn_stats stats;
        arn_stats(&stats);
        ASSERT_EQ(stats.used_bytes, 0);
    }
}

TEST(inline_, pools_fill_and_empty)
{
    IN_OWN_PROCESS(full_and_back());
}

static char *volatile block;

/* Where the next block of the current pool will be. */
static char *uncarved(size_t bytes)
{
    unsigned c = arn__class_of(bytes);
    const struct descriptor *pool;
    do {
        block = arn_inline_malloc(bytes);
        pool = arn__thread.heap->current[c];
    } while (pool->carved == arn__size_classes[c].capacity);
    return arn__pool_base(pool) + (size_t)pool->carved * bytes;
}

TEST(inline_, what_was_never_handed_out_is_no_block)
{
    EXPECT_DEATH(arn_inline_free_sized(uncarved(64), 64), "not the start of a block");
    EXPECT_DEATH(arn_inline_free_sized(uncarved(48), 48), "not the start of a block");
}

TEST(inline_, misuse_is_noticed)
{
    block = arn_inline_malloc(64);
    EXPECT_DEATH((arn_inline_free(block), arn_inline_free(block)), "double free");
    EXPECT_DEATH((arn_inline_free_sized(block, 64), arn_inline_free_sized(block, 64)),
                 "double free");
    EXPECT_DEATH(arn_inline_free(block + 8), "not the start of a block");
    EXPECT_DEATH(arn_inline_free_sized(block + 8, 64), "not the start of a block");
    EXPECT_DEATH(arn_inline_free_sized(block + 16, 64), "not the start of a block");
    char *volatile foreign = (char *)&block;
    EXPECT_DEATH(arn_inline_free(foreign), "not allocated");
    EXPECT_DEATH(arn_inline_free_sized(foreign, 64), "not allocated");
    arn_inline_free(block);
}

/* Bits above the address space, which could make a multiple of what is none. */
TEST(inline_, wild_pointers_are_noticed)
{
    char *even = arn_inline_malloc(48);
    block = arn_inline_malloc(64);
    for (uintptr_t bits = (uintptr_t)1 << ARN__ADDRESS_BITS; bits != 0; bits <<= 4) {
        char *volatile wild = (char *)((uintptr_t)block ^ bits);
        EXPECT_DEATH(arn_inline_free(wild), "wild pointer");
        EXPECT_DEATH(arn_inline_free_sized(wild, 64), "wild pointer");
        EXPECT_DEATH(arn_inline_free_sized(wild + 8, 64), "wild pointer");
        wild = (char *)((uintptr_t)even ^ bits);
        EXPECT_DEATH(arn_inline_free(wild), "wild pointer");
        EXPECT_DEATH(arn_inline_free_sized(wild, 48), "wild pointer");
    }
    arn_inline_free(block);
    arn_inline_free(even);
}
