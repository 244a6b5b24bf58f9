/* thread.c - birth, exit and the heap of those without one. */
#include "thread.h"

#include <arenite/arenite.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "options.h"
#include "os.h"
#include "pattern.h"
#include "rest.h"
#include "sanitized.h"
#include "shim.h"

static void *allocates(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    void *blocks[20];
    for (unsigned i = 0; i < 20; i++) {
        size_t bytes = (size_t)16 << (i + seed) % 13;
        blocks[i] = arn_malloc(bytes);
        if (blocks[i] != NULL)
            memset(blocks[i], 1, bytes < 100 ? bytes : 100);
    }
    for (unsigned i = 0; i < 20; i++)
        arn_free(blocks[i]);
    return NULL;
}

static size_t resident_kib(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*s %zu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (arn__os_page_bytes() / 1024);
}

static void births(unsigned count)
{
    for (unsigned i = 0; i < count; i += 4) {
        pthread_t threads[4];
        for (uintptr_t j = 0; j < 4; j++)
            ASSERT_EQ(pthread_create(&threads[j], NULL, allocates, (void *)(i + j)), 0);
        for (unsigned j = 0; j < 4; j++)
            pthread_join(threads[j], NULL);
    }
}

static void ten_thousand(void)
{
    births(400);
    struct arn_stats before, after;
    arn_stats(&before);
    size_t resident_before = resident_kib();
    births(SANITIZED || EMULATED ? 1000 : 10000);
    arn_stats(&after);
    EXPECT_LE(after.heaps, 5); /* 4 at a time, and main's */
    EXPECT_EQ(after.idle_heaps, after.heaps - 1);
    EXPECT_EQ(after.used_bytes, 0);
    EXPECT_LE(after.opened_bytes, before.opened_bytes + ((size_t)4 << 20));
    EXPECT_LE(after.metadata_bytes, before.metadata_bytes + ((size_t)256 << 10));
    if (!SANITIZED && !EMULATED) /* which have memory of their own for threads */
        EXPECT_LE(resident_kib(), resident_before + 4096);
}

TEST(thread, ten_thousand_are_born_and_die_without_growth)
{
    IN_OWN_PROCESS(ten_thousand());
}

/* ---- destructors that allocate ---- */

/* The thread sanitizer's own destructor ends its work in the last round. */
enum { ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS - SANITIZED };

static pthread_key_t key;
static unsigned rounds;
static void *left_behind[16];

static void destructor(void *argument)
{
    char *block = arn_malloc(100 + rounds * 10000);
    ASSERT_NE(block, NULL);
    memset(block, 1, 100);
    arn_free(argument);
    left_behind[rounds] = block;
    if (++rounds < ROUNDS)
        pthread_setspecific(key, arn_malloc(50));
}

static void *with_destructor(void *argument)
{
    pthread_setspecific(key, arn_malloc(50));
    return argument;
}

static void destructors(void)
{
    pthread_key_create(&key, destructor);
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, NULL, with_destructor, NULL), 0);
    pthread_join(thread, NULL);
    EXPECT_EQ(rounds, ROUNDS);
    for (unsigned i = 0; i < rounds; i++)
        arn_free(left_behind[i]);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
}

TEST(thread, destructors_allocate_and_free_to_the_last_round)
{
    IN_OWN_PROCESS(destructors());
}

/* A key made first: its destructor runs before ours; one whose destructor runs after ours in the
 * last round meets a thread without a heap. */
static void *departs(void *argument)
{
    struct heap *heap = arn__thread.heap;
    arn_free(arn_malloc(1));
    struct thread saved = arn__thread;
    arn__thread.heap = heap;
    arn__thread.own = NULL;
    arn__thread.departed = true; /* as thread_exits leaves it */
    for (unsigned i = 0; i < 2000; i++) {
        char *small = arn_malloc(100), *run = arn_calloc(1, 50000), *medium = arn_malloc(3000);
        if (small == NULL || run == NULL || medium == NULL)
            ADD_FAILURE("no memory");
        memset(small, 1, 100);
        small = arn_realloc(small, 500);
        arn_free(run);
        arn_free(small);
        arn_free(medium);
    }
    arn__thread = saved;
    return argument;
}

static void departed(void)
{
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, departs, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
}

TEST(thread, those_that_gave_up_their_heap_share_one)
{
    IN_OWN_PROCESS(departed());
}

/* ---- interrupted in a slow path ---- */

static void interrupted(void)
{
    char *pooled = arn_malloc(100), *other = arn_malloc(100), *run = arn_malloc(100000),
         *map = arn_malloc((size_t)40 << 20);
    struct heap *heap = arn__thread_enter(); /* as if a signal handler ran now */
    ASSERT_NE(heap, NULL);
    EXPECT_EQ(arn__thread_enter(), NULL);
    char *in_handler = arn_malloc(33000);
    ASSERT_NE(in_handler, NULL);
    pattern_fill(in_handler, 33000, 1);
    char *zeroed = arn_calloc(1000, 1000);
    ASSERT_NE(zeroed, NULL);
    EXPECT_TRUE(pattern_zero(zeroed, 1000000));
    in_handler = arn_realloc(in_handler, 70000);
    ASSERT_NE(in_handler, NULL);
    EXPECT_TRUE(pattern_holds(in_handler, 33000, 33000, 1));
    arn_free(run);
    arn_free(map);
    arn_free(zeroed);
    arn_free(other);
    errno = 0;
    EXPECT_EQ(arn_realloc(NULL, PTRDIFF_MAX - 100000), NULL);
    EXPECT_EQ(errno, ENOMEM);
    arn__thread_leave(heap);
    arn_free(in_handler);
    arn_free(pooled);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
}

TEST(thread, a_handler_that_interrupts_a_slow_path_allocates_without_locks)
{
    IN_OWN_PROCESS(interrupted());
}

static void no_memory_in_handler(void)
{
    arn_free(arn_malloc(1));
    struct heap *heap = arn__thread_enter();
    arn__os_fail_at(1, LONG_MAX);
    errno = 0;
    EXPECT_EQ(arn_malloc(100000), NULL);
    EXPECT_EQ(errno, ENOMEM);
    arn__os_fail_at(0, 0);
    arn__thread_leave(heap);
}

TEST(thread, a_handler_that_finds_no_memory_gets_ENOMEM)
{
    IN_OWN_PROCESS(no_memory_in_handler());
}

/* ---- fork ---- */

static _Atomic bool stop;

static void *busy(void *argument)
{
    uint64_t random = (uintptr_t)argument * 77 + 1;
    void *blocks[64] = {0};
    while (!atomic_load(&stop)) {
        rest_if_told();
        unsigned i = pattern_random(&random) % 64;
        arn_free(blocks[i]);
        blocks[i] = arn_malloc(pattern_random(&random) % 40000);
    }
    for (unsigned i = 0; i < 64; i++)
        arn_free(blocks[i]);
    return NULL;
}

/* Children share the sizes among them: each asks for every sixteenth from its own on. */
static void child_of_busy_parent(char **blocks, unsigned count, unsigned number)
{
    for (unsigned i = 0; i < count; i++) {
        if (!pattern_holds(blocks[i], 50 * i, 50 * i, i))
            _exit(2);
        arn_free(blocks[i]);
    }
    allocates((void *)1);
    pthread_t thread;
    if (pthread_create(&thread, NULL, allocates, NULL) != 0)
        _exit(3);
    pthread_join(thread, NULL);
    for (unsigned i = number % 16; i < 3000; i += 16) {
        char *block = arn_calloc(1, 30 * i);
        if (block == NULL || !pattern_zero(block, 30 * i))
            _exit(4);
        memset(block, 0xff, 30 * i);
        if (i % 3 != 0)
            arn_free(block);
    }
    if (number % 3 == 0) /* it takes longer than all the rest */
        arn_malloc_trim(0);
    arn__arena_verify();
    _exit(0);
}

static void forks(void)
{
    enum { COUNT = 300 };
    static char *blocks[COUNT];
    pthread_t threads[3];
    for (unsigned i = 0; i < COUNT; i++) {
        blocks[i] = arn_malloc(50 * i);
        pattern_fill(blocks[i], 50 * i, i);
    }
    for (uintptr_t i = 0; i < 3; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, busy, (void *)i), 0);
    for (unsigned i = 0; i < 60; i++) {
        pid_t child = fork();
        if (child == 0)
            child_of_busy_parent(blocks, COUNT, i);
        int status = -1;
        rest_begin();
        waitpid(child, &status, 0);
        rest_end();
        EXPECT_EQ(status, 0);
        usleep(i % 7 * 100); /* until they are busy again */
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

TEST(thread, a_forked_child_of_busy_threads_goes_on)
{
    if (EMULATED)
        SKIP("qemu's own locks do not survive it");
    if (SANITIZED)
        SKIP("sanitizers' own locks are not made for it");
    IN_OWN_PROCESS(forks());
}

/* ---- what an ended thread leaves to the next ---- */

static void *take_and_free(void *unused)
{
    (void)unused;
    void *block = arn_malloc(64);
    arn_free(block);
    return block;
}

static void *wait_for_all(void *barrier)
{
    void *block = take_and_free(NULL);
    pthread_barrier_wait(barrier);
    return block;
}

static size_t carved_bytes(void)
{
    return atomic_load(&arn__arena_totals.carved_bytes);
}

static void lists_are_inherited(void)
{
    enum { THREADS = 30 };
    pthread_t threads[THREADS];
    void *blocks[2];
    arn_free(arn_malloc(1));
    for (unsigned i = 0; i < 2; i++) {
        ASSERT_EQ(pthread_create(&threads[0], NULL, take_and_free, NULL), 0);
        pthread_join(threads[0], &blocks[i]);
    }
    EXPECT_EQ(blocks[1], blocks[0]);

    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, THREADS);
    size_t before = carved_bytes();
    for (unsigned i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, wait_for_all, &barrier), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_GT(carved_bytes(), before);
    EXPECT_LE(carved_bytes(), before + (size_t)4 * 2 * SLICE_BYTES); /* pthread_create's, too */
    arn_malloc_trim(0);
    EXPECT_LT(carved_bytes(), before);
}

TEST(thread, the_next_one_begins_with_the_lists_of_one_that_ended)
{
    IN_OWN_PROCESS(lists_are_inherited());
}
