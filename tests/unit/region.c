/* region.c - reservations: first fit, alignment, the frontier, what goes back to the OS. */
#include "region.h"

#include <arenite/arenite.h>
#include <limits.h>
#include <string.h>

#include "arena.h"
#include "options.h"
#include "os.h"
#include "pattern.h"
#include "shim.h"

static unsigned skipped(struct huge_pace *pace)
{
    unsigned skips = 0;
    while (!arn__huge_pace_asks(pace))
        skips++;
    return skips;
}

TEST(region, huge_pages_that_are_slow_are_asked_for_less)
{
    enum { FAST_NS = 300000, SLOW_NS = 4000000 };
    static const unsigned expected[] = {1, 3, 7, 15, 15, 15};
    struct huge_pace pace = {0, 0};
    EXPECT_EQ(skipped(&pace), 0);
    for (unsigned times = 0; times < 2; times++) {
        for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++) {
            arn__huge_pace_took(&pace, SLOW_NS);
            EXPECT_EQ(skipped(&pace), expected[i]);
            EXPECT_EQ(skipped(&pace), 0); /* once */
        }
        arn__huge_pace_took(&pace, FAST_NS);
        EXPECT_EQ(skipped(&pace), 0);
    }
}

static size_t count_regions(void)
{
    size_t regions = 0;
    for (struct region *region = arn__regions; region != NULL; region = region->next)
        regions++;
    return regions;
}

static void started(void)
{
    arn_free(arn_malloc(1));
    arn_malloc_trim(0); /* its pool is gone */
}

/* The first region is small: all of it. */
static void fill_first(void)
{
    for (uint32_t i = 0; i < arn__regions->arenas; i++)
        ASSERT_NE(arn__span_take(1, 1), NULL);
}

static void lies_at_2_mib(void)
{
    started();
    for (unsigned i = 0; i < 100; i++)
        ASSERT_NE(arn__span_take(3, 1), NULL);
    ASSERT_GT(count_regions(), 2);
    EXPECT_EQ((uintptr_t)arn__regions->base % ARENA_BYTES, 0); /* the first is small */
    for (struct region *region = arn__regions->next; region != NULL; region = region->next) {
        EXPECT_EQ((uintptr_t)region->base % GROUP_BYTES, 0);
        EXPECT_EQ(region->arenas % GROUP_ARENAS, 0);
        EXPECT_EQ(region->opened % GROUP_ARENAS, 0);
        EXPECT_LE(region->opened, region->arenas);
    }
}

TEST(region, lies_at_a_multiple_of_2_mib_and_opens_in_groups)
{
    IN_OWN_PROCESS(lies_at_2_mib());
}

static void first_fit(void)
{
    started();
    fill_first();
    char *spans[6];
    for (unsigned i = 0; i < 6; i++)
        spans[i] = arn__span_take(4, 1);
    arn__span_put(spans[1], 4, 0);
    arn__span_put(spans[3], 4, 0);
    EXPECT_EQ(arn__span_take(2, 1), spans[1]);
    EXPECT_EQ(arn__span_take(4, 1), spans[3]);
    EXPECT_EQ(arn__span_take(2, 1), spans[1] + 2 * ARENA_BYTES);
}

TEST(region, the_first_gap_that_is_long_enough_is_taken)
{
    IN_OWN_PROCESS(first_fit());
}

static const size_t alignments[] = {1, 2, 4, 8, 16, 64, 256, 1024, 4096};

static void aligned(size_t alignment)
{
    started();
    arn__span_take(1, 1);
    for (unsigned i = 0; i < 3; i++) {
        char *span = arn__span_take(1 + i, alignment);
        ASSERT_NE(span, NULL);
        EXPECT_EQ((uintptr_t)span % (alignment * ARENA_BYTES), 0);
        memset(span, 1, 4096);
        memset(span + (1 + i) * ARENA_BYTES - 4096, 1, 4096);
    }
    arn__arena_verify();
}

TEST_EACH(region, spans_lie_at_any_alignment_up_to_1_gib, size_t, alignment, alignments)
{
    IN_OWN_PROCESS(aligned(alignment));
}

static void frontier(void)
{
    started();
    fill_first();
    char *span = arn__span_take(1, 1);
    struct region *region = arn__arena(span)->region;
    ASSERT_NE(region, arn__regions);
    ASSERT_GT(region->arenas, GROUP_ARENAS);
    EXPECT_EQ(region->opened, GROUP_ARENAS);
    memset(span, 1, ARENA_BYTES);
    /* Beyond it there is no access; the next span that needs it moves it. */
    for (unsigned i = 1; i < GROUP_ARENAS; i++)
        arn__span_take(1, 1);
    EXPECT_EQ(region->opened, GROUP_ARENAS);
    char *next = arn__span_take(1, 1);
    EXPECT_EQ(next, span + GROUP_BYTES);
    EXPECT_EQ(region->opened, 2 * GROUP_ARENAS);
    memset(next, 1, ARENA_BYTES);
}

TEST(region, is_accessible_up_to_its_frontier_only)
{
    IN_OWN_PROCESS(frontier());
    EXPECT_DEATH(
        {
            started();
            fill_first();
            arn__span_take(1, 1);
            struct region *region = arn__regions->next;
            *(volatile char *)(region->base + (size_t)region->opened * ARENA_BYTES) = 1;
        },
        "");
}

static void fail_to_open(void)
{
    started();
    fill_first();
    for (unsigned i = 0; i < GROUP_ARENAS; i++)
        ASSERT_NE(arn__span_take(1, 1), NULL);
    struct region *region = arn__regions->next;
    uint32_t opened = region->opened, free_arenas = region->free_arenas;
    arn__os_fail_at(1, 1000);
    EXPECT_EQ(arn__span_take(1, 1), NULL);
    arn__os_fail_at(0, 0);
    EXPECT_EQ(region->opened, opened);
    EXPECT_EQ(region->free_arenas, free_arenas);
    EXPECT_NE(arn__span_take(1, 1), NULL);
}

TEST(region, a_frontier_that_cannot_move_costs_nothing)
{
    IN_OWN_PROCESS(fail_to_open());
}

static void halved(void)
{
    started();
    fill_first();
    arn__os_fail_at(1, 1); /* the metadata's first chunk */
    char *span = arn__span_take(1, 1);
    arn__os_fail_at(0, 0);
    ASSERT_NE(span, NULL);
    arn__os_fail_at(1, 1); /* a reservation */
    span = arn__span_take(200, 1);
    arn__os_fail_at(0, 0);
    if (span == NULL)
        span = arn__span_take(200, 1);
    ASSERT_NE(span, NULL);
    memset(span, 1, 200 * (size_t)ARENA_BYTES);
    arn__arena_verify();
}

TEST(region, a_reservation_that_is_refused_is_tried_smaller)
{
    IN_OWN_PROCESS(halved());
}

static void take_at(void)
{
    started();
    char *span = arn__span_take(2, 1), *next = arn__span_take(1, 1);
    ASSERT_EQ(next, span + 2 * ARENA_BYTES);
    EXPECT_FALSE(arn__span_take_at(span + 2 * ARENA_BYTES, 1));
    arn__span_put(next, 1, 0);
    EXPECT_TRUE(arn__span_take_at(span + 2 * ARENA_BYTES, 1));
    EXPECT_FALSE(arn__span_take_at(span + 2 * ARENA_BYTES, 1));
    /* Past the region's end nothing is taken. */
    struct region *region = arn__regions;
    EXPECT_FALSE(arn__span_take_at(region->base + (region->arenas - 1) * (size_t)ARENA_BYTES, 2));
    arn__arena_verify();
}

TEST(region, arenas_are_taken_at_a_place_if_all_are_free)
{
    IN_OWN_PROCESS(take_at());
}

/* The end of one is the start of the other. */
static bool find_touching(struct region **low, struct region **high)
{
    for (struct region *a = arn__regions; a != NULL; a = a->next) {
        for (struct region *b = arn__regions; b != NULL; b = b->next) {
            if (a->opened == a->arenas && a->base + (size_t)a->arenas * ARENA_BYTES == b->base &&
                arn__has_tract(b->base) && arn__arena(b->base)->state == ARENA_SPAN) {
                *low = a;
                *high = b;
                return true;
            }
        }
    }
    return false;
}

/* Where memory is short, regions have no guards, and may touch. */
static void grow_across(void)
{
    enum { SPANS = 1000 };
    struct region *low, *high;
    started();
    arn__os_fail_at(1, LONG_MAX);
    EXPECT_EQ(arn__span_take(200, 1), NULL);
    arn__os_fail_at(0, 0);
    ASSERT_TRUE(arn__memory_is_tight());
    for (unsigned i = 0; i < SPANS && !find_touching(&low, &high); i++)
        ASSERT_NE(arn__span_take(1, 1), NULL);
    if (!find_touching(&low, &high))
        SKIP("no two regions touch here");
    arn__span_put(high->base, 1, 0);
    EXPECT_FALSE(arn__span_take_at(high->base, 1));
    EXPECT_EQ(arn__span_take(1, 1), high->base);
    arn__arena_verify();
}

TEST(region, a_span_does_not_grow_into_the_next_region)
{
    IN_OWN_PROCESS(grow_across());
}

static void goes_back(void)
{
    started();
    enum { COUNT = 40 };
    char *spans[COUNT];
    size_t reserved_before = arn__region_totals.reserved_bytes;
    for (unsigned i = 0; i < COUNT; i++) {
        spans[i] = arn__span_take(2, 1);
        memset(spans[i], 1, 100000);
    }
    EXPECT_GT(count_regions(), 2);
    EXPECT_EQ(arn__arena_release_regions(), 0);
    for (unsigned i = 0; i < COUNT; i++)
        arn__span_put(spans[i], 2, 100000);
    size_t reserved = arn__region_totals.reserved_bytes;
    EXPECT_EQ(arn__arena_release_regions(), reserved - reserved_before);
    EXPECT_EQ(count_regions(), 1);
    EXPECT_EQ(arn__region_totals.reserved_bytes, reserved_before);
    /* The first may have opened the rest of itself, where its table ended before it did. */
    EXPECT_EQ(arn__region_totals.opened_bytes, (size_t)arn__regions->opened * ARENA_BYTES);
    arn__arena_verify();
    char *again = arn__span_take(9, 1);
    ASSERT_NE(again, NULL);
    EXPECT_TRUE(pattern_zero(again, 9 * (size_t)ARENA_BYTES));
    arn__arena_verify();
}

static void not_yet(struct arena *arena)
{
    (void)arena;
}

/* A child that is forked just after a region was unmapped finds records of its arenas. */
static void unmapped_as_forked(void)
{
    started();
    arn__options.purge_budget_bytes = (size_t)64 << 20;
    char *span = arn__span_take(20, 1);
    memset(span, 1, 20 * (size_t)ARENA_BYTES);
    arn__span_put(span, 20, 20 * (size_t)ARENA_BYTES);
    EXPECT_GT(arn__region_release_free(not_yet), 0);
    arn__arena_rebuild();
    arn__arena_verify();
    char *again = arn__span_take(20, 1); /* at the same place, as the kernel goes */
    ASSERT_NE(again, NULL);
    arn__arena_verify();
    arn__span_put(again, 20, 0);
    arn__arena_verify();
}

TEST(region, one_that_went_as_the_process_was_forked_is_forgotten)
{
    IN_OWN_PROCESS(unmapped_as_forked());
}

/* ---- first fit against a search through every arena ---- */

static bool arena_is_free(const struct region *region, size_t idx)
{
    return region->stretches[idx / 64].free >> (idx % 64) & 1;
}

static char *lowest_fit(size_t arenas, size_t alignment)
{
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        for (size_t first = 0; first + arenas <= region->arenas; first++) {
            size_t run = 0;
            while (run < arenas && arena_is_free(region, first + run))
                run++;
            char *base = region->base + first * ARENA_BYTES;
            if (run == arenas && (uintptr_t)base / ARENA_BYTES % alignment == 0)
                return base;
        }
    }
    return NULL;
}

static void longest_are_right(void)
{
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        size_t longest = 0, stretch = 0, run;
        for (size_t idx = 0; idx < region->arenas; idx += run + (run == 0)) {
            if (idx / 64 != stretch) {
                ASSERT_EQ(region->stretches[stretch].longest, longest);
                for (stretch++; stretch < idx / 64; stretch++)
                    ASSERT_EQ(region->stretches[stretch].longest, 0);
                longest = 0;
            }
            for (run = 0; idx + run < region->arenas && arena_is_free(region, idx + run);)
                run++;
            longest = run > longest ? run : longest;
        }
        ASSERT_EQ(region->stretches[stretch].longest, longest);
    }
}

static void fits_at_random(void)
{
    enum { SPANS = 300, ROUNDS = 20000 };
    static struct {
        char *base;
        size_t arenas;
    } spans[SPANS];
    uint64_t seed = 21;
    started();
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t i = pattern_random(&seed) % SPANS;
        if (spans[i].base != NULL)
            arn__span_put(spans[i].base, spans[i].arenas, 0);
        size_t alignment = (size_t)1 << pattern_random(&seed) % 4;
        size_t arenas = pattern_random(&seed) % (round % 64 == 0 ? 200 : 20) + 1;
        char *expected = lowest_fit(arenas, alignment);
        spans[i].base = arn__span_take(arenas, alignment);
        spans[i].arenas = arenas;
        ASSERT_NE(spans[i].base, NULL);
        if (expected != NULL)
            ASSERT_EQ(spans[i].base, expected);
        if (round % 64 == 0)
            longest_are_right();
        if (HAS_FAILURE())
            return;
    }
    arn__arena_verify();
}

TEST(region, the_lowest_fit_is_found_whatever_is_taken)
{
    IN_OWN_PROCESS(fits_at_random());
}

TEST(region, one_that_is_wholly_free_goes_back_to_the_os)
{
    IN_OWN_PROCESS(goes_back());
}
