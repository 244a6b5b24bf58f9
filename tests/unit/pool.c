/* pool.c - one pool, its remote word and its states. */
#include "pool.h"

#include <arenite/arenite.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "arena.h"
#include "heap.h"
#include "options.h"
#include "pattern.h"
#include "shard.h"
#include "shim.h"
#include "thread.h"

static struct heap *heap(void)
{
    if (arn__thread.heap->list_index[POOLED_BYTES / QUANTUM_BYTES - 1] == 0 ||
        !arn__has_tract(arn__thread.heap))
        arn_free(arn_malloc(1));
    return arn__thread.heap;
}

static unsigned number(void)
{
    return arn__heap_number(heap());
}

static uint64_t word_of(const struct descriptor *pool)
{
    return atomic_load(arn__remote(arn__pool_base(pool)));
}

/* Takes all of the pool's blocks, carving as needed; returns how many. */
static unsigned take_all(struct descriptor *pool, struct block **blocks)
{
    unsigned count = 0;
    do {
        struct block *block = pool->local.first;
        pool->local.first = arn__link_end();
        for (; block != arn__link_end(); block = arn__pool_next(pool, block, "test"))
            blocks[count++] = block;
    } while (arn__pool_carve(pool) > 0);
    pool->local.needed = pool->carved;
    return count;
}

static struct block *all[1024];

static const struct size_class *shape_of(const struct descriptor *pool)
{
    return &arn__size_classes[pool->class_idx];
}

static bool handed_out[SLICE_BYTES / QUANTUM_BYTES];

TEST(pool, is_carved_page_by_page_into_blocks_that_lie_apart)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct size_class *shape = &arn__size_classes[c];
        TRACE("class of %u bytes", shape->block_bytes);
        struct descriptor *pool = arn__pool_create(c, number());
        ASSERT_NE(pool, NULL);
        EXPECT_GE(pool->carved, 1);
        EXPECT_LE(((size_t)pool->carved - 1) * shape->block_bytes, 4095);
        char *base = arn__pool_base(pool);
        unsigned count = take_all(pool, all);
        ASSERT_EQ(count, shape->capacity);
        EXPECT_EQ(pool->carved, shape->capacity);
        EXPECT_EQ(arn__pool_end(pool), base + (size_t)count * shape->block_bytes);
        /* From a block of chance on in the first page's, then one after the other. */
        unsigned turned = 0;
        for (unsigned i = 0; i < count; i++) {
            size_t offset = (size_t)((char *)all[i] - base);
            ASSERT_EQ(offset % shape->block_bytes, 0);
            ASSERT_FALSE(handed_out[offset / shape->block_bytes]);
            handed_out[offset / shape->block_bytes] = true;
            turned += i > 0 && all[i] != all[i - 1] + shape->block_bytes / sizeof *all[i];
            const struct descriptor *d = arn__descriptor(all[i]);
            ASSERT_TRUE(arn__pool_links(d, all[i]->link));
            ASSERT_TRUE(arn__pool_starts_block(d, all[i]));
            ASSERT_FALSE(arn__pool_starts_block(d, (char *)all[i] + 8));
            ASSERT_EQ(arn__head(d), pool);
            ASSERT_EQ(arn__pool_number(d), number());
        }
        EXPECT_LE(turned, 2); /* at the page's end, and behind it */
        memset(handed_out, 0, sizeof handed_out);
        EXPECT_EQ(arn__pool_carve(pool), 0);
        pool->local.needed = 0;
        arn__pool_release(pool);
        for (unsigned i = 0; i < shape->slices; i++) {
            const struct descriptor *d = arn__descriptor(base + i * SLICE_BYTES);
            EXPECT_EQ(arn__kind(d), KIND_NONE);
            EXPECT_EQ(atomic_load(&d->place), 0);
            EXPECT_EQ(d->inverse, 0);
        }
    }
    arn__arena_verify();
}

TEST(pool, only_what_is_carved_starts_a_block)
{
    struct descriptor *pool = arn__pool_create(0, number());
    char *base = arn__pool_base(pool);
    unsigned carved = pool->carved;
    for (unsigned i = 0; i < SLICE_BYTES / 16; i++)
        EXPECT_EQ(arn__pool_starts_block(pool, base + i * 16), i < carved);
    pool->local.needed = 0;
    arn__pool_release(pool);
}

/* Pushes blocks from..to of `all`, one after the other; what the last push says. */
static enum push_result push(struct descriptor *pool, unsigned from, unsigned to)
{
    enum push_result result = PUSH_DONE;
    for (unsigned i = from; i < to; i++) {
        EXPECT_EQ(result, PUSH_DONE);
        all[i]->link = 0;
        result = arn__pool_push(pool, all[i], shape_of(pool)->threshold);
        if (result == PUSH_DONE)
            EXPECT_TRUE(arn__pool_links(pool, all[i]->link));
    }
    return result;
}

static const unsigned some_classes[] = {0, 3, 63, 64, 80, 95};

TEST_EACH(pool, what_is_pushed_onto_an_owned_one_is_taken_by_its_owner, unsigned, c, some_classes)
{
    struct descriptor *pool = arn__pool_create(c, number());
    unsigned count = take_all(pool, all);
    EXPECT_EQ(arn__pool_take_remote(pool), 0);
    EXPECT_EQ(push(pool, 0, 3), PUSH_DONE);
    EXPECT_EQ(push(pool, 3, 4), PUSH_DONE);
    EXPECT_EQ(arn__remote_state(word_of(pool)), POOL_OWNED);
    EXPECT_EQ(arn__remote_count(word_of(pool)), 4);
    EXPECT_EQ(arn__pool_take_remote(pool), 4);
    EXPECT_EQ(arn__pool_local_count(pool), 4);
    EXPECT_EQ(push(pool, 4, 7), PUSH_DONE);
    EXPECT_EQ(arn__pool_take_remote(pool), 3);
    EXPECT_EQ(arn__pool_local_count(pool), 7); /* the old ones are still there */
    EXPECT_EQ(push(pool, 7, count), PUSH_DONE);
    EXPECT_EQ(arn__pool_take_remote(pool), count - 7);
    EXPECT_EQ(arn__pool_local_count(pool), count);
    EXPECT_EQ(arn__pool_take_remote(pool), 0);
    arn__pool_release(pool);
}

TEST_EACH(pool, a_detached_one_is_claimed_at_the_threshold, unsigned, c, some_classes)
{
    const struct size_class *shape = &arn__size_classes[c];
    struct descriptor *pool = arn__pool_create(c, number());
    unsigned count = take_all(pool, all);
    ASSERT_TRUE(arn__pool_detach(pool, number()));
    EXPECT_EQ(atomic_load(&pool->filled_by), number());
    EXPECT_EQ(arn__remote_state(word_of(pool)), POOL_DETACHED);
    unsigned i = 0;
    for (; i + 1 < shape->threshold; i++)
        ASSERT_EQ(push(pool, i, i + 1), PUSH_DONE);
    EXPECT_EQ(push(pool, i, i + 1), PUSH_CLAIMED);
    i++;
    EXPECT_EQ(arn__remote_state(word_of(pool)), POOL_OWNED);
    EXPECT_EQ(arn__remote_count(word_of(pool)), 0);
    EXPECT_EQ(arn__pool_local_count(pool), shape->threshold);
    EXPECT_EQ(pool->local.needed, count - shape->threshold);
    EXPECT_EQ(atomic_load(&pool->filled_by), number()); /* the hint */
    EXPECT_EQ(push(pool, i, count), PUSH_DONE);
    EXPECT_EQ(arn__pool_take_remote(pool), count - i);
    arn__pool_release(pool);
}

static bool frees_go_to(const struct descriptor *pool, const struct free_list *list)
{
    for (unsigned i = 0; i < shape_of(pool)->slices; i++) {
        if (pool[i].frees_to != list)
            return false;
    }
    return true;
}

TEST_EACH(pool, a_new_owners_frees_go_to_its_own_list_from_every_slice, unsigned, c, some_classes)
{
    struct descriptor *pool = arn__pool_create(c, number());
    struct free_list other = {NULL, 0};
    EXPECT_TRUE(frees_go_to(pool, &pool->local));
    arn__pool_set_frees_to(pool, &other);
    EXPECT_TRUE(frees_go_to(pool, &other));
    arn__pool_set_owner(pool, number());
    EXPECT_TRUE(frees_go_to(pool, &pool->local));
    arn__pool_release(pool);
}

/* As a forked child does with a pool that another thread allocated from. */
TEST_EACH(pool, an_abandoned_ones_free_blocks_are_found_by_their_links, unsigned, c, some_classes)
{
    struct descriptor *pool = arn__pool_create(c, number());
    struct free_list of_a_thread_that_is_gone = {pool->local.first, 0};
    bool detached;
    do {
        struct block *block = pool->local.first;
        pool->local.first = arn__pool_next(pool, block, "test");
        block->link = 0;
    } while (pool->local.first != arn__link_end());
    unsigned out = pool->carved, fresh = arn__pool_carve(pool);
    arn__pool_set_frees_to(pool, &of_a_thread_that_is_gone);
    ASSERT_TRUE(arn__pool_abandon(pool, arn__pool_base(pool), &detached));
    EXPECT_FALSE(detached);
    EXPECT_TRUE(frees_go_to(pool, &pool->local));
    EXPECT_EQ(pool->local.first, arn__link_end());
    arn__pool_recover(pool);
    EXPECT_EQ(arn__pool_take_remote(pool), fresh);
    EXPECT_EQ(arn__pool_local_count(pool), fresh);
    EXPECT_EQ(pool->carved, out + fresh);
    arn__pool_release(pool);
}

/* Each of the first `count` of `all` becomes free or out; a free one leads anywhere. Returns how many are free. */
static unsigned link_anyhow(unsigned c, unsigned count, uint64_t *seed)
{
    unsigned free = 0;
    for (unsigned i = 0; i < count; i++) {
        bool out = pattern_random(seed) % 4 == 0, ends = pattern_random(seed) % 8 == 0;
        const struct block *next = all[pattern_random(seed) % count];
        if (pattern_random(seed) % 16 == 0) /* hardened, what is never handed out */
            next = (const struct block *)arn__pool_base_of(next, c);
        all[i]->link = out ? 0 : arn__link_to(ends ? arn__link_end() : next);
        free += !out;
    }
    return free;
}

/* All free blocks, once each, are in the pool's list. */
static bool lists_each_once(struct descriptor *pool, unsigned free)
{
    static bool listed[1024];
    char *base = arn__pool_base(pool);
    unsigned count = 0;
    memset(listed, 0, sizeof listed);
    struct block *next;
    for (struct block *block = pool->local.first; block != arn__link_end(); block = next) {
        size_t place = (size_t)((char *)block - base) / shape_of(pool)->block_bytes - POOL_SKIPPED;
        if (place >= pool->carved || listed[place] || !arn__link_read(block->link, &next))
            return false;
        listed[place] = true;
        count++;
    }
    return count == free;
}

TEST_EACH(pool, an_abandoned_ones_lists_are_found_in_any_disorder, unsigned, c, some_classes)
{
    struct descriptor *pool = arn__pool_create(c, number());
    unsigned count = take_all(pool, all);
    uint64_t seed = c + 1;
    for (unsigned round = 0; round < 200; round++) {
        bool detached;
        unsigned among = 1 + (unsigned)(pattern_random(&seed) % count), free;
        for (unsigned i = 0; i < count; i++)
            all[i]->link = 0;
        free = link_anyhow(c, among, &seed);
        ASSERT_TRUE(arn__pool_abandon(pool, arn__pool_base(pool), &detached));
        arn__pool_recover(pool);
        ASSERT_EQ(arn__pool_take_remote(pool), free);
        ASSERT_TRUE(lists_each_once(pool, free));
    }
    pool->local.needed = 0;
    arn__pool_release(pool);
}

/* Two lists that are whole take one link to become one: no other page is to be written to in a child. */
TEST_EACH(pool, an_abandoned_ones_whole_lists_are_left_as_they_are, unsigned, c, some_classes)
{
    struct descriptor *pool = arn__pool_create(c, number());
    unsigned count = take_all(pool, all), half = count / 2, changed = 0;
    static uint64_t links[1024];
    bool detached;
    for (unsigned i = 0; i < count; i++) {
        bool ends = i == half || i == count - 1;
        links[i] = all[i]->link = arn__link_to(ends ? arn__link_end() : all[i + 1]);
    }
    ASSERT_TRUE(arn__pool_abandon(pool, arn__pool_base(pool), &detached));
    arn__pool_recover(pool);
    for (unsigned i = 0; i < count; i++)
        changed += all[i]->link != links[i];
    EXPECT_EQ(changed, 1);
    EXPECT_EQ(arn__pool_take_remote(pool), count);
    EXPECT_TRUE(lists_each_once(pool, count));
    pool->local.needed = 0;
    arn__pool_release(pool);
}

/* As a double free leaves it that was not noticed. */
static void counts_a_ring(void)
{
    struct descriptor *pool = arn__pool_create(3, number());
    unsigned count = take_all(pool, all);
    ASSERT_GT(count, 10);
    for (unsigned i = 0; i < 5; i++)
        all[i]->link = arn__link_to(all[i == 4 ? 2 : i + 1]);
    pool->local.first = all[0];
    arn__options.misuse = MISUSE_IGNORE;
    unsigned left = arn__pool_local_count(pool);
    EXPECT_GE(left, 3); /* the ring is cut anywhere */
    EXPECT_LE(left, 5);
    EXPECT_EQ(arn__pool_local_count(pool), left);
}

TEST(pool, a_list_that_leads_back_to_itself_ends)
{
    IN_OWN_PROCESS(counts_a_ring());
}

/* A block is freed by another thread, written to and freed again: it is in the chain twice. */
static void takes_a_ring(void)
{
    struct descriptor *pool = arn__pool_create(3, number());
    unsigned count = take_all(pool, all);
    pool->local.needed = count - 1;
    all[0]->link = arn__link_to(arn__link_end());
    pool->local.first = all[0];
    push(pool, 1, 3);
    all[1]->link = 0;
    push(pool, 1, 2);
    arn__options.misuse = MISUSE_IGNORE;
    EXPECT_EQ(arn__pool_take_remote(pool), 3);
    EXPECT_LE(arn__pool_local_count(pool), 3);
}

TEST(pool, a_chain_that_leads_back_to_itself_ends)
{
    IN_OWN_PROCESS(takes_a_ring());
}

TEST_EACH(pool, a_detached_one_is_claimed_earlier_by_who_asks_for_it, unsigned, c, some_classes)
{
    struct descriptor *pool = arn__pool_create(c, number());
    unsigned count = take_all(pool, all);
    ASSERT_TRUE(arn__pool_detach(pool, number()));
    EXPECT_EQ(arn__pool_push(pool, all[0], 1), PUSH_CLAIMED);
    EXPECT_EQ(arn__remote_state(word_of(pool)), POOL_OWNED);
    EXPECT_EQ(arn__pool_local_count(pool), 1);
    EXPECT_EQ(pool->local.needed, count - 1);
    EXPECT_EQ(push(pool, 1, count), PUSH_DONE);
    EXPECT_EQ(arn__pool_take_remote(pool), count - 1);
    arn__pool_release(pool);
}

/* Pushes blocks from..to quickly. */
static void push_quick(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        all[i]->link = 0;
        ASSERT_TRUE(arn__pool_push_quick(arn__descriptor(all[i]), all[i], false));
        ASSERT_TRUE(arn__pool_links(arn__descriptor(all[i]), all[i]->link));
    }
}

static void refuses_quick(struct descriptor *pool, unsigned i, bool holds)
{
    uint64_t before = word_of(pool);
    all[i]->link = 0;
    EXPECT_FALSE(arn__pool_push_quick(arn__descriptor(all[i]), all[i], holds));
    EXPECT_EQ(all[i]->link, 0);
    EXPECT_EQ(word_of(pool), before);
}

TEST_EACH(pool, a_quick_push_is_any_but_the_one_that_has_consequences, unsigned, c, some_classes)
{
    const struct size_class *shape = &arn__size_classes[c];
    struct descriptor *pool = arn__pool_create(c, number());
    char *base = arn__pool_base(pool);
    unsigned count = take_all(pool, all);
    push_quick(0, count);
    EXPECT_EQ(arn__remote_count(word_of(pool)), count);
    EXPECT_EQ(arn__pool_take_remote(pool), count);

    pool->local.first = arn__link_end();
    ASSERT_TRUE(arn__pool_detach(pool, number()));
    refuses_quick(pool, 0, true); /* this thread is to have it */
    push_quick(0, shape->threshold - 1u);
    EXPECT_EQ(arn__remote_state(word_of(pool)), POOL_DETACHED);
    refuses_quick(pool, shape->threshold - 1u, false); /* it is worth claiming */
    EXPECT_EQ(push(pool, shape->threshold - 1u, shape->threshold), PUSH_CLAIMED);
    EXPECT_EQ(arn__pool_local_count(pool), shape->threshold);

    pool->local.first = arn__link_end();
    pool->local.needed = count;
    ASSERT_TRUE(arn__pool_share(pool));
    push_quick(0, count - 1);
    EXPECT_EQ(arn__remote_state(word_of(pool)), POOL_SHARED);
    EXPECT_EQ(arn__remote_out(word_of(pool)), count);
    refuses_quick(pool, count - 1, false); /* it would be empty */
    EXPECT_EQ(push(pool, count - 1, count), PUSH_EMPTIED);
    EXPECT_TRUE(arn__pool_unshare_empty(base, c));
    arn__pool_release(pool);
}

TEST(pool, one_with_blocks_back_does_not_detach)
{
    struct descriptor *pool = arn__pool_create(7, number());
    take_all(pool, all);
    push(pool, 0, 2);
    EXPECT_FALSE(arn__pool_detach(pool, number()));
    EXPECT_EQ(arn__pool_number(pool), number());
    EXPECT_EQ(arn__pool_take_remote(pool), 2);
    arn__pool_release(pool);
}

TEST_EACH(pool, a_shared_one_is_emptied_by_the_push_that_brings_the_last, unsigned, c, some_classes)
{
    struct descriptor *pool = arn__pool_create(c, number());
    char *base = arn__pool_base(pool);
    unsigned count = take_all(pool, all);
    push(pool, 0, 1);
    ASSERT_TRUE(arn__pool_share(pool));
    EXPECT_EQ(arn__remote_state(word_of(pool)), POOL_SHARED);
    EXPECT_EQ(arn__remote_count(word_of(pool)), 1);
    EXPECT_EQ(arn__remote_out(word_of(pool)), count);
    EXPECT_FALSE(arn__pool_unshare_empty(base, c));
    EXPECT_EQ(push(pool, 1, count - 1), PUSH_DONE);
    EXPECT_FALSE(arn__pool_unshare_empty(base, c));
    EXPECT_EQ(push(pool, count - 1, count), PUSH_EMPTIED);
    EXPECT_FALSE(arn__pool_unshare_empty(base, c + 1)); /* another class: another pool */
    EXPECT_TRUE(arn__pool_unshare_empty(base, c));
    EXPECT_FALSE(arn__pool_unshare_empty(base, c)); /* only one wins */
    EXPECT_EQ(arn__pool_take_remote(pool), count);
    EXPECT_EQ(arn__pool_local_count(pool), count);
    arn__pool_release(pool);
}

TEST(pool, an_empty_one_is_not_shared)
{
    struct descriptor *pool = arn__pool_create(9, number());
    unsigned count = take_all(pool, all);
    push(pool, 0, count);
    EXPECT_FALSE(arn__pool_share(pool));
    EXPECT_EQ(arn__remote_state(word_of(pool)), POOL_OWNED);
    EXPECT_EQ(arn__pool_take_remote(pool), count);
    EXPECT_EQ(arn__pool_local_count(pool), count);
    arn__pool_release(pool);
}

TEST(pool, is_fresh_on_memory_that_was_never_written)
{
    arn_malloc_trim(0);
    struct descriptor *pool = arn__pool_create(10, number());
    EXPECT_TRUE(arn__has_flag(pool, POOL_FRESH));
    take_all(pool, all);
    arn__pool_release(pool);
    pool = arn__pool_create(10, number());
    EXPECT_FALSE(arn__has_flag(pool, POOL_FRESH));
    arn__pool_release(pool);
    arn_malloc_trim(0);
}

static void partly_written(void)
{
    arn_free(arn_malloc(1));
    char *base = arn__slices_take(16, true);
    memset(base + 2 * SLICE_BYTES, 1, SLICE_BYTES);
    arn__slices_put(base, 2, 0);
    arn__slices_put(base + 2 * SLICE_BYTES, 1, 1);
    arn__slices_put(base + 3 * SLICE_BYTES, 1, 0);
    struct descriptor *pool = arn__pool_create(arn__class_of(3000), number()); /* of 4 slices */
    ASSERT_EQ(arn__pool_base(pool), base);
    EXPECT_FALSE(arn__has_flag(pool, POOL_FRESH));
}

TEST(pool, is_not_fresh_if_any_of_its_slices_was_written)
{
    IN_OWN_PROCESS(partly_written());
}

/* ---- many threads push, one owner takes: every block comes back once ---- */

enum { PUSHERS = 4 };

static struct descriptor *contended;

static void *push_quarter(void *argument)
{
    unsigned which = (unsigned)(uintptr_t)argument;
    unsigned count = arn__size_classes[0].capacity;
    for (unsigned i = which; i < count; i += PUSHERS) {
        all[i]->link = 0;
        if (i % 2 == 0)
            arn__pool_push(contended, all[i], UINT_MAX);
        else
            EXPECT_TRUE(arn__pool_push_quick(arn__descriptor(all[i]), all[i], false));
    }
    return NULL;
}

TEST(pool, blocks_pushed_by_many_threads_come_back_once_each)
{
    unsigned count = arn__size_classes[0].capacity;
    contended = arn__pool_create(0, number());
    ASSERT_EQ(take_all(contended, all), count);
    for (unsigned round = 0; round < 50; round++) {
        pthread_t threads[PUSHERS];
        for (uintptr_t i = 0; i < PUSHERS; i++)
            ASSERT_EQ(pthread_create(&threads[i], NULL, push_quarter, (void *)i), 0);
        unsigned taken = 0;
        while (taken < count)
            taken += arn__pool_take_remote(contended);
        for (unsigned i = 0; i < PUSHERS; i++)
            pthread_join(threads[i], NULL);
        EXPECT_EQ(arn__pool_take_remote(contended), 0);
        ASSERT_EQ(arn__pool_local_count(contended), count);
        static bool seen[1024];
        memset(seen, 0, sizeof seen);
        for (struct block *block = contended->local.first; block != arn__link_end();
             block = arn__pool_next(contended, block, "test")) {
            size_t idx = (size_t)((char *)block - arn__pool_base(contended)) / 16;
            ASSERT_FALSE(seen[idx]);
            seen[idx] = true;
        }
        contended->local.first = arn__link_end();
    }
    arn__pool_release(contended);
}
