/* recycle.c - blocks that wait are wiped, are had by one at a time, and wait only while closing rests. */
#include "recycle.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "options.h"
#include "os.h"
#include "pace.h"
#include "pattern.h"
#include "said.h"
#include "shim.h"
#include "zone.h"

enum {
    LEAST_BYTES = 32 << 10,
    MOST_BYTES = 1 << 20,
    BYTES = 64 << 10,
    BLOCKS = 30,
    PLACES = 64, /* of a size */
    WAIT_LEAST = 4
};

static const uint64_t credit_ns = 1000000000, hour_ns = 3600 * credit_ns;

static void rest_for(uint64_t ns)
{
    arn__recycle_pace.until = arn__os_now_ns() + credit_ns + ns;
}

/* As if so many blocks had been closed, each in a second, which counts as a millisecond: rest for 99. */
static void close_many(unsigned count, size_t bytes)
{
    for (unsigned i = 0; i < count; i++)
        arn__recycle_closed(bytes, arn__os_now_ns() - 1000000000);
}

static char *take_new(size_t bytes)
{
    char *block = arn__zone_take(bytes, 1);
    for (unsigned i = 0; i < 100 && block == NULL; i++)
        block = arn__zone_take(bytes, 1);
    if (block != NULL)
        memset(block, 0x5a, bytes);
    return block;
}

#define NEED_ZONE()                                                        \
    do {                                                                   \
        char *block_ = take_new(BYTES);                                    \
        if (block_ == NULL || !arn__zone_give(block_, BYTES))              \
            SKIP("no zone: address space is limited, or pages are large"); \
    } while (0)

static void sizes(void)
{
    size_t page_bytes = arn__os_page_bytes();
    for (size_t bytes = page_bytes; bytes <= 2 * MOST_BYTES; bytes += page_bytes)
        EXPECT_EQ(arn__recycle_bytes(bytes), bytes);
    rest_for(hour_ns);
    for (size_t bytes = page_bytes; bytes <= 2 * MOST_BYTES; bytes += page_bytes) {
        size_t rounded = arn__recycle_bytes(bytes);
        if (bytes < LEAST_BYTES || bytes > MOST_BYTES) {
            ASSERT_EQ(rounded, bytes);
        } else {
            ASSERT_GE(rounded, bytes);
            ASSERT_LE(rounded - bytes, bytes / 8);
            ASSERT_EQ(arn__recycle_bytes(rounded), rounded);
        }
    }
}

/* Blocks that are closed anyway owe nothing: those of other sizes, and those for which there is no room. */
static void what_is_owed(void)
{
    close_many(1000, LEAST_BYTES - 1);
    close_many(1000, MOST_BYTES + 1);
    EXPECT_EQ(arn__recycle_pace.until, 0);
    close_many(1000, MOST_BYTES);
    EXPECT_GT(arn__recycle_pace.until, arn__os_now_ns());
    EXPECT_LE(arn__recycle_pace.until, arn__os_now_ns() + credit_ns + credit_ns / 10);
}

TEST(recycle, what_closing_owes_is_bounded)
{
    IN_OWN_PROCESS(what_is_owed());
}

TEST(recycle, sizes_are_rounded_up_while_closing_rests)
{
    IN_OWN_PROCESS(sizes());
}

static char *blocks[BLOCKS];

/* Of those, how many wait; the others were closed. */
static unsigned count_waiting(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i] == NULL || !arn__os_readable(blocks[i]))
            continue;
        count++;
        EXPECT_TRUE(pattern_zero(blocks[i], BYTES));
        EXPECT_FALSE(arn__os_readable(blocks[i] - 1));
        EXPECT_FALSE(arn__os_readable(blocks[i] + BYTES));
    }
    return count;
}

static void keep_all(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = take_new(BYTES);
        ASSERT_NE(blocks[i], NULL);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        ASSERT_TRUE(arn__recycle_keep(blocks[i], BYTES));
}

static bool forget(const char *block)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i] == block) {
            blocks[i] = NULL;
            return true;
        }
    }
    return false;
}

static void wait(void)
{
    size_t bytes = BYTES;
    char *block = take_new(BYTES);
    EXPECT_FALSE(arn__recycle_keep(block, BYTES)); /* closing does not rest */
    EXPECT_EQ(block[BYTES - 1], 0x5a);
    rest_for(hour_ns);
    EXPECT_EQ(arn__recycle_take(&bytes, 1), NULL);
    keep_all();
    unsigned waiting = count_waiting();
    EXPECT_EQ(waiting, BLOCKS);
    /* A request of half as much may have them, and one of more, or of less than half, may not. */
    bytes = BYTES + BYTES / 8;
    EXPECT_EQ(arn__recycle_take(&bytes, 1), NULL);
    bytes = BYTES / 2 - BYTES / 16;
    EXPECT_EQ(arn__recycle_take(&bytes, 1), NULL);
    for (bytes = BYTES / 2; (block = arn__recycle_take(&bytes, 1)) != NULL; bytes = BYTES / 2) {
        EXPECT_EQ(bytes, BYTES);
        EXPECT_TRUE(pattern_zero(block, BYTES));
        memset(block, 1, BYTES);
        EXPECT_TRUE(forget(block));
        waiting--;
    }
    EXPECT_EQ(count_waiting(), waiting);
    EXPECT_EQ(waiting, WAIT_LEAST - 1);
    EXPECT_EQ(arn__recycle_waiting(), waiting * (size_t)BYTES);
    EXPECT_EQ(arn__recycle_release(), waiting * (size_t)BYTES);
    EXPECT_EQ(arn__recycle_waiting(), 0);
    EXPECT_EQ(count_waiting(), 0);
    EXPECT_EQ(arn__recycle_release(), 0);
}

TEST(recycle, what_waits_is_wiped_and_had_by_one)
{
    NEED_ZONE();
    IN_OWN_PROCESS(wait());
}

static void written_to(void)
{
    static struct said said;
    size_t bytes = BYTES;
    arn__options.misuse = MISUSE_IGNORE;
    rest_for(hour_ns);
    keep_all();
    for (unsigned i = 0; i < BLOCKS; i++)
        if (arn__os_readable(blocks[i]))
            blocks[i][BYTES - 5000 + i] = 1;
    said_begin(&said);
    char *block = arn__recycle_take(&bytes, 1);
    EXPECT_CONTAINS(said_end(&said), "overwritten after it was freed");
    ASSERT_NE(block, NULL);
    EXPECT_TRUE(pattern_zero(block, BYTES));
}

TEST(recycle, a_write_to_what_waits_is_noticed)
{
    NEED_ZONE();
    IN_OWN_PROCESS(written_to());
}

static void written_to_when_closed(void)
{
    static struct said said;
    arn__options.misuse = MISUSE_IGNORE;
    rest_for(hour_ns);
    char *block = take_new(BYTES);
    ASSERT_TRUE(arn__recycle_keep(block, BYTES));
    block[0] = 1;
    said_begin(&said);
    EXPECT_EQ(arn__recycle_release(), BYTES);
    EXPECT_CONTAINS(said_end(&said), "overwritten after it was freed");
    EXPECT_FALSE(arn__os_readable(block));
}

TEST(recycle, a_write_is_noticed_when_what_waits_is_closed)
{
    NEED_ZONE();
    IN_OWN_PROCESS(written_to_when_closed());
}

/* What finds no room is left as it is. */
static void no_room(void)
{
    rest_for(hour_ns);
    for (unsigned i = 0; i < PLACES + 5; i++) {
        char *block = take_new(LEAST_BYTES);
        ASSERT_NE(block, NULL);
        EXPECT_EQ(arn__recycle_keep(block, LEAST_BYTES), i < PLACES);
        EXPECT_EQ(block[LEAST_BYTES - 1], i < PLACES ? 0 : 0x5a);
    }
    EXPECT_EQ(arn__recycle_release(), PLACES * LEAST_BYTES);
    arn__options.purge_budget_bytes = 0;
    EXPECT_FALSE(arn__recycle_keep(take_new(LEAST_BYTES), LEAST_BYTES));
}

TEST(recycle, what_finds_no_room_is_closed)
{
    NEED_ZONE();
    IN_OWN_PROCESS(no_room());
}

/* Not more than 16 MiB in all. */
static void is_bounded(void)
{
    size_t kept = 0;
    rest_for(hour_ns);
    for (unsigned i = 0; i < 200; i++) {
        size_t bytes = MOST_BYTES / 8 * (5 + i % 4);
        char *block = take_new(bytes);
        ASSERT_NE(block, NULL);
        if (!arn__recycle_keep(block, bytes))
            ASSERT_TRUE(arn__zone_give(block, bytes));
    }
    kept = arn__recycle_release();
    EXPECT_GT(kept, (size_t)4 << 20);
    EXPECT_LE(kept, (size_t)16 << 20);
}

TEST(recycle, little_waits)
{
    NEED_ZONE();
    IN_OWN_PROCESS(is_bounded());
}

/* What the program took away from its block, or what the kernel refuses. */
static void not_kept(void)
{
    rest_for(hour_ns);
    char *block = take_new(BYTES);
    arn__os_fail_at(1, 1);
    EXPECT_FALSE(arn__recycle_keep(block, BYTES));
    arn__os_fail_at(0, 0);
    ASSERT_EQ(munmap(block + BYTES / 2, arn__os_page_bytes()), 0);
    EXPECT_FALSE(arn__recycle_keep(block, BYTES));
    EXPECT_TRUE(arn__zone_give(block, BYTES));
    EXPECT_FALSE(arn__os_readable(block));
    block = take_new(BYTES);
    ASSERT_EQ(mprotect(block, arn__os_page_bytes(), PROT_NONE), 0);
    EXPECT_TRUE(arn__recycle_keep(block, BYTES));
    EXPECT_TRUE(pattern_zero(block, BYTES));
    EXPECT_EQ(arn__recycle_release(), BYTES);
}

TEST(recycle, a_block_with_a_hole_is_closed)
{
    NEED_ZONE();
    IN_OWN_PROCESS(not_kept());
}

/* Once closing rests no more, each block that is closed takes one along that waits. */
static void goes_with_time(void)
{
    char *waits = take_new(BYTES), *closed = take_new(BYTES);
    rest_for(hour_ns);
    ASSERT_TRUE(arn__recycle_keep(waits, BYTES));
    rest_for(credit_ns / 5);
    size_t odd = LEAST_BYTES + LEAST_BYTES / 16;
    while (arn__recycle_bytes(odd) != odd)
        usleep(10000);
    EXPECT_TRUE(arn__os_readable(waits));
    EXPECT_FALSE(arn__recycle_keep(closed, BYTES));
    EXPECT_FALSE(arn__os_readable(waits));
    EXPECT_EQ(arn__recycle_release(), 0);
}

TEST(recycle, what_waits_goes_when_closing_rests_no_more)
{
    NEED_ZONE();
    IN_OWN_PROCESS(goes_with_time());
}

/* ---- threads ---- */

enum { THREADS = 4, TURNS = 3000 };

static atomic_uint wrong, again;

static char *take(size_t *bytes)
{
    *bytes = arn__recycle_bytes(*bytes);
    char *block = arn__recycle_take(bytes, 1);
    if (block == NULL)
        return arn__zone_take(*bytes, 1);
    again++;
    return block;
}

static bool give(char *block, size_t bytes)
{
    return arn__recycle_keep(block, bytes) || arn__zone_give(block, bytes);
}

static void *take_and_give(void *argument)
{
    char *held[4] = {NULL};
    size_t sizes[4] = {0};
    uint64_t seed = (uintptr_t)argument;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        unsigned at = (unsigned)pattern_random(&seed) % 4;
        if (held[at] != NULL) {
            wrong += *(void **)held[at] != argument;
            wrong += *(void **)(held[at] + sizes[at] - sizeof argument) != argument;
            wrong += !give(held[at], sizes[at]);
        }
        sizes[at] = LEAST_BYTES + pattern_random(&seed) % 20 * arn__os_page_bytes();
        held[at] = take(&sizes[at]);
        if (held[at] == NULL)
            continue; /* all places that were tried are taken */
        wrong += *(void **)held[at] != NULL;
        *(void **)held[at] = argument;
        *(void **)(held[at] + sizes[at] - sizeof argument) = argument;
    }
    for (unsigned at = 0; at < 4; at++)
        wrong += held[at] != NULL && !give(held[at], sizes[at]);
    return NULL;
}

/* For a few blocks of one size. */
static void *race(void *argument)
{
    const unsigned race_turns = (EMULATED ? 3 : 30) * TURNS;
    for (unsigned turn = 0; turn < race_turns; turn++) {
        size_t bytes = LEAST_BYTES;
        char *block = take(&bytes);
        if (block == NULL)
            continue;
        void *_Atomic *mark = (void *_Atomic *)block;
        wrong += atomic_exchange(mark, argument) != NULL;
        wrong += atomic_exchange(mark, NULL) != argument;
        wrong += !give(block, bytes);
    }
    return NULL;
}

static void run_threads(void *(*run)(void *))
{
    pthread_t threads[THREADS];
    again = 0;
    for (uintptr_t i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, run, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_join(threads[i], NULL), 0);
    EXPECT_EQ(wrong, 0);
    EXPECT_GT(again, TURNS / 4);
}

static void in_threads(void)
{
    rest_for(hour_ns);
    run_threads(take_and_give);
    run_threads(race);
    arn__recycle_release();
}

TEST(recycle, threads_have_their_blocks_alone)
{
    NEED_ZONE();
    IN_OWN_PROCESS(in_threads());
}
