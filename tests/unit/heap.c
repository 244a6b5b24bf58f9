/* heap.c - refill, others' frees, collection, and what a heap leaves to others. */
#include "heap.h"

#include <arenite/arenite.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "arena.h"
#include "options.h"
#include "pattern.h"
#include "sanitized.h"
#include "shard.h"
#include "shim.h"
#include "stats.h"
#include "thread.h"

enum { MIB = 1 << 20 };

static struct heap *heap(void)
{
    return arn__thread.heap;
}

static size_t pools_of(unsigned class_idx)
{
    static struct census census;
    arn__census(&census);
    return census.classes[class_idx].pools;
}

static size_t used_of(unsigned class_idx)
{
    static struct census census;
    arn__census(&census);
    return census.classes[class_idx].used;
}

static void run_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, NULL, body, argument), 0);
    pthread_join(thread, NULL);
}

/* ---- memory that was never written is not zeroed again: not to be mistaken ---- */

enum { HANDED = 64 };

static _Atomic(char *) handed[HANDED];
static atomic_bool handing;

static void *frees_what_is_handed(void *unused)
{
    while (atomic_load(&handing)) {
        for (unsigned i = 0; i < HANDED; i++) {
            if (atomic_load(&handed[i]) != NULL)
                arn_free(atomic_exchange(&handed[i], NULL));
        }
    }
    return unused;
}

/* Blocks come back while the pool that they are of is being given up as full: pools of the largest class have 8. */
static void zeroed_beside_remote_frees(void)
{
    pthread_t thread;
    atomic_store(&handing, true);
    ASSERT_EQ(pthread_create(&thread, NULL, frees_what_is_handed, NULL), 0);
    for (unsigned i = 0; i < (EMULATED || SANITIZED ? 20000 : 300000); i++) {
        char *block = arn_calloc(1, POOLED_BYTES), *last = block + POOLED_BYTES - 1;
        ASSERT_EQ(*last, 0);
        *last = 1;
        arn_free(atomic_exchange(&handed[i % HANDED], block));
    }
    atomic_store(&handing, false);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < HANDED; i++)
        arn_free(atomic_load(&handed[i]));
}

TEST(heap, calloc_zeroes_what_others_have_just_freed)
{
    IN_OWN_PROCESS(zeroed_beside_remote_frees());
}

static void touches_one_page(void)
{
    void *blocks[36];
    for (unsigned i = 0; i < 36; i++)
        blocks[i] = arn_malloc(100);
    struct descriptor *pool = heap()->current[arn__class_of(100)];
    EXPECT_LE(pool->carved * (size_t)112, 4096 + 2 * 112);
    for (unsigned i = 0; i < 36; i++)
        arn_free(blocks[i]);
}

TEST(heap, few_blocks_touch_few_pages)
{
    IN_OWN_PROCESS(touches_one_page());
}

static void reuses(void)
{
    enum { COUNT = 500 };
    static void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = arn_malloc(200);
    size_t pools = pools_of(arn__class_of(200));
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < COUNT; i++)
            arn_free(blocks[(i * 7 + round) % COUNT]);
        for (unsigned i = 0; i < COUNT; i++)
            blocks[i] = arn_malloc(200);
        ASSERT_LE(pools_of(arn__class_of(200)), pools + 1);
    }
}

TEST(heap, freed_blocks_are_used_again_before_new_pools)
{
    IN_OWN_PROCESS(reuses());
}

enum { MANY = 20000 };
static void *many[MANY];

static void *fill_many(void *argument)
{
    for (unsigned i = 0; i < MANY; i++)
        many[i] = arn_malloc((size_t)argument);
    return NULL;
}

static void *free_many(void *count)
{
    for (size_t i = 0; i < (size_t)count; i++)
        arn_free(many[i]);
    return NULL;
}

static sem_t filled;

static void *free_when_filled(void *count)
{
    sem_wait(&filled);
    return free_many(count);
}

/* What a thread empties that allocates nothing of the class goes to those that do. */
static void handed_over(void)
{
    unsigned c = arn__class_of(100);
    pthread_t thread;
    ASSERT_EQ(sem_init(&filled, 0, 0), 0);
    ASSERT_EQ(pthread_create(&thread, NULL, free_when_filled, (void *)(size_t)MANY), 0);
    fill_many((void *)(size_t)100);
    sem_post(&filled);
    pthread_join(thread, NULL);
    struct descriptor *empty = arn__shard_take_empty(c);
    ASSERT_TRUE(empty != NULL);
    arn__shard_put_empty(empty);
    size_t pools = pools_of(c);
    bool used = false;
    while (!used && pools_of(c) == pools)
        used = arn__head(arn__descriptor(arn_malloc(100))) == empty;
    EXPECT_TRUE(used); /* before a pool was made */
    EXPECT_EQ(arn__pool_number(empty), arn__heap_number(heap()));
}

TEST(heap, pools_that_others_empty_are_used_before_new_ones_are_made)
{
    IN_OWN_PROCESS(handed_over());
}

static void emptied(void)
{
    unsigned c = arn__class_of(100);
    fill_many((void *)(size_t)100);
    EXPECT_GT(pools_of(c), EMPTY_MOST_SLICES + 10);
    free_many((void *)(size_t)MANY);
    EXPECT_EQ(heap()->empty_slices, EMPTY_MOST_SLICES);
    EXPECT_LE(pools_of(c), EMPTY_MOST_SLICES + 2); /* the current one, and no walk was needed */
    EXPECT_EQ(used_of(c), 0);
    arn_malloc_trim(0);
    EXPECT_EQ(heap()->empty_slices, 0);
    EXPECT_EQ(pools_of(c), 0);
}

TEST(heap, pools_whose_blocks_are_all_back_are_released)
{
    IN_OWN_PROCESS(emptied());
}

/* ---- current pools that are free ---- */

enum { PER_CLASS = 9 };

static void *of_all_classes[CLASSES * PER_CLASS];

static void take_all_classes(void)
{
    for (unsigned i = 0; i < CLASSES * PER_CLASS; i++)
        of_all_classes[i] = arn_malloc(arn__size_classes[i % CLASSES].block_bytes);
}

/* In this order, or the other. */
static void free_all_classes(bool forwards)
{
    for (unsigned i = 0; i < CLASSES * PER_CLASS; i++)
        arn_free(of_all_classes[forwards ? i : CLASSES * PER_CLASS - 1 - i]);
}

static size_t held_slices(void)
{
    return atomic_load(&arn__arena_totals.live_bytes) / SLICE_BYTES;
}

static bool counts_slices(void)
{
    unsigned current = 0, idle = 0;
    for (unsigned c = 0; c < CLASSES; c++) {
        current += heap()->current[c] == NULL ? 0 : arn__size_classes[c].slices;
        idle += heap()->idle[c / 64] >> (c % 64) & 1 ? arn__size_classes[c].slices : 0;
    }
    return current == heap()->current_slices && idle == heap()->idle_slices;
}

static void frees_all(unsigned heaps, bool forwards, bool gives_back)
{
    arn_free(arn_malloc(1));
    atomic_store(&arn__heaps_in_use, heaps);
    take_all_classes();
    size_t before = held_slices();
    free_all_classes(forwards);
    /* What is found last is less than an eighth of what there was. */
    if (gives_back)
        EXPECT_LE(held_slices(), EMPTY_ALL_SLICES / heaps + before / 8);
    else
        EXPECT_GT(held_slices(), before / 2);
    EXPECT_EQ(pools_of(0) > 0, heap()->current[0] != NULL);
    EXPECT_TRUE(counts_slices());
    take_all_classes(); /* all of it is sound */
    EXPECT_TRUE(counts_slices());
    free_all_classes(!forwards);
    arn__arena_verify();
}

TEST(heap, among_many_a_thread_that_freed_all_keeps_little)
{
    IN_OWN_PROCESS(frees_all(100, true, true));
    IN_OWN_PROCESS(frees_all(100, false, true));
    IN_OWN_PROCESS(frees_all(17, true, true));
    IN_OWN_PROCESS(frees_all(2000, true, true));
}

TEST(heap, among_few_its_current_pools_stay)
{
    IN_OWN_PROCESS(frees_all(1, true, false));
    IN_OWN_PROCESS(frees_all(16, false, false));
}

/* The largest have most of the slices. */
static void frees_half(void)
{
    arn_free(arn_malloc(1));
    atomic_store(&arn__heaps_in_use, 100);
    take_all_classes();
    void *large[8];
    for (unsigned i = 0; i < 8; i++)
        large[i] = arn_malloc(arn__size_classes[CLASSES - 1 - i].block_bytes);
    size_t before = held_slices();
    free_all_classes(true);
    EXPECT_GE(held_slices(), before - before / 8);
    for (unsigned i = 0; i < 8; i++)
        arn_free(large[i]);
    EXPECT_LE(held_slices(), before / 4);
}

TEST(heap, a_thread_that_has_an_eighth_left_keeps_its_current_pools)
{
    IN_OWN_PROCESS(frees_half());
}

static void frees_all_again(void)
{
    arn_free(arn_malloc(1));
    atomic_store(&arn__heaps_in_use, 100);
    unsigned kept = 0;
    for (unsigned round = 0; round < 200; round++) {
        take_all_classes();
        size_t before = held_slices();
        free_all_classes(true);
        kept += held_slices() > before / 2;
    }
    EXPECT_GT(kept, 150);
    EXPECT_LT(kept, 199);
}

TEST(heap, a_thread_that_frees_all_again_and_again_keeps_them_mostly)
{
    IN_OWN_PROCESS(frees_all_again());
}

static void emptied_among(size_t heaps, unsigned kept)
{
    fill_many((void *)(size_t)100);
    atomic_store(&arn__heaps_in_use, heaps);
    free_many((void *)(size_t)MANY);
    EXPECT_EQ(heap()->empty_slices, kept);
    EXPECT_LE(pools_of(arn__class_of(100)), kept + 2);
}

TEST(heap, all_threads_together_keep_16_MiB_of_empty_pools)
{
    IN_OWN_PROCESS(emptied_among(16, 64));
    IN_OWN_PROCESS(emptied_among(17, 60));
    IN_OWN_PROCESS(emptied_among(200, 5));
    IN_OWN_PROCESS(emptied_among(2000, 0));
}

static void empties_are_taken(void)
{
    unsigned c = arn__class_of(100), other = arn__class_of(200);
    unsigned capacity = arn__size_classes[c].capacity;
    size_t count = 20 * (size_t)capacity;
    for (unsigned i = 0; i < count; i++)
        many[i] = arn_malloc(100);
    free_many((void *)count);
    unsigned empty = heap()->empty_slices;
    EXPECT_GE(empty, 18);
    for (unsigned i = 0; i < 10 * capacity; i++)
        many[i] = arn_malloc(100);
    EXPECT_LE(heap()->empty_slices, empty - 9);
    EXPECT_LE(pools_of(c), 20);
    size_t pools = pools_of(c);
    empty = heap()->empty_slices;
    many[10 * capacity] = arn_malloc(200); /* another class needs slices: it gets these */
    EXPECT_EQ(heap()->empty_slices, empty - 1);
    EXPECT_EQ(pools_of(c), pools - 1);
    EXPECT_EQ(pools_of(other), 1);
    free_many((void *)(10 * (size_t)capacity + 1));
    EXPECT_EQ(used_of(c) + used_of(other), 0);
}

TEST(heap, empty_pools_are_taken_whole_and_given_up_for_other_classes)
{
    IN_OWN_PROCESS(empties_are_taken());
}

static size_t heap_bytes(void)
{
    struct arn_stats stats;
    arn_stats(&stats);
    return stats.used_bytes + stats.free_bytes;
}

/* Sizes that follow one another need no more than the largest of them. */
static void sizes_shift(void)
{
    fill_many((void *)(size_t)16);
    size_t most_bytes = heap_bytes();
    for (size_t bytes = 16; bytes <= 64; bytes += 16) {
        free_many((void *)(size_t)MANY);
        EXPECT_LE(heap_bytes(), (EMPTY_MOST_SLICES + 8) * (size_t)SLICE_BYTES);
        fill_many((void *)bytes);
        TRACE("%zu bytes", bytes);
        EXPECT_LE(heap_bytes(), most_bytes * bytes / 16 + 8 * SLICE_BYTES);
    }
}

TEST(heap, empty_pools_do_not_add_up)
{
    IN_OWN_PROCESS(sizes_shift());
}

/* ---- frees by other threads ---- */

struct elsewhere {
    void *blocks[64];
    unsigned count;
    sem_t freed, may_go;
};

static void *free_and_wait(void *argument)
{
    struct elsewhere *there = argument;
    for (unsigned i = 0; i < there->count; i++)
        arn_free(there->blocks[i]);
    sem_post(&there->freed);
    sem_wait(&there->may_go);
    return NULL;
}

/* What another thread frees is back while that thread still runs. */
static void nothing_held_back(void)
{
    struct elsewhere there = {.count = 64};
    sem_init(&there.freed, 0, 0);
    sem_init(&there.may_go, 0, 0);
    for (size_t bytes = 16; bytes <= 32768; bytes *= 2) {
        for (unsigned i = 0; i < there.count; i++)
            there.blocks[i] = arn_malloc(bytes);
        pthread_t thread;
        ASSERT_EQ(pthread_create(&thread, NULL, free_and_wait, &there), 0);
        sem_wait(&there.freed);
        TRACE("%zu bytes", bytes);
        EXPECT_EQ(used_of(arn__class_of(bytes)), 0);
        sem_post(&there.may_go);
        pthread_join(thread, NULL);
    }
}

TEST(heap, blocks_of_others_go_back_at_once)
{
    IN_OWN_PROCESS(nothing_held_back());
}

/* ---- the list of a class ---- */

static unsigned count_listed(unsigned c)
{
    unsigned count = 0;
    struct block *block = heap()->lists[c].free.first;
    for (; block != arn__link_end(); block = arn__pool_next(heap()->current[c], block, "test"))
        count++;
    return count;
}

static void last_freed_first(void)
{
    void *blocks[300];
    for (unsigned i = 0; i < 300; i++) /* 256 to a pool: the later ones are of a current pool */
        blocks[i] = arn_malloc(64);
    for (unsigned i = 256; i < 300; i++)
        arn_free(blocks[i]);
    for (unsigned i = 300; i-- > 256;)
        ASSERT_EQ(arn_malloc(64), blocks[i]);
}

TEST(heap, of_the_current_pool_the_block_freed_last_is_handed_out_first)
{
    IN_OWN_PROCESS(last_freed_first());
}

static void refilled_anyway(void)
{
    unsigned c = arn__class_of(64);
    arn_free(arn_malloc(64));
    unsigned before = count_listed(c);
    ASSERT_GT(before, 1);
    bool fresh;
    EXPECT_TRUE(arn__heap_refill(heap(), c, &fresh));
    EXPECT_EQ(count_listed(c), before);
}

TEST(heap, a_refill_of_a_list_that_has_blocks_loses_none)
{
    IN_OWN_PROCESS(refilled_anyway());
}

/* A pool's free blocks go with it when it is current no more, and come back. */
static void list_comes_and_goes(void)
{
    unsigned c = arn__class_of(64);
    void *blocks[100];
    for (unsigned i = 0; i < 100; i++)
        blocks[i] = arn_malloc(64);
    for (unsigned i = 0; i < 50; i++)
        arn_free(blocks[i]);
    struct descriptor *pool = heap()->current[c];
    unsigned listed = count_listed(c);
    EXPECT_EQ(pool->local.first, arn__link_end());
    EXPECT_EQ(pool->carved, listed + 50);
    arn__heap_collect(heap());
    EXPECT_EQ(heap()->lists[c].free.first, arn__link_end());
    EXPECT_EQ(arn__pool_local_count(pool), listed);
    EXPECT_EQ(pool->local.needed, 50);
    arn_free(blocks[50]); /* into the pool's own list */
    EXPECT_EQ(arn__pool_local_count(pool), listed + 1);
    EXPECT_EQ(arn_malloc(64), blocks[50]);
    EXPECT_EQ(heap()->current[c], pool);
    EXPECT_EQ(count_listed(c), listed);
}

TEST(heap, a_list_goes_with_its_pool_and_comes_back)
{
    IN_OWN_PROCESS(list_comes_and_goes());
}

/* In a pool of several slices each tells where a free goes. */
static void every_slice_tells(void)
{
    static const size_t several[] = {3000, 20000};
    for (unsigned i = 0; i < 2; i++) {
        unsigned c = arn__class_of(several[i]), slices = arn__size_classes[c].slices;
        void *blocks[64];
        unsigned capacity = arn__size_classes[c].capacity;
        ASSERT_LE(capacity, 64);
        for (unsigned b = 0; b < capacity; b++)
            blocks[b] = arn_malloc(several[i]);
        struct descriptor *pool = heap()->current[c];
        for (unsigned s = 0; s < slices; s++)
            EXPECT_EQ(pool[s].frees_to, &heap()->lists[c].free);
        arn_free(blocks[0]);
        arn_free(blocks[capacity - 1]);
        EXPECT_EQ(heap()->lists[c].free.first, blocks[capacity - 1]);
        arn__heap_collect(heap());
        for (unsigned s = 0; s < slices; s++)
            EXPECT_EQ(pool[s].frees_to, &pool->local);
        for (unsigned b = 1; b + 1 < capacity; b++)
            arn_free(blocks[b]);
        EXPECT_EQ(used_of(c), 0);
    }
}

TEST(heap, every_slice_of_a_current_pool_names_the_heaps_list)
{
    IN_OWN_PROCESS(every_slice_tells());
}

static void counted_down(void)
{
    unsigned c = arn__class_of(64);
    void *blocks[3];
    for (unsigned i = 0; i < 3; i++)
        blocks[i] = arn_malloc(64);
    struct descriptor *pool = heap()->current[c];
    struct free_list *list = &heap()->lists[c].free;
    list->needed = 1; /* as after a billion frees */
    arn_free(blocks[0]);
    EXPECT_EQ(list->needed, NEEDED_CURRENT);
    EXPECT_EQ(heap()->current[c], pool);
    EXPECT_EQ(list->first, blocks[0]);
    EXPECT_EQ(used_of(c), 2);
    list->needed = 0; /* a handler came in between, and nobody noticed */
    arn_free(blocks[1]);
    arn_free(blocks[2]);
    EXPECT_EQ(used_of(c), 0);
    arn_malloc_trim(0);
    EXPECT_EQ(pools_of(c), 0);
}

TEST(heap, the_countdown_of_a_current_pool_ends_for_nothing)
{
    IN_OWN_PROCESS(counted_down());
}

static void *fill_and_free(void *argument)
{
    fill_many(argument);
    return free_many((void *)(size_t)MANY);
}

/* ---- full pools of the only thread ---- */

static bool rests(const void *block)
{
    const struct descriptor *pool = arn__head(arn__descriptor(block));
    return arn__has_flag(pool, POOL_RESTING) && arn__pool_number(pool) == arn__heap_number(heap());
}

static void rest_and_wake(void)
{
    unsigned c = arn__class_of(100), threshold = arn__size_classes[c].threshold;
    unsigned capacity = arn__size_classes[c].capacity;
    for (unsigned i = 0; i < 10 * capacity; i++)
        many[i] = arn_malloc(100);
    ASSERT_TRUE(rests(many[0]));
    size_t used = used_of(c);
    EXPECT_EQ(used, 10 * capacity);
    for (unsigned i = 0; i + 1 < threshold; i++)
        arn_free(many[i]);
    EXPECT_TRUE(rests(many[threshold]));
    EXPECT_EQ(used_of(c), used - (threshold - 1));
    arn_free(many[threshold - 1]);
    EXPECT_FALSE(rests(many[threshold]));
    EXPECT_EQ(used_of(c), used - threshold);
    size_t pools = pools_of(c);
    for (unsigned i = 0; i < threshold; i++)
        many[i] = arn_malloc(100);
    EXPECT_EQ(pools_of(c), pools); /* what was freed is used again */
    for (unsigned i = 0; i < 10 * capacity; i++)
        arn_free(many[i]);
    EXPECT_EQ(used_of(c), 0);
    EXPECT_LE(pools_of(c), heap()->empty_slices + 1); /* the current one stays */
    arn_malloc_trim(0);
    EXPECT_EQ(pools_of(c), 0);
    EXPECT_EQ(heap()->resting[c], NULL);
    EXPECT_EQ(heap()->held_slices, 0);
}

TEST(heap, full_pools_of_the_only_thread_rest)
{
    IN_OWN_PROCESS(rest_and_wake());
}

static void two_threads(void)
{
    unsigned c = arn__class_of(100);
    fill_many((void *)(size_t)100);
    ASSERT_NE(heap()->resting[c], NULL);
    for (unsigned i = 0; i < MANY; i += 100) { /* some pools are not quite full */
        arn_free(many[i]);
        many[i] = NULL;
    }
    run_thread(free_many, (void *)(size_t)(MANY / 2));
    arn_free(arn_calloc(1, 100)); /* asked for by whoever makes a thread, too */
    EXPECT_EQ(heap()->resting[c], NULL);
    EXPECT_LE(heap()->held_slices, HELD_MOST_SLICES);
    run_thread(free_many, NULL);
    for (unsigned i = MANY / 2; i < MANY; i++)
        arn_free(many[i]);
    EXPECT_EQ(used_of(c), 0);
    arn_malloc_trim(0);
    EXPECT_EQ(pools_of(c), 0);
}

TEST(heap, a_second_thread_ends_the_rest)
{
    IN_OWN_PROCESS(two_threads());
}

/* ---- full pools among other threads ---- */

static bool detached(const void *block)
{
    const struct descriptor *pool = arn__head(arn__descriptor(block));
    return arn__remote_state(atomic_load(arn__remote(arn__pool_base(pool)))) == POOL_DETACHED;
}

static void claim_back(void)
{
    unsigned c = arn__class_of(100), threshold = arn__size_classes[c].threshold;
    unsigned capacity = arn__size_classes[c].capacity;
    arn_free(arn_malloc(1));
    run_thread(fill_and_free, (void *)(size_t)100);
    for (unsigned i = 0; i < 10 * capacity; i++)
        many[i] = arn_malloc(100);
    unsigned first = 2 * capacity; /* the pool after this block's is wholly ours */
    while (arn__head(arn__descriptor(many[first])) == arn__head(arn__descriptor(many[first - 1])))
        first++;
    ASSERT_TRUE(detached(many[first]));
    size_t used = used_of(c), held = heap()->held_slices;
    arn_free(many[first]);
    EXPECT_TRUE(rests(many[first + 1]));
    EXPECT_EQ(heap()->held_slices, held + 1);
    for (unsigned i = 1; i + 1 < threshold; i++)
        arn_free(many[first + i]);
    EXPECT_TRUE(rests(many[first + threshold]));
    EXPECT_EQ(used_of(c), used - (threshold - 1));
    arn_free(many[first + threshold - 1]);
    EXPECT_FALSE(rests(many[first + threshold]));
    EXPECT_EQ(used_of(c), used - threshold);
    EXPECT_EQ(heap()->held_slices, held + 1);
    size_t pools = pools_of(c);
    for (unsigned i = threshold; i < capacity; i++)
        arn_free(many[first + i]);
    EXPECT_EQ(pools_of(c), pools);
    EXPECT_EQ(heap()->empty_slices, 1);
    EXPECT_EQ(heap()->held_slices, held);
}

TEST(heap, a_full_pool_is_its_threads_own_again_with_its_first_free)
{
    IN_OWN_PROCESS(claim_back());
}

static void hold_little(void)
{
    unsigned c = arn__class_of(1000), capacity = arn__size_classes[c].capacity;
    arn_free(arn_malloc(1));
    run_thread(fill_and_free, (void *)(size_t)1000);
    fill_many((void *)(size_t)1000);
    ASSERT_GT(MANY / capacity, 2 * HELD_MOST_SLICES);
    size_t used = used_of(c);
    for (unsigned i = 0; i < MANY; i += capacity)
        arn_free(many[i]);
    EXPECT_EQ(heap()->held_slices, HELD_MOST_SLICES);
    EXPECT_EQ(used_of(c), used - (MANY + capacity - 1) / capacity);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % capacity != 0)
            arn_free(many[i]);
    }
    EXPECT_EQ(used_of(c), 0);
    EXPECT_EQ(heap()->held_slices, 0);
    arn_malloc_trim(0);
    EXPECT_EQ(pools_of(c), 0);
}

TEST(heap, a_thread_among_others_holds_little)
{
    IN_OWN_PROCESS(hold_little());
}

/* In pools of which one block each is free. */
static size_t held_among(size_t heaps)
{
    unsigned c = arn__class_of(1000), capacity = arn__size_classes[c].capacity;
    arn_free(arn_malloc(1));
    run_thread(fill_and_free, (void *)(size_t)1000);
    atomic_store(&arn__heaps_in_use, heaps);
    fill_many((void *)(size_t)1000);
    for (unsigned i = 0; i < MANY; i += capacity)
        arn_free(many[i]);
    return heap()->held_slices;
}

static void hold_share(void)
{
    size_t held = held_among(2), carved = atomic_load(&arn__arena_totals.carved_bytes);
    EXPECT_GT(held, HELD_MOST_SLICES);
    EXPECT_LE(held, carved / SLICE_BYTES / 2 + 1);
}

static void hold_least(void)
{
    EXPECT_EQ(held_among(100), HELD_MOST_SLICES);
}

TEST(heap, of_threads_that_allocate_each_holds_half_of_all)
{
    IN_OWN_PROCESS(hold_share());
}

/* What it frees now, others will free later: nothing would make it look into thousands of pools. */
static void fill_only(void)
{
    held_among(2);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % arn__size_classes[arn__class_of(1000)].capacity != 0)
            arn_free(many[i]);
    }
    fill_many((void *)(size_t)1000);
    EXPECT_LE(heap()->held_slices, HELD_MOST_SLICES);
}

TEST(heap, what_only_fills_is_not_held)
{
    IN_OWN_PROCESS(fill_only());
}

TEST(heap, of_many_threads_each_holds_little)
{
    IN_OWN_PROCESS(hold_least());
}

static void count_in_use(void)
{
    arn_free(arn_malloc(1));
    EXPECT_EQ(atomic_load(&arn__heaps_in_use), 1);
    run_thread(fill_and_free, (void *)(size_t)1000);
    EXPECT_EQ(atomic_load(&arn__heaps_in_use), 1);
}

TEST(heap, of_threads_that_ended_none_is_in_use)
{
    IN_OWN_PROCESS(count_in_use());
}

static void *wait_to_go(void *there)
{
    sem_wait(&((struct elsewhere *)there)->may_go);
    return NULL;
}

/* The others need no heaps of their own: they may only free. */
static void hold_little_with_one_heap(void)
{
    unsigned c = arn__class_of(1000), capacity = arn__size_classes[c].capacity;
    struct elsewhere there;
    sem_init(&there.may_go, 0, 0);
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, NULL, wait_to_go, &there), 0);
    fill_many((void *)(size_t)1000);
    ASSERT_FALSE(atomic_load(&arn__heaps_many));
    for (unsigned i = 0; i < MANY; i += capacity) {
        arn_free(many[i]);
        many[i] = NULL;
    }
    EXPECT_LE(heap()->held_slices, HELD_MOST_SLICES);
    run_thread(free_many, (void *)(size_t)MANY);
    EXPECT_LE(pools_of(c), HELD_MOST_SLICES + EMPTY_MOST_SLICES + 2);
    sem_post(&there.may_go);
    pthread_join(thread, NULL);
    arn_malloc_trim(0);
    EXPECT_EQ(pools_of(c), 0);
}

TEST(heap, the_one_that_allocates_among_others_holds_little)
{
    IN_OWN_PROCESS(hold_little_with_one_heap());
}

/* A pool that rests is found by its thread when others have freed into it, and not before. */
static void woken_by_others(void)
{
    unsigned c = arn__class_of(1000), capacity = arn__size_classes[c].capacity;
    arn_free(arn_malloc(1));
    run_thread(fill_and_free, (void *)(size_t)1000);
    for (unsigned i = 0; i < 4 * capacity; i++)
        many[i] = arn_malloc(1000);
    for (unsigned i = 4 * capacity; i < MANY; i++)
        many[i] = NULL;
    unsigned first = capacity;
    while (arn__head(arn__descriptor(many[first])) == arn__head(arn__descriptor(many[first - 1])))
        first++;
    arn_free(many[first]);
    many[first] = NULL;
    ASSERT_TRUE(rests(many[first + 1]));
    void *kept = many[first + 1];
    many[first + 1] = NULL;
    run_thread(free_many, (void *)(size_t)MANY); /* all but that one */
    EXPECT_EQ(used_of(c), 1);
    EXPECT_TRUE(rests(kept));
    size_t pools = pools_of(c);
    for (unsigned i = 0; i < 2 * capacity; i++)
        many[i] = arn_malloc(1000);
    EXPECT_LE(pools_of(c), pools + 1);
    EXPECT_FALSE(rests(kept));
    arn_free(kept);
    for (unsigned i = 0; i < 2 * capacity; i++)
        arn_free(many[i]);
    arn_malloc_trim(0);
    EXPECT_EQ(used_of(c), 0);
    EXPECT_EQ(pools_of(c), 0);
}

TEST(heap, a_pool_that_rests_takes_in_what_others_freed)
{
    IN_OWN_PROCESS(woken_by_others());
}

/* ---- what others get ---- */

static void exits(void)
{
    arn_free(arn_malloc(1));
    unsigned c = arn__class_of(100);
    run_thread(fill_many, (void *)(size_t)100);
    size_t pools = pools_of(c);
    for (unsigned i = 0; i < MANY; i += 2) {
        arn_free(many[i]);
        many[i] = NULL;
    }
    /* Every other block is free, in pools of a thread that is gone: they are used. */
    for (unsigned i = 0; i < MANY; i += 2) {
        many[i] = arn_malloc(100);
        memset(many[i], 1, 100);
    }
    EXPECT_LE(pools_of(c), pools + pools / 4);
    for (unsigned i = 0; i < MANY; i++)
        arn_free(many[i]);
    EXPECT_EQ(used_of(c), 0);
    arn_malloc_trim(0);
    EXPECT_EQ(pools_of(c), 0);
}

TEST(heap, an_exited_thread_leaves_its_pools_to_others)
{
    IN_OWN_PROCESS(exits());
}

static sem_t filled, may_go;

static void *fill_and_block(void *argument)
{
    fill_many(argument);
    sem_post(&filled);
    sem_wait(&may_go);
    return NULL;
}

static void take_anothers(void)
{
    unsigned c = arn__class_of(100), capacity = arn__size_classes[c].capacity;
    arn_free(arn_malloc(1));
    sem_init(&filled, 0, 0);
    sem_init(&may_go, 0, 0);
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, NULL, fill_and_block, (void *)(size_t)100), 0);
    sem_wait(&filled);
    size_t held = heap()->held_slices, used = used_of(c);
    unsigned freed = 0;
    for (unsigned i = 0; i < MANY / 2; i += capacity) { /* this thread allocates none of them */
        ASSERT_TRUE(detached(many[i]));
        arn_free(many[i]);
        many[i] = NULL;
        freed++;
        EXPECT_TRUE(rests(many[i + 1]));
        EXPECT_EQ(heap()->held_slices, held + 1); /* the one before is anybody's */
    }
    EXPECT_EQ(used_of(c), used - freed);
    void *own = arn_malloc(100);
    for (unsigned i = MANY / 2 / capacity * capacity + capacity; i + capacity < MANY;
         i += capacity) {
        ASSERT_TRUE(detached(many[i]));
        arn_free(many[i]);
        many[i] = NULL;
        EXPECT_TRUE(detached(many[i + 1])); /* now it does, and leaves them */
    }
    arn_free(own);
    free_many((void *)(size_t)MANY);
    EXPECT_EQ(used_of(c), 0);
    sem_post(&may_go);
    pthread_join(thread, NULL);
    arn_malloc_trim(0);
    EXPECT_EQ(heap()->held_slices, 0);
    EXPECT_EQ(pools_of(c), 0);
}

TEST(heap, a_thread_that_only_frees_holds_the_pool_that_it_frees_into)
{
    IN_OWN_PROCESS(take_anothers());
}

static void blocked(void)
{
    arn_free(arn_malloc(1));
    unsigned c = arn__class_of(100);
    sem_init(&filled, 0, 0);
    sem_init(&may_go, 0, 0);
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, NULL, fill_and_block, (void *)(size_t)100), 0);
    sem_wait(&filled);
    size_t pools = pools_of(c);
    for (unsigned i = 0; i < MANY; i++)
        arn_free(many[i]);
    EXPECT_LE(pools_of(c), 4); /* its full pools went; what it allocates from stays */
    EXPECT_GT(pools, 100);
    for (unsigned i = 0; i < MANY; i++)
        many[i] = arn_malloc(100);
    for (unsigned i = 0; i < MANY; i += 2)
        arn_free(many[i]);
    for (unsigned i = 0; i < MANY; i += 2)
        many[i] = arn_malloc(100);
    EXPECT_LE(pools_of(c), pools + 4);
    sem_post(&may_go);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < MANY; i++)
        arn_free(many[i]);
    arn_malloc_trim(0);
    EXPECT_EQ(pools_of(c), 0);
}

TEST(heap, a_blocked_threads_full_pools_are_used_by_others)
{
    IN_OWN_PROCESS(blocked());
}

/* One thread makes, the other frees: memory does not grow. */
enum { CONVEYOR = 512, CONVEYED = 400000 };
static void *_Atomic conveyor[CONVEYOR];

static void *consume(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < CONVEYED; i++) {
        void *block;
        while ((block = atomic_exchange(&conveyor[i % CONVEYOR], NULL)) == NULL)
            ;
        arn_free(block);
    }
    return NULL;
}

static void convey(void)
{
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, NULL, consume, NULL), 0);
    struct arn_stats stats;
    for (unsigned i = 0; i < CONVEYED; i++) {
        void *none = NULL;
        char *block = arn_malloc(128);
        *block = 1;
        while (!atomic_compare_exchange_weak(&conveyor[i % CONVEYOR], &none, block))
            none = NULL;
    }
    pthread_join(thread, NULL);
    arn_stats(&stats);
    EXPECT_LE(stats.opened_bytes, 4 * MIB);
    EXPECT_EQ(stats.used_bytes, 0);
}

TEST(heap, producer_and_consumer_do_not_grow_it)
{
    IN_OWN_PROCESS(convey());
}
