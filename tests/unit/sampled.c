/* sampled.c - which requests are sampled, where their blocks lie, and in which order cells are used again. */
#include "sampled.h"

#include <arenite/arenite.h>
#include <pthread.h>
#include <string.h>

#include "descriptor.h"
#include "options.h"
#include "os.h"
#include "pattern.h"
#include "said.h"
#include "shim.h"
#include "thread.h"

/* ---- chance ---- */

static void draws(void)
{
    static const size_t means[] = {2, 3, 10, 100, 5000, 1 << 20};
    arn__sampled_seed(1);
    EXPECT_EQ(arn__sampled_draw(1), 1);
    for (size_t i = 0; i < sizeof means / sizeof *means; i++) {
        const unsigned draws = 200000;
        double sum = 0;
        unsigned above = 0, least = 0;
        for (unsigned n = 0; n < draws; n++) {
            uint64_t drawn = arn__sampled_draw(means[i]);
            sum += (double)drawn;
            above += drawn > means[i];
            least += drawn == 1;
        }
        TRACE("mean %zu: %f", means[i], sum / draws);
        EXPECT_GT(sum / draws, (double)means[i] * 0.98);
        EXPECT_LT(sum / draws, (double)means[i] * 1.02);
        /* (1 - 1/mean)^mean of them are above the mean, 1/mean are 1. */
        if (means[i] >= 10) {
            EXPECT_GT(above, draws * 0.33);
            EXPECT_LT(above, draws * 0.38);
        }
        EXPECT_GT(least, draws / (double)means[i] * 0.9 - 30);
        EXPECT_LT(least, draws / (double)means[i] * 1.1 + 30);
    }
}

TEST(sampled, the_distance_to_the_next_is_geometric)
{
    IN_OWN_PROCESS(draws());
}

static void follows_the_seed(void)
{
    uint64_t first[20];
    arn__sampled_seed(7);
    for (size_t i = 0; i < 20; i++)
        first[i] = arn__sampled_draw(5000);
    arn__sampled_seed(7);
    for (size_t i = 0; i < 20; i++)
        EXPECT_EQ(arn__sampled_draw(5000), first[i]);
    arn__sampled_seed(8);
    EXPECT_NE(arn__sampled_draw(5000), first[0]);
}

TEST(sampled, the_distances_follow_from_the_seed)
{
    IN_OWN_PROCESS(follows_the_seed());
}

static void counts_down(void)
{
    ASSERT_TRUE(arn__sampled_begin(100));
    arn__sampled_seed(1);
    int64_t until = 0;
    unsigned due = 0;
    for (unsigned i = 0; i < 100000; i++)
        due += arn__sampled_is_due(&until, 1);
    EXPECT_GT(due, 900);
    EXPECT_LT(due, 1100);
    /* As many when they are told of in bundles. */
    for (unsigned i = due = 0; i < 10000; i++)
        due += arn__sampled_is_due(&until, i % 20 + 1);
    EXPECT_GT(due, 900);
    EXPECT_LT(due, 1100);
    /* What is owed for very many is not asked for at once. */
    EXPECT_TRUE(arn__sampled_is_due(&until, 1000000));
    for (due = 0; arn__sampled_is_due(&until, 1); due++) {
    }
    EXPECT_GT(due, 0);
    EXPECT_LT(due, 40);
}

TEST(sampled, one_in_as_many_blocks_as_asked_for_is_due)
{
    IN_OWN_PROCESS(counts_down());
}

/* ---- rest ---- */

static void rests(void)
{
    ASSERT_TRUE(arn__sampled_begin(SAMPLED_PACED - 1));
    EXPECT_EQ(arn__sampled_now(), 0);
    EXPECT_FALSE(arn__sampled_rests(0));
    ASSERT_TRUE(arn__sampled_begin(SAMPLED_PACED));
    uint64_t since = arn__sampled_now();
    EXPECT_GT(since, 0);
    EXPECT_FALSE(arn__sampled_rests(since));
    arn__sampled_took(since);
    EXPECT_TRUE(arn__sampled_rests(since));
    EXPECT_FALSE(arn__sampled_rests(since + 3600000000000)); /* an hour */
}

TEST(sampled, rest_where_few_are_asked_for)
{
    IN_OWN_PROCESS(rests());
}

/* ---- cells ---- */

static struct cell *take(size_t bytes, size_t alignment)
{
    struct cell *cell = arn__sampled_take(bytes, alignment);
    if (cell != NULL && arn__sampled_make(cell, bytes, alignment, false) == NULL)
        return NULL;
    return cell;
}

static void give(struct cell *cell)
{
    EXPECT_EQ(arn__sampled_give(cell->block), cell);
    arn__sampled_give_pages(cell);
}

static void places(void)
{
    static const size_t sizes[] = {1, 15, 16, 17, 100, 4095, 4096, 4097, 20000, 32768};
    size_t page_bytes = arn__os_page_bytes();
    unsigned lefts = 0, rights = 0;
    ASSERT_TRUE(arn__sampled_begin(1));
    for (unsigned i = 0; i < 2000; i++) {
        size_t bytes = sizes[i % 10], alignment = (size_t)1 << i / 10 % 13;
        struct cell *cell = take(bytes, alignment);
        ASSERT_NE(cell, NULL);
        uintptr_t start = (uintptr_t)cell->block, end = start + bytes;
        size_t least = alignment < 16 ? 16 : alignment;
        TRACE("%zu bytes at a multiple of %zu", bytes, alignment);
        EXPECT_EQ(start % least, 0);
        EXPECT_EQ(arn__kind(arn__descriptor(cell->block)), KIND_SAMPLED);
        EXPECT_EQ(arn__sampled_bytes(cell->block), bytes);
        bool left = start % page_bytes == 0,
             right = (end + least - 1) / page_bytes != (end - 1) / page_bytes;
        EXPECT_TRUE(left || right);
        if (!EMULATED) {
            uintptr_t page = start / page_bytes * page_bytes;
            uintptr_t after = (end + page_bytes - 1) / page_bytes * page_bytes;
            EXPECT_FALSE(arn__os_readable((char *)page - 4));
            EXPECT_FALSE(arn__os_readable((char *)after));
        }
        lefts += left && !right;
        rights += right && !left;
        memset(cell->block, 7, bytes);
        EXPECT_EQ(arn__sampled_overwritten(cell), NULL);
        give(cell);
        if (!EMULATED)
            EXPECT_FALSE(arn__os_readable((char *)(start & ~(uintptr_t)3)));
    }
    EXPECT_GT(lefts, 500);
    EXPECT_GT(rights, 500);
}

TEST(sampled, a_block_begins_or_ends_with_its_pages)
{
    IN_OWN_PROCESS(places());
}

static void refuses(void)
{
    struct cell *cells[SAMPLED_LIVE_MOST];
    size_t blocks, bytes;
    ASSERT_TRUE(arn__sampled_begin(1));
    EXPECT_EQ(arn__sampled_take(1 << 20, 1), NULL);
    EXPECT_EQ(arn__sampled_take(16, 2 * arn__os_page_bytes()), NULL);
    for (size_t i = 0; i < SAMPLED_LIVE_MOST; i++)
        ASSERT_NE(cells[i] = take(i + 1, 1), NULL);
    EXPECT_EQ(take(100, 1), NULL);
    arn__sampled_count(&blocks, &bytes);
    EXPECT_EQ(blocks, SAMPLED_LIVE_MOST);
    EXPECT_EQ(bytes, SAMPLED_LIVE_MOST * (SAMPLED_LIVE_MOST + 1) / 2);
    give(cells[3]);
    struct cell *next = take(100, 1);
    ASSERT_NE(next, NULL);
    EXPECT_NE(next, cells[3]);
}

TEST(sampled, there_are_as_many_at_a_time_as_the_header_says)
{
    IN_OWN_PROCESS(refuses());
}

static void goes_round(void)
{
    struct cell *order[SAMPLED_CELLS];
    ASSERT_TRUE(arn__sampled_begin(1));
    for (size_t i = 0; i < SAMPLED_CELLS; i++) {
        ASSERT_NE(order[i] = take(64, 1), NULL);
        for (size_t before = 0; before < i; before++)
            ASSERT_NE(order[before], order[i]);
        give(order[i]);
    }
    for (size_t i = 0; i < 3 * SAMPLED_CELLS; i++) {
        struct cell *cell = take(64, 1);
        EXPECT_EQ(cell, order[i % SAMPLED_CELLS]);
        give(cell);
    }
}

TEST(sampled, the_cell_that_was_freed_first_is_used_first)
{
    IN_OWN_PROCESS(goes_round());
}

static void notices(void)
{
    ASSERT_TRUE(arn__sampled_begin(1));
    for (unsigned i = 0; i < 100; i++) {
        struct cell *cell = take(100, 1);
        ASSERT_NE(cell, NULL);
        char *block = cell->block;
        EXPECT_EQ(arn__sampled_overwritten(cell), NULL);
        block[100] = 0;
        EXPECT_EQ(arn__sampled_overwritten(cell), block + 100);
        block[100] = (char)0xa5;
        if (((uintptr_t)block & (arn__os_page_bytes() - 1)) != 0) {
            block[-3] = 0;
            EXPECT_EQ(arn__sampled_overwritten(cell), block - 3);
        }
        give(cell);
    }
}

TEST(sampled, a_byte_written_beside_a_block_is_noticed)
{
    IN_OWN_PROCESS(notices());
}

static void knows(void)
{
    int here = 0;
    EXPECT_FALSE(arn__sampled_has(&here));
    EXPECT_FALSE(arn__sampled_has(NULL));
    EXPECT_FALSE(arn__sampled_has((void *)0xdeadbeefdeadbeef));
    ASSERT_TRUE(arn__sampled_begin(1));
    EXPECT_FALSE(arn__sampled_has(&here));
    struct cell *cell = take(100, 1);
    EXPECT_TRUE(arn__sampled_has(cell->block));
    EXPECT_EQ(arn__sampled_look(cell->block), SAMPLED_LIVE);
    EXPECT_EQ(arn__sampled_look(cell->block + 16), SAMPLED_NONE);
    EXPECT_EQ(arn__sampled_give(cell->block + 16), NULL);
    /* Another tract that has the same place in the root. */
    EXPECT_FALSE(arn__sampled_has(cell->block + ((uintptr_t)1 << 40)));
    give(cell);
    EXPECT_TRUE(arn__sampled_has(cell->block));
    EXPECT_EQ(arn__sampled_look(cell->block), SAMPLED_FREED);
    EXPECT_EQ(arn__sampled_give(cell->block), NULL);
}

TEST(sampled, a_pointer_is_told_from_others_and_freed_once)
{
    IN_OWN_PROCESS(knows());
}

/* ---- through the public functions ---- */

static void serves(void)
{
    struct arn_stats before, stats;
    char *blocks[40];
    ASSERT_TRUE(arn__sampled_begin(1));
    arn_free(arn_malloc(1));
    arn_stats(&before);
    for (size_t i = 0; i < 40; i++) {
        ASSERT_NE(blocks[i] = arn_calloc(1, 1000 + i * 7), NULL);
        ASSERT_TRUE(arn__sampled_has(blocks[i]));
        EXPECT_EQ(arn_malloc_usable_size(blocks[i]), 1000 + i * 7);
        EXPECT_TRUE(pattern_zero(blocks[i], 1000 + i * 7));
        memset(blocks[i], (int)i + 1, 1000 + i * 7);
    }
    arn_stats(&stats);
    EXPECT_EQ(stats.used_blocks, before.used_blocks + 40);
    EXPECT_EQ(stats.used_bytes, before.used_bytes + 40 * 1000 + 7 * 780);
    for (size_t i = 0; i < 40; i++) {
        ASSERT_NE(blocks[i] = arn_realloc(blocks[i], 40000), NULL);
        EXPECT_EQ(blocks[i][999 + i * 7], (char)(i + 1));
        arn_free(blocks[i]);
    }
    arn_stats(&stats);
    EXPECT_EQ(stats.used_blocks, before.used_blocks);
    EXPECT_EQ(stats.used_bytes, before.used_bytes);
}

TEST(sampled, blocks_are_counted_and_resized_as_others_are)
{
    IN_OWN_PROCESS(serves());
}

/* Most of the blocks come from the heap's list, many of them again and again. */
static void counts_hidden(void)
{
    enum { KEPT = 3000 };
    static char *kept[KEPT];
    const int64_t far = (int64_t)1 << 40;
    ASSERT_TRUE(arn__sampled_begin(1 << 30));
    arn_free(arn_malloc(64));
    struct heap *heap = arn__thread.own;
    int64_t asked = 0;
    heap->until_sampled = far;
    for (size_t i = 0; i < KEPT; i++, asked++) {
        kept[i] = arn_malloc(64);
        for (size_t n = 0; n < i % 5; n++, asked++)
            arn_free(arn_malloc(64));
    }
    int64_t counted = far - heap->until_sampled;
    EXPECT_GT(counted, asked - 500); /* what the list has handed out since it was filled */
    EXPECT_LE(counted, asked + 1);
    for (size_t i = 0; i < KEPT; i++)
        arn_free(kept[i]);
}

TEST(sampled, what_the_fast_paths_hand_out_is_counted)
{
    IN_OWN_PROCESS(counts_hidden());
}

/* One block again and again: its list never ends. */
static void comes_in_pairs(void)
{
    unsigned samples = 0;
    ASSERT_TRUE(arn__sampled_begin(100));
    arn__sampled_seed(1);
    char *kept = arn_malloc(64);
    for (unsigned i = 0; i < 100000; i++) {
        char *block = arn_malloc(64);
        samples += arn__sampled_has(block);
        arn_free(block);
    }
    EXPECT_GT(samples, 700);
    EXPECT_LT(samples, 1300);
    arn_free(kept);
}

TEST(sampled, a_block_that_is_freed_before_the_next_is_sampled_too)
{
    IN_OWN_PROCESS(comes_in_pairs());
}

/* ---- without memory ---- */

static void refused(void)
{
    ASSERT_TRUE(arn__sampled_begin(1));
    arn_free(arn_malloc(1)); /* a thread's first makes its heap */
    char *first = arn_malloc(5000), *second = arn_malloc(5000);
    ASSERT_TRUE(arn__sampled_has(first) && arn__sampled_has(second));
    arn__os_fail_at(1, 1);
    arn_free(first); /* it can still be accessed: never to be used again */
    arn__os_fail_at(0, 0);
    EXPECT_FALSE(arn__sampled_is_on());
    for (unsigned i = 0; i < 2 * SAMPLED_CELLS; i++) {
        char *block = arn_malloc(5000);
        EXPECT_FALSE(arn__sampled_has(block));
        arn_free(block);
    }
    EXPECT_EQ(arn__sampled_look(first), SAMPLED_FREED);
    arn_free(second);
    ASSERT_TRUE(arn__sampled_begin(1));
    arn__os_fail_at(1, 1);
    char *block = arn_malloc(7000);
    arn__os_fail_at(0, 0);
    ASSERT_NE(block, NULL);
    EXPECT_FALSE(arn__sampled_has(block));
    EXPECT_FALSE(arn__sampled_is_on());
    arn_free(block);
}

TEST(sampled, when_the_kernel_refuses_sampling_ends)
{
    IN_OWN_PROCESS(refused());
}

static void no_room(void)
{
    arn_free(arn_malloc(1));
    for (long first = 1; first < 4; first++) {
        arn__os_fail_at(first, 1 << 20);
        EXPECT_FALSE(arn__sampled_begin(1));
        arn__os_fail_at(0, 0);
        EXPECT_FALSE(arn__sampled_is_on());
        char *block = arn_malloc(100);
        EXPECT_FALSE(arn__sampled_has(block));
        arn_free(block);
    }
    EXPECT_TRUE(arn__sampled_begin(1));
}

TEST(sampled, without_memory_it_does_not_begin)
{
    IN_OWN_PROCESS(no_room());
}

/* ---- threads ---- */

enum { TURNS = 4000, THREADS = 4 };
static _Atomic(char *) passed[16];

static void *take_and_give(void *argument)
{
    for (unsigned i = 0; i < TURNS; i++) {
        size_t bytes = 600 + (i * 31 + (uintptr_t)argument * 977) % 9000;
        char *block = arn_malloc(bytes);
        memset(block, (int)(bytes & 127), bytes);
        *(size_t *)block = bytes;
        block = atomic_exchange(&passed[i % 16], block);
        if (block != NULL) {
            bytes = *(size_t *)block;
            EXPECT_EQ(block[bytes - 1], (char)(bytes & 127));
            arn_free(block);
        }
    }
    return NULL;
}

static void races(void)
{
    pthread_t threads[THREADS];
    size_t blocks, bytes;
    ASSERT_TRUE(arn__sampled_begin(2));
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, take_and_give, (void *)i);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 16; i++)
        arn_free(atomic_exchange(&passed[i], NULL));
    arn__sampled_count(&blocks, &bytes);
    EXPECT_EQ(blocks, 0);
}

TEST(sampled, threads_pass_blocks_on)
{
    IN_OWN_PROCESS(races());
}

/* ---- what is said ---- */

static void says(void)
{
    struct said said;
    ASSERT_TRUE(arn__sampled_begin(1));
    arn__options.misuse = MISUSE_IGNORE;
    arn_free(arn_malloc(1));
    char *block = arn_malloc(100);
    ASSERT_TRUE(arn__sampled_has(block));
    arn_free(block);
    said_begin(&said);
    arn_free(block);
    const char *text = said_end(&said);
    EXPECT_CONTAINS(text, "arenite: arn_free(0x");
    EXPECT_CONTAINS(text, "): double free: a block of 100 bytes at 0x");
    EXPECT_CONTAINS(text, "arenite: called by thread ");
    EXPECT_CONTAINS(text, "arenite: allocated by thread ");
    EXPECT_CONTAINS(text, "arenite: freed by thread ");
}

TEST(sampled, a_double_free_is_told_with_three_stacks)
{
    IN_OWN_PROCESS(says());
}
