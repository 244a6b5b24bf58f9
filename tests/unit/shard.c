/* shard.c - shared pools: taken whole, released when their last block comes back. */
#include "shard.h"

#include <arenite/arenite.h>
#include <limits.h>
#include <pthread.h>

#include "arena.h"
#include "pool.h"
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

static void reaps(void)
{
    unsigned c = arn__class_of(3000); /* of 4 slices */
    struct descriptor *pool = make_full(c);
    unsigned count = pool->carved;
    char *base = arn__pool_base(pool);
    push(pool, 0, 1);
    arn__shard_put(pool);
    EXPECT_EQ(push(pool, 1, count - 1), PUSH_DONE);
    arn__shard_reap(base, c); /* not yet */
    EXPECT_FALSE(is_released(base));
    EXPECT_EQ(push(pool, count - 1, count), PUSH_EMPTIED);
    arn__shard_reap(base, c);
    EXPECT_TRUE(is_released(base));
    EXPECT_EQ(arn__shard_take(c), NULL);
    arn__shard_reap(base, c); /* long gone: nothing happens */
    arn__arena_verify();
}

TEST(shard, releases_a_pool_when_its_last_block_is_back)
{
    IN_OWN_PROCESS(reaps());
}

static void put_empty(void)
{
    struct descriptor *pool = make_full(15);
    char *base = arn__pool_base(pool);
    push(pool, 0, pool->carved);
    arn__shard_put(pool);
    EXPECT_TRUE(is_released(base));
    EXPECT_EQ(arn__shard_take(15), NULL);
}

TEST(shard, an_empty_pool_is_released_at_once)
{
    IN_OWN_PROCESS(put_empty());
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
    EXPECT_TRUE(is_released(base));
    unsigned found = 0;
    while (arn__shard_take(c) != NULL)
        found++;
    EXPECT_EQ(found, COUNT - 1);
}

TEST(shard, a_pool_leaves_from_the_middle_of_the_list)
{
    IN_OWN_PROCESS(middle());
}
