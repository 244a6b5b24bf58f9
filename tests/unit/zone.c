/* zone.c - blocks of the zone lie between pages without access, apart from each other, and are zero. */
#include "zone.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptor.h"
#include "os.h"
#include "sanitized.h"
#include "shim.h"

enum { BLOCKS = 300, THREADS = 4, TURNS = 3000 };

static size_t page_bytes(void)
{
    return arn__os_page_bytes();
}

static size_t bytes_for(unsigned number)
{
    return (number % 23 + 1) * (number % 5 == 0 ? 17 : 1) * page_bytes();
}

static bool zone_is_there(void)
{
    void *block = NULL;
    for (unsigned i = 0; i < 100 && block == NULL; i++)
        block = arn__zone_take(page_bytes(), 1);
    return block != NULL && arn__zone_give(block, page_bytes());
}

static void blocks(void)
{
    char *taken[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t bytes = bytes_for(i), alignment = (size_t)SLICE_BYTES << i % 6;
        taken[i] = arn__zone_take(bytes, alignment);
        ASSERT_NE(taken[i], NULL);
        EXPECT_TRUE(arn__zone_has(taken[i]));
        EXPECT_EQ((uintptr_t)taken[i] % alignment, 0);
        EXPECT_FALSE(arn__os_readable(taken[i] - page_bytes()));
        EXPECT_FALSE(arn__os_readable(taken[i] + bytes));
        for (size_t at = 0; at < bytes; at += 64)
            ASSERT_EQ(taken[i][at], 0);
        memset(taken[i], (int)i + 1, bytes);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t bytes = bytes_for(i);
        for (size_t at = 0; at < bytes; at += 64)
            ASSERT_EQ(taken[i][at], (char)(i + 1));
        EXPECT_TRUE(arn__zone_give(taken[i], bytes));
        EXPECT_FALSE(arn__os_readable(taken[i]));
        EXPECT_FALSE(arn__os_readable(taken[i] + bytes - 1));
    }
}

TEST(zone, blocks_lie_between_pages_without_access)
{
    if (!zone_is_there())
        SKIP("no zone: address space is limited, or pages are large");
    blocks();
}

/* A block that moved leaves a hole, which is filled: its slices serve again, and nothing else lies there. */
static void moves(void)
{
    for (unsigned i = 0; i < 5000; i++) {
        size_t bytes = 3 << 20;
        char *block = arn__zone_take(bytes, 1);
        ASSERT_NE(block, NULL);
        *block = 1;
        void *target = arn__os_reserve_near(NULL, bytes);
        ASSERT_NE(target, NULL);
        ASSERT_TRUE(arn__os_move(block, bytes, bytes, target));
        arn__zone_refill(block, bytes);
        EXPECT_EQ(*(char *)target, 1);
        EXPECT_FALSE(arn__os_readable(block));
        ASSERT_TRUE(arn__os_unmap(target, bytes));
    }
}

TEST(zone, what_moved_away_leaves_room)
{
    if (SANITIZED || EMULATED || !zone_is_there())
        SKIP("no zone, or others may map what lies in it");
    IN_OWN_PROCESS(moves());
}

/* Full, it says so; a block that is too large is none of its. */
static void fill(void)
{
    enum { LARGE = 4 << 20, MOST = 1024 };
    static char *taken[MOST];
    unsigned count = 0;
    EXPECT_EQ(arn__zone_take((size_t)1 << 30, 1), NULL);
    EXPECT_EQ(arn__zone_take(page_bytes(), (size_t)1 << 30), NULL);
    while (count < MOST && (taken[count] = arn__zone_take(LARGE, 1)) != NULL)
        count++;
    EXPECT_GT(count, 20);
    EXPECT_LT(count, 256);
    for (unsigned i = 0; i < count; i++)
        EXPECT_TRUE(arn__zone_give(taken[i], LARGE));
    EXPECT_TRUE(zone_is_there());
}

TEST(zone, is_full_at_some_time)
{
    if (!zone_is_there())
        SKIP("no zone");
    IN_OWN_PROCESS(fill());
}

static atomic_uint wrong;

/* Whoever has a block has it alone. */
static void *take_and_give(void *argument)
{
    char *kept[8] = {NULL};
    size_t sizes[8] = {0};
    unsigned number = (unsigned)(uintptr_t)argument;
    for (unsigned turn = 0; turn < TURNS; turn++, number = number * 1664525 + 1013904223) {
        unsigned at = number >> 16 & 7;
        if (kept[at] != NULL) {
            wrong += *(void **)kept[at] != argument;
            wrong += !arn__zone_give(kept[at], sizes[at]);
        }
        sizes[at] = bytes_for(number >> 20);
        kept[at] = arn__zone_take(sizes[at], 1);
        if (kept[at] == NULL) {
            wrong++;
            continue;
        }
        wrong += *(void **)kept[at] != NULL;
        *(void **)kept[at] = argument;
    }
    for (unsigned at = 0; at < 8; at++)
        wrong += kept[at] != NULL && !arn__zone_give(kept[at], sizes[at]);
    return NULL;
}

TEST(zone, threads_have_their_blocks_alone)
{
    pthread_t threads[THREADS];
    if (!zone_is_there())
        SKIP("no zone");
    for (uintptr_t i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_join(threads[i], NULL), 0);
    EXPECT_EQ(wrong, 0);
}
