/* arena.c - slices: who holds them, what is dirty, what reads as zero. */
#include "arena.h"

#include <arenite/arenite.h>
#include <string.h>

#include "os.h"
#include "pattern.h"
#include "purge.h"
#include "region.h"
#include "shim.h"

static size_t live_bytes(void)
{
    return atomic_load(&arn__arena_totals.live_bytes);
}

static size_t dirty_bytes(void)
{
    return atomic_load(&arn__arena_totals.dirty_bytes);
}

static void started(void)
{
    arn_free(arn_malloc(1));
    arn_malloc_trim(0);
}

static void apart(void)
{
    started();
    size_t before = live_bytes();
    enum { COUNT = 200 };
    char *taken[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned slices = i % 16 + 1;
        taken[i] = arn__slices_take(slices, slices == 1 || slices == 4 || slices == 16);
        ASSERT_NE(taken[i], NULL);
        ASSERT_EQ((uintptr_t)taken[i] / ARENA_BYTES,
                  ((uintptr_t)taken[i] + slices * SLICE_BYTES - 1) / ARENA_BYTES);
        for (unsigned j = 0; j < i; j++)
            ASSERT_TRUE(taken[i] + slices * SLICE_BYTES <= taken[j] ||
                        taken[j] + (j % 16 + 1) * SLICE_BYTES <= taken[i]);
    }
    arn__arena_verify();
    for (unsigned i = 0; i < COUNT; i++)
        arn__slices_put(taken[i], i % 16 + 1, 1);
    arn__arena_verify();
    EXPECT_EQ(live_bytes(), before);
}

TEST(arena, slices_are_held_once_and_within_one_arena)
{
    IN_OWN_PROCESS(apart());
}

static void aligned(void)
{
    started();
    for (unsigned i = 0; i < 60; i++) {
        unsigned slices = i % 3 == 0 ? 1 : i % 3 == 1 ? 4 : 16;
        char *base = arn__slices_take(slices, true);
        ASSERT_EQ((uintptr_t)base % (slices * SLICE_BYTES), 0);
        arn__slices_take(1 + i % 3, false);
    }
}

TEST(arena, pools_slices_lie_at_a_multiple_of_their_number)
{
    IN_OWN_PROCESS(aligned());
}

static void fullest_first(void)
{
    started();
    char *first[16], *second[16];
    for (unsigned i = 0; i < 16; i++)
        first[i] = arn__slices_take(1, true);
    for (unsigned i = 0; i < 16; i++)
        second[i] = arn__slices_take(1, true);
    for (unsigned i = 0; i < 3; i++)
        arn__slices_put(first[i], 1, 0);
    for (unsigned i = 0; i < 8; i++)
        arn__slices_put(second[i], 1, 0);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ((uintptr_t)arn__slices_take(1, true) / ARENA_BYTES,
                  (uintptr_t)first[0] / ARENA_BYTES);
    EXPECT_EQ((uintptr_t)arn__slices_take(1, true) / ARENA_BYTES,
              (uintptr_t)second[0] / ARENA_BYTES);
}

TEST(arena, the_fullest_gives_first)
{
    IN_OWN_PROCESS(fullest_first());
}

static void grows(void)
{
    started();
    char *base = arn__slices_take(3, false);
    EXPECT_TRUE(arn__slices_take_at(base + 3 * SLICE_BYTES, 2));
    EXPECT_FALSE(arn__slices_take_at(base + 4 * SLICE_BYTES, 2)); /* one is held */
    EXPECT_TRUE(arn__slices_take_at(base + 5 * SLICE_BYTES, 11));
    EXPECT_FALSE(arn__slices_take_at(base + 16 * SLICE_BYTES, 1)); /* the next arena's */
    arn__slices_put(base, 16, 16);
    base = arn__slices_take(15, false);
    EXPECT_FALSE(arn__slices_take_at(base + 15 * SLICE_BYTES, 2));
    EXPECT_TRUE(arn__slices_take_at(base + 15 * SLICE_BYTES, 1));
    arn__arena_verify();
}

TEST(arena, slices_behind_a_run_are_taken_if_free)
{
    IN_OWN_PROCESS(grows());
}

static bool is_clean(const char *base, unsigned slices)
{
    return (arn__arena(base)->dirty >> arn__slice_in_arena(base) & ((1u << slices) - 1)) == 0;
}

static void knows_zero(void)
{
    started();
    bool clean = false;
    char *base = arn__slices_take_told(16, &clean);
    EXPECT_TRUE(clean);
    EXPECT_TRUE(is_clean(base, 16));
    memset(base, 1, 5 * SLICE_BYTES);
    size_t before = dirty_bytes();
    arn__slices_put(base, 16, 5);
    EXPECT_EQ(dirty_bytes(), before + 5 * SLICE_BYTES);
    char *again = arn__slices_take_told(16, &clean);
    ASSERT_EQ(again, base);
    EXPECT_FALSE(clean);
    EXPECT_EQ(dirty_bytes(), before);
    EXPECT_FALSE(is_clean(base, 5));
    EXPECT_FALSE(is_clean(base, 16));
    EXPECT_TRUE(is_clean(base + 5 * SLICE_BYTES, 11));
    arn__slices_zero(base, 16 * SLICE_BYTES);
    EXPECT_TRUE(pattern_zero(base, 16 * SLICE_BYTES));
    memset(base, 1, SLICE_BYTES);
    arn__slices_put(base, 16, 0); /* what was dirty when taken still is */
    EXPECT_EQ(dirty_bytes(), before + 5 * SLICE_BYTES);
    arn__arena_verify();
}

TEST(arena, knows_which_slices_read_as_zero)
{
    IN_OWN_PROCESS(knows_zero());
}

static void zero_in_part(void)
{
    started();
    char *span = arn__span_take(3, 1);
    memset(span, 1, 3 * ARENA_BYTES);
    arn__span_put(span, 3, 3 * ARENA_BYTES);
    ASSERT_EQ(arn__span_take(3, 1), span);
    size_t bytes = 2 * ARENA_BYTES + 3 * SLICE_BYTES + 100;
    arn__slices_zero(span, bytes);
    EXPECT_TRUE(pattern_zero(span, bytes));
    EXPECT_EQ(span[bytes], 1); /* no more than was asked */
}

TEST(arena, zeroes_spans_across_arenas_to_the_byte)
{
    IN_OWN_PROCESS(zero_in_part());
}

static void touched(void)
{
    started();
    size_t before = dirty_bytes();
    char *span = arn__span_take(3, 1);
    arn__span_put(span, 3, ARENA_BYTES + 1);
    EXPECT_EQ(dirty_bytes(), before + ARENA_BYTES + SLICE_BYTES);
    arn__arena_verify();
    ASSERT_EQ(arn__span_take(3, 1), span);
    EXPECT_FALSE(is_clean(span, 16));
    EXPECT_FALSE(is_clean(span + ARENA_BYTES, 1));
    EXPECT_TRUE(is_clean(span + ARENA_BYTES + SLICE_BYTES, 15));
    EXPECT_TRUE(is_clean(span + 2 * ARENA_BYTES, 16));
}

TEST(arena, a_span_is_dirty_as_far_as_it_was_touched)
{
    IN_OWN_PROCESS(touched());
}

static void purged(void)
{
    started();
    char *base = arn__slices_take(8, false);
    memset(base, 1, 8 * SLICE_BYTES);
    arn__slices_put(base + 2 * SLICE_BYTES, 4, 4);
    EXPECT_EQ(dirty_bytes(), 4 * SLICE_BYTES);
    EXPECT_TRUE(arn__purge_to(0));
    EXPECT_EQ(dirty_bytes(), 0);
    EXPECT_FALSE(arn__purge_to(0));
    EXPECT_EQ(base[0], 1); /* what is held is left alone */
    EXPECT_EQ(base[2 * SLICE_BYTES - 1], 1);
    EXPECT_EQ(base[6 * SLICE_BYTES], 1);
    ASSERT_TRUE(arn__slices_take_at(base + 2 * SLICE_BYTES, 4));
    EXPECT_TRUE(is_clean(base + 2 * SLICE_BYTES, 4));
    EXPECT_TRUE(pattern_zero(base + 2 * SLICE_BYTES, 4 * SLICE_BYTES));
    arn__arena_verify();
}

TEST(arena, what_is_purged_is_zero_and_what_is_held_is_left)
{
    IN_OWN_PROCESS(purged());
}

static void purge_fails(void)
{
    started();
    char *base = arn__slices_take(8, false);
    memset(base, 1, 8 * SLICE_BYTES);
    arn__slices_put(base, 8, 8);
    arn__os_fail_at(1, 1000);
    EXPECT_FALSE(arn__purge_to(0));
    arn__os_fail_at(0, 0);
    EXPECT_EQ(dirty_bytes(), 8 * SLICE_BYTES);
    arn__arena_verify();
    EXPECT_TRUE(arn__purge_to(0));
    EXPECT_EQ(dirty_bytes(), 0);
}

TEST(arena, a_purge_that_fails_leaves_the_slices_dirty)
{
    IN_OWN_PROCESS(purge_fails());
}

TEST(arena, records_that_contradict_each_other_are_found)
{
    EXPECT_DEATH(
        {
            started();
            char *base = arn__slices_take(2, false);
            arn__arena(base)->bucket = 3;
            arn__arena_verify();
        },
        "broken invariant: an arena is in the list of its free slices");
    EXPECT_DEATH(
        {
            started();
            atomic_store(&arn__arena_totals.dirty_bytes, 5);
            arn__arena_verify();
        },
        "broken invariant: dirty bytes are counted");
}
