/* tracing_threads.c - tracing amid threads, signals, forks, and without memory. */
#include <arenite/object.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failure.h"
#include "nodes.h"
#include "os.h"
#include "pattern.h"
#include "rest.h"
#include "thread.h"
#include "traced.h"

/* ---- threads ---- */

static void *frees(void *blocks)
{
    for (void **block = blocks; *block != NULL; block++)
        arn_free(*block);
    return NULL;
}

static void freed_elsewhere(void)
{
    static void *blocks[1001];
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    for (unsigned i = 0; i < 1000; i++)
        blocks[i] = here(10 * i);
    EXPECT_EQ(sum(ARN_TRACE_BY_SITE).count, 1000);
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, NULL, frees, blocks), 0);
    pthread_join(thread, NULL);
    expect_sums(0, 0);
    arn_trace_stop();
}

TEST(tracing, a_block_may_be_freed_by_another_thread)
{
    IN_OWN_PROCESS(freed_elsewhere());
}

/* A thread with blocks in its lists that waits without a call of the library's while tracing starts. */
static _Atomic int turn;
static void *its_block, *its_other_block;
static arn_type *its_type;

static void wait_for(int wanted)
{
    while (atomic_load(&turn) != wanted)
        usleep(100);
}

static void *awaits(void *unused)
{
    void *first = here(64), *second = here(64);
    arn_decref(arn_new(its_type));
    arn_free(first);
    atomic_store(&turn, 1);
    wait_for(2); /* tracing is on */
    its_block = here(64);
    void *object = arn_new(its_type);
    EXPECT_TRUE(is_traced(object));
    arn_decref(object);
    arn_free(second);
    atomic_store(&turn, 3);
    wait_for(4); /* it is off */
    arn_free(its_block);
    its_other_block = here(64);
    atomic_store(&turn, 5);
    wait_for(6); /* on again */
    arn_free(its_other_block);
    its_block = here(64);
    atomic_store(&turn, 7);
    wait_for(8);
    return unused;
}

static void joins_at_once(void)
{
    pthread_t thread;
    its_type = nodes_begin(NULL);
    ASSERT_EQ(pthread_create(&thread, NULL, awaits, NULL), 0);
    wait_for(1);
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    atomic_store(&turn, 2);
    wait_for(3);
    EXPECT_TRUE(is_traced(its_block));
    expect_sums(64, 1);
    arn_trace_stop();
    atomic_store(&turn, 4);
    wait_for(5);
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    EXPECT_FALSE(is_traced(its_other_block));
    atomic_store(&turn, 6);
    wait_for(7);
    EXPECT_TRUE(is_traced(its_block));
    expect_sums(64, 1);
    arn_free(its_block);
    expect_sums(0, 0);
    atomic_store(&turn, 8);
    pthread_join(thread, NULL);
    arn_trace_stop();
}

TEST(tracing, takes_in_threads_that_are_there_when_it_starts)
{
    IN_OWN_PROCESS(joins_at_once());
}

static void joins_without_barrier(void)
{
    pthread_t thread;
    its_type = nodes_begin(NULL);
    ASSERT_EQ(pthread_create(&thread, NULL, awaits, NULL), 0);
    wait_for(1);
    arn__os_fail_at(3, 3); /* the first two map the sites */
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    arn__os_fail_at(0, 0);
    atomic_store(&turn, 2);
    wait_for(3);
    void *block = here(64);
    EXPECT_TRUE(is_traced(block));
    arn_free(block);
    arn_trace_stop();
    atomic_store(&turn, 4);
    wait_for(5);
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    atomic_store(&turn, 6);
    wait_for(7);
    EXPECT_TRUE(is_traced(its_block));
    arn_free(its_block);
    atomic_store(&turn, 8);
    pthread_join(thread, NULL);
    arn_trace_stop();
}

TEST(tracing, goes_without_the_barrier_where_it_is_refused)
{
    IN_OWN_PROCESS(joins_without_barrier());
}

/* What another thread was about to enter as tracing ended belongs to no later tracing: its block may be freed
 * with nobody looking. */
static void late(void)
{
    struct traceback traceback;
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    ASSERT_TRUE(arn__thread_take_traceback(&traceback));
    arn_trace_stop();
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    static char block[16];
    struct heap *heap = arn__thread_enter();
    arn__trace_put(block, sizeof block, NULL, &traceback);
    arn__thread_leave(heap);
    EXPECT_FALSE(is_traced(block));
    expect_sums(0, 0);

    /* The same of one that was to be put back. */
    struct trace trace;
    void *taken = here(64);
    heap = arn__thread_enter();
    EXPECT_TRUE(arn__trace_take(taken, &trace));
    arn__thread_leave(heap);
    arn_trace_stop();
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    heap = arn__thread_enter();
    arn__trace_put_back(taken, &trace);
    arn__thread_leave(heap);
    EXPECT_FALSE(is_traced(taken));
    expect_sums(0, 0);
    arn_free(taken);
    arn_trace_stop();
}

TEST(tracing, what_was_begun_before_it_stopped_is_not_traced_after)
{
    IN_OWN_PROCESS(late());
}

/* ---- stress: blocks that wander between threads ---- */

enum { THREADS = 4, SHARED = 256 };

static void *_Atomic shared[SHARED];
static _Atomic bool stop;

/* Takes a block's place; frees what was there. Some are looked at on the way. */
static void step(uint64_t *random)
{
    static const size_t bytes_of[] = {16, 64, 200, 3000, 20000, 40000, 300000};
    unsigned i = pattern_random(random) % SHARED;
    size_t bytes = bytes_of[pattern_random(random) % 7];
    void *block = NULL;
    switch (pattern_random(random) % 8) {
    case 0:
        break;
    case 1:
        block = arn_realloc(atomic_exchange(&shared[i], NULL), bytes);
        break;
    default:
        block = take((unsigned)(pattern_random(random) % 9), bytes);
    }
    arn_free(atomic_exchange(&shared[i], block));
}

static void *steps(void *seed)
{
    uint64_t random = (uintptr_t)seed * 7919 + 1;
    for (unsigned i = 0; i < (SANITIZED ? 3000 : 30000); i++)
        step(&random);
    return NULL;
}

static void *steps_until_told(void *seed)
{
    uint64_t random = (uintptr_t)seed * 104729 + 1;
    while (!atomic_load(&stop)) {
        rest_if_told();
        step(&random);
    }
    return NULL;
}

static void free_shared(void)
{
    for (unsigned i = 0; i < SHARED; i++)
        arn_free(atomic_exchange(&shared[i], NULL));
}

static void start_threads(pthread_t *threads, void *(*function)(void *))
{
    for (uintptr_t i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, function, (void *)i), 0);
}

static void join_threads(pthread_t *threads)
{
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void wandering(void)
{
    pthread_t threads[THREADS];
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    for (unsigned round = 0; round < 3; round++) {
        start_threads(threads, steps);
        join_threads(threads);
        expect_all_of_the_allocator();
        EXPECT_LE(current(), peak());
    }
    for (unsigned i = 0; i < SHARED; i++)
        EXPECT_TRUE(shared[i] == NULL || is_traced(shared[i]));
    free_shared();
    expect_sums(0, 0);
    EXPECT_EQ(arn_trace_get_lost(), 0);
    arn_trace_stop();
}

TEST(tracing, threads_that_hand_blocks_around_are_traced_exactly)
{
    IN_OWN_PROCESS(wandering());
}

/* Whatever was under way: after all is freed, nothing is left of it in the table. */
static void under_load(void)
{
    pthread_t threads[THREADS];
    start_threads(threads, steps_until_told);
    for (unsigned round = 0; round < (SANITIZED ? 20 : 60); round++) {
        ASSERT_EQ(arn_trace_start(round % 10 + 1, ARN_TRACE_BLOCKS), 0);
        usleep(round % 7 * 1000);
        arn_trace_release(arn_trace_snapshot());
        if (round % 3 == 0)
            arn_trace_clear();
        arn_trace_traceback(shared[round], NULL, 0);
        if (round % 10 == 9) { /* ends with it on */
            atomic_store(&stop, true);
            join_threads(threads);
            free_shared();
            expect_sums(0, 0);
            atomic_store(&stop, false);
            start_threads(threads, steps_until_told);
        }
        arn_trace_stop();
        EXPECT_EQ(current(), 0);
        usleep(round % 5 * 1000);
    }
    atomic_store(&stop, true);
    join_threads(threads);
    free_shared();
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
    EXPECT_EQ(arn_trace_get_tracer_memory(), 0);
}

TEST(tracing, starts_and_stops_under_load)
{
    IN_OWN_PROCESS(under_load());
}

static void *is_born(void *unused)
{
    (void)unused;
    void *block = here(100);
    EXPECT_TRUE(is_traced(block));
    arn_free(here(5000));
    return block;
}

static void births(void)
{
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    for (unsigned i = 0; i < 200; i++) {
        pthread_t thread;
        void *block;
        ASSERT_EQ(pthread_create(&thread, NULL, is_born, NULL), 0);
        pthread_join(thread, &block);
        EXPECT_TRUE(is_traced(block));
        arn_free(block);
        if (i % 10 == 0) { /* seats of those that are gone are not touched */
            arn_trace_stop();
            ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
        }
    }
    expect_sums(0, 0);
    arn_trace_stop();
}

TEST(tracing, threads_come_and_go_meanwhile)
{
    IN_OWN_PROCESS(births());
}

/* ---- signals ---- */

static void interrupted(void)
{
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    void *pooled = here(100), *run = here(100000), *map = here((size_t)40 << 20);
    struct heap *heap = arn__thread_enter(); /* as if a signal handler ran now */
    ASSERT_NE(heap, NULL);
    void *in_handler = arn_malloc(33000);
    arn_free(pooled);
    arn_free(run);
    arn_free(map);
    arn__thread_leave(heap);
    EXPECT_EQ(arn_trace_get_lost(), 1);
    EXPECT_FALSE(is_traced(in_handler));
    arn_free(in_handler); /* the others are given back first */
    expect_sums(0, 0);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
    arn_trace_stop();
}

TEST(tracing, what_a_signal_handler_frees_is_gone_when_somebody_enters)
{
    IN_OWN_PROCESS(interrupted());
}

/* ---- fork ---- */

enum { KEPT = 300 };
static void *kept[KEPT];

/* In a child: nobody else is here. The parent's other threads may have left a block or two too much or too
 * few in the table, which is then no child's. */
static int child_is_traced(bool alone)
{
    void *first = here(64); /* before anything else has been asked of the library */
    if (!is_traced(first))
        return 9;
    arn_free(first);
    size_t before = current();
    if (sum(ARN_TRACE_BY_SITE).bytes != before || sum(ARN_TRACE_BY_TYPE).bytes != before)
        return 2;
    for (unsigned i = 0; i < KEPT; i++) {
        size_t bytes = arn_malloc_usable_size(kept[i]);
        if (!is_traced(kept[i]))
            return 3;
        before = current();
        arn_free(kept[i]);
        if (is_traced(kept[i]) || current() != before - bytes)
            return 4;
    }
    if (alone && current() != 0)
        return 5;
    void *block = here(64);
    if (!is_traced(block))
        return 6;
    arn_trace_stop();
    if (current() != 0 || arn_trace_start(3, ARN_TRACE_BLOCKS) != 0)
        return 7;
    arn_free(block);
    arn_free(here(64));
    if (current() != 0 || peak() != 64)
        return 8;
    return 0;
}

static void fork_and_look(unsigned children, bool alone)
{
    for (unsigned i = 0; i < children; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(300);
            _exit(child_is_traced(alone));
        }
        int status = -1;
        rest_begin();
        waitpid(child, &status, 0);
        rest_end();
        EXPECT_EQ(status, 0);
        usleep(i % 7 * 100); /* until they are busy again */
    }
}

static void keep_some(void)
{
    for (unsigned i = 0; i < KEPT; i++)
        kept[i] = here(50 * i);
}

static void forks_alone(void)
{
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    keep_some();
    fork_and_look(2, true);
    frees((void *[]){kept[0], NULL});
    kept[0] = here(1);
    expect_all_of_the_allocator();
}

TEST(tracing, a_forked_child_keeps_the_traces)
{
    IN_OWN_PROCESS(forks_alone());
}

static void forks_busy(void)
{
    pthread_t threads[THREADS];
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    keep_some();
    start_threads(threads, steps_until_told);
    fork_and_look(60, false);
    /* Whatever the totals were at that moment. */
    atomic_fetch_add(&arn__trace_totals.current, 1000000);
    fork_and_look(1, false);
    atomic_fetch_sub(&arn__trace_totals.current, 1000000);
    atomic_store(&stop, true);
    join_threads(threads);
    expect_all_of_the_allocator();
}

TEST(tracing, a_forked_child_of_busy_threads_keeps_the_traces)
{
    if (EMULATED)
        SKIP("qemu's own locks do not survive it");
    if (SANITIZED)
        SKIP("sanitizers' own locks are not made for it");
    IN_OWN_PROCESS(forks_busy());
}

/* ---- no memory ---- */

enum { PLAYED = 3000 };

/* Status for _exit: 0; 1: wrong; 3: the calls to fail were not reached. */
static int play(long first, long last)
{
    static void *blocks[PLAYED];
    arn_type *type = nodes_begin(NULL);
    /* What is traced has room already. */
    for (unsigned i = 0; i < PLAYED; i++)
        blocks[i] = arn_malloc(i % 3 == 0 ? 5000 : 40);
    for (unsigned i = 0; i < PLAYED; i++)
        arn_free(blocks[i]);
    arn__os_fail_at(first, last);
    bool started = arn_trace_start(FEW, BOTH) == 0;
    if (!started && errno != ENOMEM)
        return 1;
    size_t traced = 0, taken = 0;
    for (unsigned i = 0; i < PLAYED; i++) {
        blocks[i] = i % 3 == 0 ? here(5000) : deep(i % 50);
        if (blocks[i] == NULL)
            return 1;
        taken++;
    }
    void *object = arn_new(type);
    arn_snapshot *snapshot = started ? arn_trace_snapshot() : NULL;
    bool reached = atomic_load(&arn__os_failure.calls) >= first;
    arn__os_fail_at(0, 0);
    arn_xdecref(object);
    for (unsigned i = 0; i < PLAYED; i++)
        traced += is_traced(blocks[i]);
    if (started && traced + arn_trace_get_lost() < taken)
        return 1;
    if (!started && (traced > 0 || current() > 0 || arn_trace_is_tracing() != 0))
        return 1;
    for (unsigned i = 0; i < PLAYED; i++)
        arn_free(blocks[i]);
    arn_trace_release(snapshot);
    arn_trace_stop();
    if (arn_trace_start(1, BOTH) != 0)
        return 1;
    arn_free(here(10));
    if (current() != 0 || peak() != 16 || arn_trace_get_lost() != 0)
        return 1;
    return reached ? 0 : 3;
}

static void each_call_fails(long more)
{
    long n = 1;
    for (int status = 0; status == 0; n += failing_step()) {
        pid_t child = fork();
        if (child == 0) {
            alarm(300);
            _exit(play(n, more < LONG_MAX ? n + more : more));
        }
        waitpid(child, &status, 0);
        TRACE("calls from %ld on, %ld more", n, more);
        EXPECT_TRUE(status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 3));
    }
    EXPECT_GT(n, 10);
}

static const long failures[] = {0, 3, LONG_MAX};

TEST_EACH(tracing, without_memory_for_it_the_program_has_its_blocks, long, more, failures)
{
    IN_OWN_PROCESS(each_call_fails(more));
}
