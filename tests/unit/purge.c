/* purge.c - the budget: what is kept, what goes first, when. */
#include "purge.h"

#include <arenite/arenite.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "failure.h"
#include "options.h"
#include "os.h"
#include "region.h"
#include "shim.h"

enum { MIB = 1 << 20, SOON_MS = 1000 };

static size_t dirty_bytes(void)
{
    return atomic_load(&arn__arena_totals.dirty_bytes);
}

static void started(void)
{
    arn_free(arn_malloc(1));
    arn_malloc_trim(0);
}

static void touch_and_free(size_t arenas)
{
    char *span = arn__span_take(arenas, 1);
    memset(span, 1, arenas * ARENA_BYTES);
    arn__span_put(span, arenas, arenas * ARENA_BYTES);
    arn__purge_settle();
}

static void stays_in_budget(void)
{
    started();
    arn__options.purge_budget_bytes = 2 * MIB;
    touch_and_free(7);
    EXPECT_EQ(dirty_bytes(), 7 * ARENA_BYTES); /* within the budget nothing is purged */
    touch_and_free(20);
    EXPECT_LE(dirty_bytes(), 2 * MIB);
    EXPECT_GE(dirty_bytes(), 1 * MIB); /* nor is everything */
    arn__arena_verify();
}

TEST(purge, keeps_dirty_memory_within_the_budget)
{
    IN_OWN_PROCESS(stays_in_budget());
}

static void an_eighth(void)
{
    started();
    arn__options.purge_budget_bytes = 0;
    char *kept = arn__span_take(160, 1); /* 40 MiB alive, never touched */
    touch_and_free(16);
    EXPECT_EQ(dirty_bytes(), 16 * ARENA_BYTES); /* 4 MiB of 5 */
    arn__span_put(kept, 160, 0);
    arn__purge_settle();
    EXPECT_EQ(dirty_bytes(), 0);
}

TEST(purge, an_eighth_of_what_lives_may_be_dirty)
{
    IN_OWN_PROCESS(an_eighth());
}

static void oldest_first(void)
{
    started();
    arn__options.purge_budget_bytes = (size_t)64 * MIB;
    char *first = arn__slices_take(16, true), *second = arn__slices_take(16, true),
         *gap = arn__slices_take(16, true), *third = arn__slices_take(16, true);
    arn__slices_put(second, 16, 16);
    arn__slices_put(third, 16, 16);
    arn__slices_put(first, 16, 16);
    arn__purge_to(2 * ARENA_BYTES);
    EXPECT_EQ(arn__arena(second)->dirty, 0);
    EXPECT_NE(arn__arena(third)->dirty, 0);
    EXPECT_NE(arn__arena(first)->dirty, 0);
    arn__purge_to(1 * ARENA_BYTES);
    EXPECT_EQ(arn__arena(third)->dirty, 0);
    EXPECT_NE(arn__arena(first)->dirty, 0);
    arn__slices_put(gap, 16, 0);
}

TEST(purge, takes_the_oldest_first)
{
    IN_OWN_PROCESS(oldest_first());
}

static void wait_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void in_time(void)
{
    started();
    arn__options.purge_delay_ms = 20;
    touch_and_free(4);
    EXPECT_EQ(dirty_bytes(), 4 * ARENA_BYTES);
    wait_ms(60);
    for (unsigned i = 0; i < 200; i++)
        arn__purge_settle(); /* now and then it looks at the clock */
    EXPECT_EQ(dirty_bytes(), 0);
}

TEST(purge, what_has_been_dirty_for_long_goes)
{
    IN_OWN_PROCESS(in_time());
}

/* Again, if the machine was so busy that what is young was old when it was looked at. */
static void young_stays(void)
{
    uint32_t touched_ms;
    size_t stays;
    started();
    arn__options.purge_delay_ms = 300;
    char *held = arn__slices_take(1, true);
    do {
        arn__purge_to(0);
        char *old = arn__slices_take(1, true);
        arn__slices_put(old, 1, 1);
        wait_ms(400);
        touched_ms = arn__os_now_ms();
        touch_and_free(4);
        for (unsigned i = 0; i < 64; i++)
            arn__purge_settle(); /* once it looks at the clock */
        stays = dirty_bytes();
    } while (arn__os_now_ms() - touched_ms >= 300);
    EXPECT_EQ(stays, 4 * ARENA_BYTES);
    arn__slices_put(held, 1, 0);
}

TEST(purge, what_is_old_goes_not_whole_arenas_that_are_young)
{
    IN_OWN_PROCESS(young_stays());
}

static void raises(void)
{
    started();
    arn__options.purge_budget_bytes = 1 * MIB;
    uint32_t start_ms;
    do { /* again, if the machine was so busy that this was not soon */
        start_ms = arn__os_now_ms();
        for (unsigned i = 0; i < 30; i++)
            touch_and_free(32);
    } while (arn__os_now_ms() - start_ms >= SOON_MS);
    /* The same 8 MiB over and over: the budget has come to hold it. */
    EXPECT_EQ(dirty_bytes(), 32 * ARENA_BYTES);
}

TEST(purge, ranges_needed_again_soon_raise_the_budget)
{
    IN_OWN_PROCESS(raises());
}

static void only_reuse_counts(void)
{
    started();
    arn__options.purge_budget_bytes = (size_t)64 * MIB;
    uint32_t start_ms;
    size_t reused;
    do { /* again, if the machine was so busy that this was not soon */
        start_ms = arn__os_now_ms();
        touch_and_free(8);
        arn__purge_to(0);
        atomic_store(&arn__arena_totals.reused_bytes, 0);
        char *slice = arn__slices_take(1, true);
        *slice = 1;
        reused = atomic_load(&arn__arena_totals.reused_bytes);
        arn__slices_put(slice, 1, 1);
        arn__purge_to(0);
    } while (arn__os_now_ms() - start_ms >= SOON_MS);
    EXPECT_EQ(reused, SLICE_BYTES);
    /* The purge itself took the rest of the arena, too, but did not need it. */
    EXPECT_EQ(atomic_load(&arn__arena_totals.reused_bytes), reused);
}

TEST(purge, is_not_itself_taken_for_reuse)
{
    IN_OWN_PROCESS(only_reuse_counts());
}

static void keeps(void)
{
    started();
    arn__options.purge_budget_bytes = (size_t)64 * MIB;
    touch_and_free(40);
    EXPECT_TRUE(arn__purge_to(3 * MIB));
    EXPECT_LE(dirty_bytes(), 3 * MIB);
    EXPECT_GT(dirty_bytes(), 2 * MIB);
    EXPECT_FALSE(arn__purge_to(3 * MIB));
}

TEST(purge, down_to_what_is_to_be_kept)
{
    IN_OWN_PROCESS(keeps());
}

/* 16 arenas in two groups that open with huge pages; free, and never touched. */
static char *open_huge(size_t carved_bytes)
{
    started();
    arn__options.purge_budget_bytes = (size_t)64 * MIB;
    char *base = arn__region_take(16, 1, carved_bytes, MAY_GROW);
    arn__region_put(base, 16);
    return base;
}

/* An arena of each group is dirty, in the second one the younger, beside one that is held. */
static void whole_groups(size_t carved_bytes)
{
    char *base = open_huge(carved_bytes);
    char *span = arn__span_take(16, 1);
    ASSERT_EQ(span, base);
    memset(base + 3 * ARENA_BYTES, 1, ARENA_BYTES);
    memset(base + 9 * ARENA_BYTES, 1, ARENA_BYTES);
    arn__span_put(base + 9 * ARENA_BYTES, 1, ARENA_BYTES);
    arn__span_put(base + 2 * ARENA_BYTES, 6, 2 * ARENA_BYTES);
    arn__span_put(base, 2, 0);
    EXPECT_TRUE(arn__region_group_is_huge(arn__arena(base)));
    EXPECT_TRUE(arn__region_group_is_huge(arn__arena(base + 9 * ARENA_BYTES)));
    EXPECT_EQ(dirty_bytes(), 3 * ARENA_BYTES);
    /* The whole group, though the other is older and less would do. */
    EXPECT_TRUE(arn__purge_to(2 * ARENA_BYTES));
    EXPECT_EQ(dirty_bytes(), 1 * ARENA_BYTES);
    EXPECT_NE(arn__arena(base + 9 * ARENA_BYTES)->dirty, 0);
    arn__arena_verify();
    EXPECT_TRUE(arn__purge_to(0)); /* there is nothing else left */
    EXPECT_EQ(dirty_bytes(), 0);
    arn__arena_verify();
    EXPECT_EQ(arn__span_take(arn__regions->arenas, 1), arn__regions->base);
    EXPECT_EQ(arn__span_take(8, 1), base);
    EXPECT_EQ(base[3 * ARENA_BYTES], 0);
    arn__arena_verify();
}

TEST(purge, takes_huge_pages_whole_and_first)
{
    IN_OWN_PROCESS(whole_groups((size_t)1 << 30));
}

static void always(void)
{
    arn__options.huge = HUGE_ALWAYS;
    whole_groups(0);
}

TEST(purge, takes_huge_pages_whole_when_all_are)
{
    IN_OWN_PROCESS(always());
}

/* Of arenas one slice of which is held. */
static void part_arenas(char **arenas, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        arenas[i] = arn__slices_take(16, true);
        memset(arenas[i], 1, ARENA_BYTES);
        arn__slices_put(arenas[i] + SLICE_BYTES, 15, 15);
    }
}

static void settle_with_a_look(void)
{
    for (int i = 0; i < 64; i++)
        arn__purge_settle();
}

static void parts(void)
{
    enum { ARENAS = 16, PART_BYTES = 15 * SLICE_BYTES };
    char *arenas[ARENAS];
    started();
    arn__options.purge_budget_bytes = MIB;
    uint32_t begin_ms = arn__os_now_ms();
    part_arenas(arenas, ARENAS);
    settle_with_a_look();
    size_t kept = dirty_bytes();
    if (arn__os_now_ms() - begin_ms < 100) /* else they are not new any more */
        EXPECT_EQ(kept, ARENAS * PART_BYTES);
    EXPECT_EQ(atomic_load(&arn__arena_totals.part_bytes), kept);
    /* A whole arena beside them goes, for they take all of the budget. */
    touch_and_free(1);
    touch_and_free(8);
    EXPECT_LE(dirty_bytes() - atomic_load(&arn__arena_totals.part_bytes), MIB);
    for (size_t i = 0; i < ARENAS; i++)
        arn__arena(arenas[i])->dirty_ms -= 200;
    settle_with_a_look();
    EXPECT_LE(dirty_bytes(), MIB);
    arn__arena_verify();
    for (size_t i = 0; i < ARENAS; i++)
        arn__slices_put(arenas[i], 1, 1);
    EXPECT_EQ(atomic_load(&arn__arena_totals.part_bytes), 0);
    arn__arena_verify();
    arn__purge_to(0);
    touch_and_free(1);
    EXPECT_TRUE(arn__slices_take(1, true) != NULL); /* of the arena that is dirty */
    EXPECT_EQ(atomic_load(&arn__arena_totals.part_bytes), PART_BYTES);
    arn__arena_verify();
}

TEST(purge, parts_of_arenas_stay_for_a_moment)
{
    IN_OWN_PROCESS(parts());
}

/* Whatever is younger than 100 ms, but no more than 16 MiB of it, and none where nothing is to be kept. */
static void many_parts(size_t budget_bytes, size_t most_bytes)
{
    enum { ARENAS = 128 };
    static char *arenas[ARENAS];
    started();
    arn__options.purge_budget_bytes = budget_bytes;
    part_arenas(arenas, ARENAS);
    arn__purge_settle();
    EXPECT_LE(dirty_bytes(), most_bytes);
    arn__arena_verify();
}

TEST(purge, of_parts_of_arenas_little_stays)
{
    IN_OWN_PROCESS(many_parts(MIB, 16 * MIB));
    IN_OWN_PROCESS(many_parts(0, 8 * MIB)); /* an eighth of what is alive */
}

static void locked(void)
{
    char *arena;
    started();
    part_arenas(&arena, 1);
    char *span = arn__span_take(1, 1);
    memset(span, 1, ARENA_BYTES);
    int refused = mlock(span, ARENA_BYTES);
    arn__span_put(span, 1, ARENA_BYTES);
    EXPECT_TRUE(arn__purge_to(0));
    EXPECT_EQ(dirty_bytes(), refused != 0 ? 0 : ARENA_BYTES);
    EXPECT_EQ(atomic_load(&arn__arena_totals.part_bytes), 0);
    arn__arena_verify();
}

TEST(purge, parts_go_beside_an_arena_that_is_locked)
{
    if (EMULATED || SANITIZED)
        SKIP("nothing is locked: an emulator and sanitizers ignore mlock");
    IN_OWN_PROCESS(locked());
}

/* A group that is opened when pools have carved so much of 1 GiB. */
static void opens(size_t carved_bytes, bool huge)
{
    started();
    atomic_store(&arn__arena_totals.pool_bytes, (size_t)1 << 30);
    atomic_store(&arn__arena_totals.carved_bytes, carved_bytes);
    char *span = arn__span_take(GROUP_ARENAS, GROUP_ARENAS);
    EXPECT_EQ(arn__region_group_is_huge(arn__arena(span)), huge);
}

TEST(purge, memory_opens_with_huge_pages_where_pools_are_mostly_carved)
{
    IN_OWN_PROCESS(opens((size_t)1 << 30, true));
    IN_OWN_PROCESS(opens((size_t)7 << 27, true));
    IN_OWN_PROCESS(opens(((size_t)7 << 27) - 1, false));
}

static size_t room_of(struct descriptor *d)
{
    return arn__kind(d) == KIND_POOL && arn__is_head(d) ? arn__room_bytes(d) : 0;
}

/* Counted as the pools themselves tell. */
static void counts_pools(void)
{
    started();
    size_t before = atomic_load(&arn__arena_totals.pool_bytes);
    void *blocks[5000];
    for (size_t i = 0; i < 5000; i++)
        blocks[i] = arn_malloc(i);
    size_t pools = 0;
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        for (size_t i = 0; i < (size_t)region->opened * region->slices; i++)
            pools += room_of(arn__descriptor(region->base + i * SLICE_BYTES));
    }
    EXPECT_EQ(atomic_load(&arn__arena_totals.pool_bytes), pools);
    pid_t child = fork();
    if (child == 0) {
        arn__arena_rebuild();
        _exit(atomic_load(&arn__arena_totals.pool_bytes) != pools);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    for (size_t i = 0; i < 5000; i++)
        arn_free(blocks[i]);
    arn_malloc_trim(0);
    EXPECT_LE(atomic_load(&arn__arena_totals.pool_bytes), before);
}

TEST(purge, what_pools_take_is_counted)
{
    IN_OWN_PROCESS(counts_pools());
}

/* Spans of 4 MiB and more: what a program does that replaces images. */

enum { IMAGE = 64 }; /* arenas */

static bool is_huge(char *span)
{
    return arn__region_group_is_huge(arn__arena(span + GROUP_BYTES));
}

static bool long_ago; /* what was purged was purged before the last second */

static char *take_image(void)
{
    arn__huge_pace = (struct huge_pace){0, 0}; /* however slow the machine is */
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        for (size_t i = 0; i < region->opened; i++) {
            struct arena *arena = arn__region_arena(region, i);
            if (arena->purged_ms != 0 && !long_ago)
                arena->purged_ms = arn__os_now_ms();
        }
    }
    char *span = arn__span_take(IMAGE, 1);
    REQUIRE(span != NULL);
    for (size_t i = 0; i < IMAGE; i++) {
        REQUIRE(span[i * ARENA_BYTES] == 0 || arn__arena(span + i * ARENA_BYTES)->dirty != 0);
        span[i * ARENA_BYTES] = 1;
    }
    return span;
}

static void put_image(char *span)
{
    arn__span_put(span, IMAGE, IMAGE * ARENA_BYTES);
}

static void replaces_images(void)
{
    started();
    arn__options.purge_budget_bytes = (size_t)1 << 30;
    char *first = take_image();
    EXPECT_FALSE(is_huge(first)); /* it might not be written */
    put_image(first);
    EXPECT_EQ(take_image(), first); /* as it was: nothing would be gained */
    EXPECT_FALSE(is_huge(first));
    char *second = take_image();
    EXPECT_TRUE(is_huge(second));
    put_image(first);
    EXPECT_TRUE(arn__purge_to(0));
    EXPECT_EQ(take_image(), first);
    EXPECT_TRUE(is_huge(first));
    arn__arena_verify();
    put_image(first);
    put_image(second);
    EXPECT_TRUE(arn__purge_to(0));
    EXPECT_EQ(arn__region_totals.huge_bytes, 2 * IMAGE * ARENA_BYTES);
    EXPECT_EQ(take_image(), first);
    EXPECT_EQ(arn__region_totals.huge_bytes, 2 * IMAGE * ARENA_BYTES);
    arn__arena_verify();
}

TEST(purge, large_blocks_of_a_program_that_frees_such_get_huge_pages)
{
    IN_OWN_PROCESS(replaces_images());
}

static void keeps_images(void)
{
    started();
    for (int i = 0; i < 8; i++)
        EXPECT_FALSE(is_huge(take_image()));
}

TEST(purge, large_blocks_of_a_program_that_frees_none_get_no_huge_pages)
{
    IN_OWN_PROCESS(keeps_images());
}

static void purged_long_ago(void)
{
    started();
    char *span = take_image();
    put_image(span);
    arn__purge_to(0);
    for (size_t i = 0; i < IMAGE; i++)
        arn__arena(span + i * ARENA_BYTES)->purged_ms -= 2 * SOON_MS;
    long_ago = true;
    EXPECT_EQ(take_image(), span);
    EXPECT_FALSE(is_huge(span));
}

TEST(purge, what_was_purged_long_ago_gets_no_huge_pages)
{
    IN_OWN_PROCESS(purged_long_ago());
}

static size_t taken_arenas(void)
{
    size_t arenas = 0;
    for (struct region *region = arn__regions; region != NULL; region = region->next)
        arenas += region->arenas - region->free_arenas;
    return arenas;
}

static size_t lost_arenas(char *span)
{
    size_t arenas = 0;
    for (size_t i = 0; i < IMAGE; i++)
        arenas += arn__kind(arn__descriptor(span + i * ARENA_BYTES)) == KIND_GUARD;
    return arenas;
}

/* The call of that number fails. True: pages were lost to whom they may belong now. */
static bool loses(long call)
{
    started();
    char *span = take_image();
    put_image(span);
    arn__purge_to(0);
    size_t taken = taken_arenas();
    arn__os_fail_at(call, call);
    char *other = take_image();
    arn__os_fail_at(0, 0);
    arn__arena_verify();
    bool lost = other != span;
    REQUIRE(lost == (lost_arenas(span) > 0));
    REQUIRE(taken_arenas() == taken + IMAGE + lost_arenas(span));
    pid_t child = fork();
    if (child == 0) {
        arn__arena_rebuild();
        arn__arena_verify();
        for (char *at = span; lost && at < span + IMAGE * ARENA_BYTES; at += GROUP_BYTES) {
            char *group = arn__span_take(GROUP_ARENAS, GROUP_ARENAS);
            REQUIRE(group < span || group >= span + IMAGE * ARENA_BYTES);
        }
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    REQUIRE(status == 0);
    put_image(other);
    EXPECT_EQ(take_image(), other);
    arn__arena_verify();
    return lost;
}

static bool has_huge_pages(void)
{
    return access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
}

static void each_loss(void)
{
    int lost = 0;
    for (long call = 1; call <= 6; call++) {
        pid_t child = fork();
        if (child == 0)
            _exit(loses(call));
        int status = -1;
        waitpid(child, &status, 0);
        EXPECT_TRUE(WIFEXITED(status));
        lost += WEXITSTATUS(status);
    }
    EXPECT_GT(lost, 0);
}

TEST(purge, pages_that_are_lost_as_they_become_huge_are_not_used_again)
{
    if (!has_huge_pages() || EMULATED)
        SKIP("there are no huge pages, or what emulates the calls maps over others");
    IN_OWN_PROCESS(each_loss());
}
