/* failure.c - the n-th call to the kernel fails, for every n: nothing crashes, nothing is lost, and
 * service resumes.
 *
 * A scenario makes every kind of block in every way. It is played in a process of its own for each
 * n, until a play makes fewer than n calls; once with the n-th call failing alone, once with all
 * from the n-th on.
 */
#include <arenite/arenite.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "failure.h"
#include "options.h"
#include "os.h"
#include "pattern.h"
#include "shim.h"

enum { MIB = 1 << 20, MOST_HELD = 600 };

struct held {
    char *block;
    size_t usable;
    uint64_t seed;
};

struct ledger {
    struct held held[MOST_HELD];
    size_t count;
    uint64_t seed;
    unsigned refused;
};

static void hold(struct ledger *ledger, void *block, size_t asked)
{
    struct held held = {block, arn_malloc_usable_size(block), ledger->seed++ << 20};
    REQUIRE(held.usable >= asked);
    pattern_fill(block, held.usable, held.seed);
    REQUIRE(ledger->count < MOST_HELD);
    ledger->held[ledger->count++] = held;
}

/* A block, or NULL and ENOMEM: there is nothing else. */
static void take(struct ledger *ledger, void *block, size_t asked)
{
    if (block == NULL) {
        REQUIRE(errno == ENOMEM);
        ledger->refused++;
    } else {
        REQUIRE(errno == 0);
        hold(ledger, block, asked);
    }
    errno = 0;
}

static void check(const struct held *held)
{
    REQUIRE(arn_malloc_usable_size(held->block) == held->usable);
    REQUIRE(pattern_holds(held->block, held->usable, held->usable, held->seed));
}

static void drop(struct ledger *ledger, size_t idx)
{
    check(&ledger->held[idx]);
    arn_free(ledger->held[idx].block);
    REQUIRE(errno == 0);
    ledger->held[idx] = ledger->held[--ledger->count];
}

static void resize(struct ledger *ledger, size_t idx, size_t bytes)
{
    struct held *held = &ledger->held[idx];
    check(held);
    char *block = arn_realloc(held->block, bytes);
    if (block == NULL) {
        REQUIRE(errno == ENOMEM);
        errno = 0;
        ledger->refused++;
        check(held); /* it is as it was */
        return;
    }
    REQUIRE(errno == 0);
    REQUIRE(pattern_holds(block, held->usable, bytes < held->usable ? bytes : held->usable,
                          held->seed));
    held->block = block;
    held->usable = arn_malloc_usable_size(block);
    REQUIRE(held->usable >= bytes);
    pattern_fill(block, held->usable, held->seed);
}

static void take_zeroed(struct ledger *ledger, size_t bytes)
{
    char *block = arn_calloc(1, bytes);
    REQUIRE(block == NULL || pattern_zero(block, bytes));
    take(ledger, block, bytes);
}

static void take_aligned(struct ledger *ledger, size_t alignment, size_t bytes)
{
    void *block = arn_aligned_alloc(alignment, bytes);
    REQUIRE((uintptr_t)block % alignment == 0);
    take(ledger, block, bytes);
}

static const size_t sizes[] = {16, 100, 5000, 32768, 40000, 200000, 300000, 1 * MIB + 1};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void every_kind(struct ledger *ledger)
{
    for (size_t i = 0; i < SIZES; i++) {
        take(ledger, arn_malloc(sizes[i]), sizes[i]);
        take_zeroed(ledger, sizes[i]);
    }
    for (size_t alignment = 32; alignment <= 64 * MIB; alignment *= 8)
        take_aligned(ledger, alignment, alignment < 1 * MIB ? alignment / 3 : 300000);
}

/* Up through all kinds and down again. */
static void every_resize(struct ledger *ledger)
{
    take(ledger, arn_malloc(10), 10);
    take(ledger, arn_malloc(1 * MIB), 1 * MIB);
    if (ledger->count == 0)
        return;
    size_t idx = ledger->count - 1;
    for (size_t i = 0; i < SIZES; i++)
        resize(ledger, idx, sizes[i]);
    resize(ledger, idx, 2 * MIB);
    resize(ledger, idx, 3 * MIB);
    for (size_t i = SIZES; i-- > 0;)
        resize(ledger, idx, sizes[i]);
}

static void *in_a_thread(void *argument)
{
    struct ledger *ledger = argument;
    errno = 0;
    for (size_t i = 0; i < ledger->count; i += 2)
        drop(ledger, i); /* of the other thread's */
    every_kind(ledger);
    for (size_t i = 0; i < ledger->count; i += 3)
        drop(ledger, i);
    return NULL;
}

static void in_threads(struct ledger *ledger)
{
    for (unsigned i = 0; i < 2; i++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, in_a_thread, ledger) == 0);
        pthread_join(thread, NULL);
    }
}

static void many_small(struct ledger *ledger)
{
    size_t before = ledger->count;
    for (unsigned i = 0; i < 150; i++)
        take(ledger, arn_malloc(2000), 2000);
    while (ledger->count > before)
        drop(ledger, before);
}

static void play(struct ledger *ledger)
{
    errno = 0;
    every_kind(ledger);
    every_resize(ledger);
    in_threads(ledger);
    many_small(ledger);
    arn_malloc_trim(0);
    for (size_t i = 0; i < ledger->count; i += 2)
        drop(ledger, i);
    arn_malloc_trim(1 * MIB);
    every_kind(ledger);
}

/* Failures are over: everything works and everything that was taken is given back. */
static void resume(struct ledger *ledger)
{
    unsigned refused = ledger->refused;
    every_kind(ledger);
    every_resize(ledger);
    in_threads(ledger);
    REQUIRE(ledger->refused == refused);
    while (ledger->count > 0)
        drop(ledger, ledger->count - 1);
    arn_malloc_trim(0);
    struct arn_stats stats;
    arn_stats(&stats);
    REQUIRE(stats.used_blocks == 0);
    REQUIRE(stats.used_bytes == 0);
    REQUIRE(stats.map_bytes == 0);
    arn__arena_verify();
}

static struct ledger ledger = {.seed = 1};

static void play_once(void)
{
    play(&ledger);
}

static void resume_once(void)
{
    for (size_t i = 0; i < ledger.count; i++)
        check(&ledger.held[i]);
    resume(&ledger);
}

static struct failing_play failing = {play_once, resume_once, 0};

static void each_call_fails_alone(void)
{
    failing_begin();
    long n = 1;
    while (play_in_child(&failing, n, n))
        n += failing_step();
    EXPECT_GT(n, 50);
    EXPECT_EQ(failing.failed, 0);
}

TEST(failure, of_any_one_call_loses_nothing)
{
    IN_OWN_PROCESS(each_call_fails_alone());
}

static void each_call_and_all_after_it_fail(void)
{
    failing_begin();
    long n = 1;
    while (play_in_child(&failing, n, LONG_MAX))
        n += failing_step();
    EXPECT_GT(n, 50);
    EXPECT_EQ(failing.failed, 0);
}

TEST(failure, of_all_calls_from_any_on_loses_nothing)
{
    IN_OWN_PROCESS(each_call_and_all_after_it_fail());
}

static void bursts_fail(void)
{
    failing_begin();
    for (long n = 1; play_in_child(&failing, n, n + 4); n += 3 * failing_step())
        ;
    EXPECT_EQ(failing.failed, 0);
}

TEST(failure, of_a_few_calls_in_a_row_loses_nothing)
{
    IN_OWN_PROCESS(bursts_fail());
}

/* ---- the first allocation of a process ---- */

static void first_fails(void *(*first)(void))
{
    for (long n = 1; n < 12; n++) {
        pid_t child = fork();
        if (child == 0) {
            arn__os_fail_at(n, LONG_MAX);
            errno = 0;
            char *block = first();
            REQUIRE(block == NULL ? errno == ENOMEM : errno == 0);
            arn__os_fail_at(0, 0);
            errno = 0;
            char *later = arn_malloc(100);
            REQUIRE(later != NULL && errno == 0);
            memset(later, 1, 100);
            arn_free(later);
            arn_free(block);
            struct arn_stats stats;
            arn_stats(&stats);
            REQUIRE(stats.used_bytes == 0);
            _exit(0);
        }
        int status = -1;
        waitpid(child, &status, 0);
        TRACE("from call %ld on", n);
        EXPECT_EQ(status, 0);
    }
}

static void *first_small(void)
{
    return arn_malloc(10);
}

static void *first_run(void)
{
    return arn_calloc(1, 100000);
}

static void *first_span(void)
{
    return arn_aligned_alloc(1 << 20, 1000000);
}

static void *first_map(void)
{
    return arn_realloc(NULL, 64 * MIB);
}

TEST(failure, of_the_start_is_ENOMEM_and_the_next_try_starts)
{
    IN_OWN_PROCESS(first_fails(first_small));
    IN_OWN_PROCESS(first_fails(first_run));
    IN_OWN_PROCESS(first_fails(first_span));
    IN_OWN_PROCESS(first_fails(first_map));
}

/* ---- a thread that can have no heap ---- */

static void *without_heap(void *argument)
{
    (void)argument;
    arn__os_fail_at(1, LONG_MAX);
    char *block = arn_malloc(100);
    bool got = block != NULL;
    arn_free(block);
    arn__os_fail_at(0, 0);
    char *later = arn_malloc(100);
    arn_free(later);
    (void)got; /* another one may have ended the failures meanwhile */
    return later;
}

static void threads_without_heaps(void)
{
    /* Enough heaps that the chunk of metadata runs out more than once. */
    void *kept = arn_malloc(1);
    for (unsigned i = 0; i < 40; i++) {
        pthread_t threads[4];
        for (unsigned j = 0; j < 4; j++)
            ASSERT_EQ(pthread_create(&threads[j], NULL, without_heap, NULL), 0);
        for (unsigned j = 0; j < 4; j++) {
            pthread_join(threads[j], NULL);
        }
    }
    arn__os_fail_at(0, 0);
    arn_free(kept);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
}

TEST(failure, to_make_a_heap_leaves_the_thread_with_the_shared_one)
{
    IN_OWN_PROCESS(threads_without_heaps());
}
