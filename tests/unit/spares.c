/* spares.c - what a thread keeps of freed large blocks, and gives back. */
#include "spares.h"

#include <arenite/arenite.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "options.h"
#include "pattern.h"
#include "purge.h"
#include "sampled.h"
#include "sanitized.h"
#include "shim.h"
#include "thread.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

static size_t live_bytes(void)
{
    return atomic_load(&arn__arena_totals.live_bytes);
}

static size_t dirty_bytes(void)
{
    struct arn_stats stats;
    arn_stats(&stats);
    return stats.dirty_bytes;
}

static size_t used_bytes(void)
{
    struct arn_stats stats;
    arn_stats(&stats);
    return stats.used_bytes;
}

/* A thread that was served by spares of late keeps what it frees. */
static void be_served(void)
{
    for (unsigned i = 0; i < SPARES_WORTH_MOST; i++)
        arn_free(arn_malloc(40000));
}

/* ---- handing out again ---- */

static const size_t sizes[] = {32769, 40000, 16384 * 3, 200000, 262144, 262145, 700000, 1 * MIB};

static void comes_again(size_t bytes)
{
    char *block = arn_malloc(bytes);
    memset(block, 1, bytes);
    size_t used = used_bytes();
    arn_free(block);
    EXPECT_LT(used_bytes(), used);
    char *again = arn_malloc(bytes);
    EXPECT_EQ(again, block);
    EXPECT_EQ(used_bytes(), used);
    EXPECT_GE(arn_malloc_usable_size(again), bytes);
    arn_free(again);
    char *zeroed = arn_calloc(1, bytes);
    EXPECT_EQ(zeroed, block);
    EXPECT_TRUE(pattern_zero(zeroed, bytes));
    arn_free(zeroed);
    arn__arena_verify();
}

TEST_EACH(spares, a_freed_large_block_is_the_next_of_its_size, size_t, bytes, sizes)
{
    IN_OWN_PROCESS(comes_again(bytes));
}

static void fits_exactly(void)
{
    char *kept = arn_malloc(100000), *block = arn_malloc(120000);
    arn_free(block);
    char *aligned = arn_aligned_alloc(16384, 120000);
    EXPECT_EQ(aligned, block);
    arn_free(aligned);
    char *wide = arn_aligned_alloc(256 * KIB, 120000);
    EXPECT_EQ((uintptr_t)wide % (256 * KIB), 0);
    arn_free(wide);
    char *wider = arn_aligned_alloc(2 * MIB, 120000);
    EXPECT_EQ((uintptr_t)wider % (2 * MIB), 0);
    arn_free(wider);
    arn_free(kept);
    EXPECT_EQ(used_bytes(), 0);
    arn__arena_verify();
}

TEST(spares, a_block_is_handed_out_again_where_it_has_the_slices_and_the_alignment)
{
    IN_OWN_PROCESS(fits_exactly());
}

static void are_given_up(void)
{
    be_served();
    void *block = arn_malloc(200000);
    size_t before = live_bytes();
    arn_free(block);
    EXPECT_EQ(live_bytes(), before);
    void *smaller = arn_malloc(40000);
    EXPECT_LT(live_bytes(), before);
    arn_free(smaller);
    before = live_bytes();
    EXPECT_EQ(arn_malloc(40000), smaller);
    arn_free(smaller);
    void *larger = arn_malloc(40 * MIB); /* which no arena serves */
    EXPECT_LT(live_bytes(), before);
    arn_free(larger);
}

TEST(spares, a_request_for_another_size_gives_them_up)
{
    IN_OWN_PROCESS(are_given_up());
}

/* What a span's block says of how far pages were written must hold when they are free again. */
static void tells_what_was_written(void)
{
    be_served();
    char *block = arn_malloc(300 * KIB);
    arn_free(block);
    char *longer = arn_malloc(500 * KIB);
    EXPECT_EQ(longer, block);
    EXPECT_GE(arn_malloc_usable_size(longer), 500 * KIB);
    memset(longer, 2, 500 * KIB);
    arn_free(longer);
    arn_free(arn_malloc(40000)); /* for which the first goes back to its arenas */
    char *zeroed = arn_calloc(1, 500 * KIB);
    EXPECT_EQ(zeroed, block);
    EXPECT_TRUE(pattern_zero(zeroed, 500 * KIB));
    arn_free(zeroed);
}

TEST(spares, one_that_was_written_farther_is_zero_in_the_end)
{
    IN_OWN_PROCESS(tells_what_was_written());
}

static void keeps_what_is_asked_for(void)
{
    arn_free(arn_malloc(1));
    size_t before = live_bytes(), kept = 0;
    for (size_t i = 0; i < 1000; i++) {
        arn_free(arn_malloc(40000 + i * 7919 % 16 * 16384));
        kept += live_bytes() > before;
    }
    EXPECT_LT(kept, 200);
    be_served();
    EXPECT_GT(live_bytes(), before);
}

TEST(spares, a_thread_with_other_sizes_each_time_keeps_few)
{
    IN_OWN_PROCESS(keeps_what_is_asked_for());
}

/* ---- bounds ---- */

static void keeps_few(void)
{
    enum { BLOCKS = 40 };
    void *blocks[BLOCKS];
    arn_free(arn_malloc(1));
    size_t before = live_bytes();
    be_served();
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = arn_malloc(600 * KIB);
    for (unsigned i = 0; i < BLOCKS; i++)
        arn_free(blocks[i]);
    EXPECT_LE(live_bytes(), before + SPARES_MOST_BYTES);
    EXPECT_GT(live_bytes(), before);
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = arn_malloc(40000);
    for (unsigned i = 0; i < BLOCKS; i++)
        arn_free(blocks[i]);
    EXPECT_LE(live_bytes(), before + SPARES_MOST_BYTES);
    EXPECT_EQ(used_bytes(), 0);
    arn_malloc_trim(0);
    EXPECT_LE(live_bytes(), before);
    arn__arena_verify();
}

TEST(spares, few_are_kept_and_none_after_a_trim)
{
    IN_OWN_PROCESS(keeps_few());
}

static void keeps_none(size_t bytes)
{
    arn_free(arn_malloc(1));
    size_t before = live_bytes();
    arn_free(arn_malloc(bytes));
    EXPECT_EQ(live_bytes(), before);
}

static void keeps_none_without_budget(void)
{
    arn_free(arn_malloc(1));
    arn__options.purge_budget_bytes = 0;
    keeps_none(40000);
}

/* Each large request may be one to sample then, and none would be served by a spare. */
static void keeps_none_while_sampling(void)
{
    arn_free(arn_malloc(1));
    ASSERT_TRUE(arn__sampled_begin(1 << 30));
    keeps_none(40000);
}

TEST(spares, none_are_kept_while_blocks_are_sampled)
{
    IN_OWN_PROCESS(keeps_none_while_sampling());
}

TEST(spares, what_is_larger_is_not_kept_nor_anything_without_a_purge_budget)
{
    IN_OWN_PROCESS(keeps_none(arn__options.purge_budget_bytes + 1));
    IN_OWN_PROCESS(keeps_none(SPARE_MOST_BYTES + 1));
    IN_OWN_PROCESS(keeps_none_without_budget());
}

/* What is purged and needed again raises the budget, until such blocks have room in it. */
static void keeps_larger_ones(void)
{
    size_t bytes = 2 * arn__options.purge_budget_bytes;
    arn_free(arn_malloc(1));
    size_t before = live_bytes();
    for (unsigned i = 0; i < 4 * SPARES_TRY; i++)
        arn_free(arn_malloc(bytes));
    EXPECT_GE(live_bytes(), before + bytes);
    EXPECT_GE(arn__purge_budget_bytes(), bytes);
    char *block = arn_malloc(bytes);
    arn_free(block);
    EXPECT_EQ(arn_malloc(bytes), block);
}

TEST(spares, a_block_above_the_budget_is_kept_once_that_was_raised)
{
    IN_OWN_PROCESS(keeps_larger_ones());
}

static void *frees_eight(void *blocks)
{
    for (unsigned i = 0; i < 8; i++)
        arn_free(((void **)blocks)[i]);
    return NULL;
}

static void leaves_less_dirty(void)
{
    void *blocks[8];
    be_served();
    for (unsigned i = 0; i < 8; i++)
        blocks[i] = arn_malloc(i % 2 == 0 ? 300 * KIB : 600 * KIB);
    void *block = arn_malloc(3 * MIB);
    size_t before = live_bytes();
    arn_free(block);
    EXPECT_EQ(live_bytes(), before);
    pthread_t thread; /* which keeps one of them at the most */
    ASSERT_EQ(pthread_create(&thread, NULL, frees_eight, blocks), 0);
    pthread_join(thread, NULL);
    EXPECT_LE(atomic_load(&arn__arena_totals.dirty_bytes), 1 * MIB);
    arn_malloc_trim(0);
    EXPECT_EQ(atomic_load(&arn__arena_totals.spare_bytes), 0);
}

TEST(spares, what_heaps_keep_the_purge_budget_has_less)
{
    IN_OWN_PROCESS(leaves_less_dirty());
}

static void go_with_other_requests(void)
{
    be_served();
    void *block = arn_malloc(3 * MIB), *others[4000];
    arn_free(block);
    size_t before = live_bytes();
    for (unsigned i = 0; i < 4000; i++)
        others[i] = arn_malloc(1000);
    EXPECT_EQ(atomic_load(&arn__arena_totals.spare_bytes), 0);
    EXPECT_LE(live_bytes(), before + 2 * MIB);
    for (unsigned i = 0; i < 4000; i++)
        arn_free(others[i]);
}

TEST(spares, a_thread_that_asks_for_other_blocks_gives_them_up)
{
    IN_OWN_PROCESS(go_with_other_requests());
}

static void are_no_maps(void)
{
    struct arn_stats stats;
    be_served();
    arn_free(arn_malloc(3 * MIB));
    arn__options.map_threshold_bytes = 1 * MIB;
    char *block = arn_malloc(3 * MIB);
    arn_stats(&stats);
    EXPECT_EQ(stats.map_blocks, 1);
    arn_free(block);
}

TEST(spares, a_request_above_the_map_threshold_gets_none)
{
    IN_OWN_PROCESS(are_no_maps());
}

/* A thread in its last destructors: nobody can hide its heap. */
static void are_left_alone_while_watched(void)
{
    be_served();
    struct heap *heap = arn__thread.heap;
    char *block = arn_malloc(40000);
    arn_free(block);
    EXPECT_EQ(heap->spares.count, 1);
    arn__options.perturb = 7;
    EXPECT_EQ(arn__thread.heap, heap);
    char *again = arn_malloc(40000);
    EXPECT_EQ((unsigned char)again[100], 0xff - 7);
    arn_free(again);
    EXPECT_EQ(heap->spares.count, 0);
}

TEST(spares, none_is_handed_out_or_kept_while_blocks_are_watched)
{
    IN_OWN_PROCESS(are_left_alone_while_watched());
}

/* ---- threads, children ---- */

static void *frees_some(void *unused)
{
    arn_free(arn_malloc(40000));
    arn_free(arn_malloc(300000));
    return unused;
}

static void ends(void)
{
    arn_free(arn_malloc(1));
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, NULL, frees_some, NULL), 0);
    pthread_join(thread, NULL);
    arn_malloc_trim(0);
    size_t before = live_bytes();
    for (unsigned i = 0; i < 20; i++) {
        ASSERT_EQ(pthread_create(&thread, NULL, frees_some, NULL), 0);
        pthread_join(thread, NULL);
    }
    arn_malloc_trim(0);
    EXPECT_EQ(dirty_bytes(), 0);
    EXPECT_LE(live_bytes(), before);
    /* The count of them all is right, too: this thread may still keep some. */
    char *block = arn_malloc(1 * MIB);
    arn_free(block);
    EXPECT_EQ(arn_malloc(1 * MIB), block);
}

TEST(spares, a_thread_that_ends_leaves_none)
{
    IN_OWN_PROCESS(ends());
}

static atomic_bool stop;

static void *keeps_and_takes(void *argument)
{
    uint64_t seed = (uintptr_t)argument;
    while (!atomic_load(&stop)) {
        void *blocks[6];
        for (unsigned i = 0; i < 6; i++) {
            size_t bytes = 33000 + (seed++ * 7919) % 600000;
            blocks[i] = arn_malloc(bytes);
            pattern_fill(blocks[i], bytes, seed);
            if (!pattern_holds(blocks[i], bytes, bytes, seed))
                abort();
        }
        for (unsigned i = 0; i < 6; i++)
            arn_free(blocks[i]);
    }
    return NULL;
}

static void in_child(void)
{
    arn_free(arn_malloc(1)); /* which mends it */
    arn__arena_verify();
    size_t before = live_bytes();
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char *block = arn_calloc(1, sizes[i]);
            if (block == NULL || !pattern_zero(block, sizes[i]))
                _exit(1);
            memset(block, 0xff, sizes[i]);
            arn_free(block);
        }
    }
    arn_malloc_trim(0);
    arn__arena_verify();
    if (dirty_bytes() > 0) /* as a spare is that nobody has */
        _exit(2);
    if (live_bytes() > before)
        _exit(3);
    be_served();
    void *blocks[] = {arn_malloc(1 * MIB), arn_malloc(1 * MIB)};
    before = live_bytes();
    arn_free(blocks[0]);
    arn_free(blocks[1]);
    _exit(live_bytes() == before ? 0 : 4); /* those that are gone must not count */
}

static void forks(void)
{
    pthread_t threads[3];
    arn_free(arn_malloc(100000));
    for (uintptr_t i = 0; i < 3; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, keeps_and_takes, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < 40; i++) {
        arn_free(arn_malloc(100000));
        pid_t child = fork();
        if (child == 0)
            in_child();
        int status = -1;
        waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(used_bytes(), 0);
}

TEST(spares, those_of_threads_that_a_child_does_not_have_are_free_there)
{
    if (SANITIZED || EMULATED)
        SKIP("their own locks do not survive it");
    IN_OWN_PROCESS(forks());
}
