/* shard.c - shared pools: taken whole, kept or released when their last block comes back. */
#include "shard.h"

#include <arenite/arenite.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "options.h"
#include "os.h"
#include "pool.h"
#include "region.h"
#include "shim.h"
#include "thread.h"

static struct block *all[1024];

/* A pool with all of its blocks out, `all`; owned by this thread, in none of its lists. */
static struct descriptor *make_full(unsigned c)
{
    arn_free(arn_malloc(1));
    struct descriptor *pool = arn__pool_create(c, arn__heap_number(arn__thread.heap));
    unsigned count = 0;
    do {
        for (struct block *block = pool->local.first; block != arn__link_end();
             block = arn__pool_next(pool, block, "test"))
            all[count++] = block;
        pool->local.first = arn__link_end();
    } while (arn__pool_carve(pool) > 0);
    pool->local.needed = pool->carved;
    return pool;
}

/* Pushes blocks from..to of `all`, one after the other; what the last push says. */
static enum push_result push(struct descriptor *pool, unsigned from, unsigned to)
{
    enum push_result result = PUSH_DONE;
    for (unsigned i = from; i < to; i++)
        result = arn__pool_push(pool, all[i], UINT_MAX);
    return result;
}

static void gives_what_it_got(void)
{
    unsigned c = 20;
    EXPECT_EQ(arn__shard_take(c), NULL);
    struct descriptor *pool = make_full(c);
    push(pool, 0, 3);
    arn__shard_put(pool);
    EXPECT_EQ(arn__pool_number(pool), 0);
    push(pool, 3, 5);
    EXPECT_EQ(arn__shard_take(c + 1), NULL);
    EXPECT_EQ(arn__shard_take(c), pool);
    EXPECT_EQ(arn__pool_local_count(pool), 5);
    EXPECT_EQ(pool->local.needed, pool->carved - 5);
    EXPECT_EQ(arn__shard_take(c), NULL);
}

TEST(shard, gives_a_pool_with_all_that_came_back)
{
    IN_OWN_PROCESS(gives_what_it_got());
}

static bool is_released(const char *base)
{
    return arn__kind(arn__descriptor(base)) == KIND_NONE;
}

/* A pool, shared, whose blocks then all come back; it is still in its shard. */
static char *make_emptied(unsigned c)
{
    struct descriptor *pool = make_full(c);
    unsigned count = pool->carved;
    char *base = arn__pool_base(pool);
    push(pool, 0, 1);
    arn__shard_put(pool);
    EXPECT_EQ(push(pool, 1, count - 1), PUSH_DONE);
    arn__shard_reap(base, c); /* not yet */
    EXPECT_EQ(arn__remote_state(atomic_load(arn__remote(base))), POOL_SHARED);
    EXPECT_EQ(push(pool, count - 1, count), PUSH_EMPTIED);
    return base;
}

static void check_empty(struct descriptor *pool, const char *base)
{
    EXPECT_EQ(arn__pool_base(pool), base);
    EXPECT_EQ(arn__pool_number(pool), 0);
    EXPECT_EQ(arn__remote_count(atomic_load(arn__remote(base))), pool->local.needed);
    EXPECT_EQ(arn__pool_local_count(pool) + pool->local.needed, pool->carved);
}

static void reaps(void)
{
    unsigned c = arn__class_of(3000); /* of 4 slices */
    char *bases[SHARD_EMPTY_POOLS];
    for (unsigned i = 0; i < SHARD_EMPTY_POOLS; i++) {
        bases[i] = make_emptied(c);
        EXPECT_FALSE(is_released(bases[i]));
    }
    for (unsigned i = 0; i < SHARD_EMPTY_POOLS; i++)
        arn__shard_reap(bases[i], c);
    for (unsigned i = SHARD_EMPTY_POOLS; i-- > 0;)
        check_empty(arn__shard_take_empty(c), bases[i]);
    EXPECT_EQ(arn__shard_take_empty(c), NULL);
    EXPECT_EQ(arn__shard_take(c), NULL);
    for (unsigned i = 0; i < SHARD_EMPTY_POOLS; i++)
        arn__pool_release(arn__descriptor(bases[i]));
    arn__shard_reap(bases[0], c); /* long gone: nothing happens */
    arn__arena_verify();
}

TEST(shard, keeps_a_pool_whose_last_block_is_back)
{
    IN_OWN_PROCESS(reaps());
}

static void reaps_too_many(void)
{
    unsigned c = arn__class_of(3000);
    for (unsigned i = 0; i < SHARD_EMPTY_POOLS + 2; i++) {
        char *base = make_emptied(c);
        arn__shard_reap(base, c);
        EXPECT_EQ(is_released(base), i >= SHARD_EMPTY_POOLS);
    }
    arn__arena_verify();
}

TEST(shard, releases_more_empty_pools_than_it_keeps)
{
    IN_OWN_PROCESS(reaps_too_many());
}

static void put_empty(void)
{
    struct descriptor *pool = make_full(15);
    char *base = arn__pool_base(pool);
    push(pool, 0, pool->carved);
    arn__shard_put(pool);
    EXPECT_EQ(arn__shard_take(15), NULL);
    check_empty(arn__shard_take_empty(15), base);
    arn__pool_set_owner(pool, arn__heap_number(arn__thread.heap));
    arn__shard_put_empty(pool);
    check_empty(arn__shard_take_empty(15), base);
}

TEST(shard, an_empty_pool_is_not_shared)
{
    IN_OWN_PROCESS(put_empty());
}

/* A pool of each class is emptied, the largest first, twice. */
static void fill_all(void)
{
    for (unsigned round = 0; round < SHARD_EMPTY_POOLS; round++) {
        for (unsigned c = CLASSES; c-- > 0;) {
            char *base = make_emptied(c);
            arn__shard_reap(base, c);
        }
    }
}

/* The slices of all that is kept, which goes. */
static unsigned take_all_empty(void)
{
    unsigned slices = 0;
    for (unsigned c = 0; c < CLASSES; c++) {
        struct descriptor *pool;
        while ((pool = arn__shard_take_empty(c)) != NULL) {
            slices += arn__size_classes[c].slices;
            arn__pool_release(pool);
        }
    }
    return slices;
}

static void fills_all(void)
{
    fill_all();
    struct descriptor *pool = arn__shard_take_empty(0);
    ASSERT_TRUE(pool != NULL); /* the last class took another's place, */
    arn__shard_put_empty(pool);
    EXPECT_EQ(arn__shard_take_empty(0), pool); /* and keeps it */
    arn__shard_put_empty(pool);
    unsigned slices = take_all_empty();
    EXPECT_LE(slices, SHARD_EMPTY_SLICES);
    EXPECT_GE(slices, SHARD_EMPTY_SLICES / 2);
    fill_all(); /* of places that nothing is in, too */
    EXPECT_GE(take_all_empty(), SHARD_EMPTY_SLICES / 2);
    fill_all();
    arn__shards_reap_all();
    EXPECT_EQ(take_all_empty(), 0);
    fill_all();
    EXPECT_EQ(take_all_empty(), slices);
    arn__arena_verify();
}

TEST(shard, all_together_keep_2_MiB_of_empty_pools)
{
    IN_OWN_PROCESS(fills_all());
}

/* Where pools only go from thread to thread, nothing else looks at the clock. */
static void put_again(void)
{
    char *base = make_emptied(15);
    char *span = arn__span_take(4, 1);
    memset(span, 1, 4 * ARENA_BYTES);
    arn__span_put(span, 4, 4 * ARENA_BYTES);
    arn__options.purge_delay_ms = 20;
    usleep(50000);
    arn__shard_reap(base, 15);
    EXPECT_GE(atomic_load(&arn__arena_totals.dirty_bytes), 4 * ARENA_BYTES);
    for (unsigned i = 0; i < 100; i++)
        arn__shard_put_empty(arn__shard_take_empty(15));
    EXPECT_LT(atomic_load(&arn__arena_totals.dirty_bytes), 4 * ARENA_BYTES);
}

TEST(shard, empty_pools_that_come_and_go_see_to_old_dirty_memory)
{
    IN_OWN_PROCESS(put_again());
}

static void put_tight(void)
{
    char *base = make_emptied(15);
    arn__os_fail_at(1, LONG_MAX);
    EXPECT_EQ(arn__span_take(200, 1), NULL);
    arn__os_fail_at(0, 0);
    ASSERT_TRUE(arn__memory_is_tight());
    arn__shard_reap(base, 15);
    EXPECT_TRUE(is_released(base));
}

TEST(shard, keeps_no_empty_pools_where_memory_is_tight)
{
    IN_OWN_PROCESS(put_tight());
}

static void reaps_all(void)
{
    char *bases[CLASSES];
    for (unsigned c = 0; c < CLASSES; c++) {
        struct descriptor *pool = make_full(c);
        unsigned count = pool->carved;
        bases[c] = arn__pool_base(pool);
        push(pool, 0, 1);
        arn__shard_put(pool);
        EXPECT_EQ(push(pool, 1, count), PUSH_EMPTIED);
    }
    arn__shards_reap_all();
    for (unsigned c = 0; c < CLASSES; c++)
        EXPECT_TRUE(is_released(bases[c]));
    arn__arena_verify();
}

TEST(shard, everything_empty_goes_at_a_trim)
{
    IN_OWN_PROCESS(reaps_all());
}

static void middle(void)
{
    enum { COUNT = 5 };
    unsigned c = 63, capacity = arn__size_classes[c].capacity;
    struct descriptor *pools[COUNT];
    static struct block *blocks[COUNT][16];
    for (unsigned i = 0; i < COUNT; i++) {
        pools[i] = make_full(c);
        for (unsigned j = 0; j < capacity; j++)
            blocks[i][j] = all[j];
        push(pools[i], 0, 1);
        arn__shard_put(pools[i]);
    }
    for (unsigned j = 0; j < capacity; j++)
        all[j] = blocks[2][j];
    char *base = arn__pool_base(pools[2]);
    EXPECT_EQ(push(pools[2], 1, capacity), PUSH_EMPTIED);
    arn__shard_reap(base, c);
    check_empty(arn__shard_take_empty(c), base);
    unsigned found = 0;
    while (arn__shard_take(c) != NULL)
        found++;
    EXPECT_EQ(found, COUNT - 1);
}

TEST(shard, a_pool_leaves_from_the_middle_of_the_list)
{
    IN_OWN_PROCESS(middle());
}
