/* lock.c - one at a time, and nobody sleeps for ever. */
#include "lock.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "diag.h"
#include "shim.h"

enum { THREADS = 4, ROUNDS = 30000 };

static struct lock lock;
static unsigned counter; /* under the lock */
static _Atomic unsigned inside;
static _Atomic bool met;

static void *count_up(void *argument)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        arn__lock(&lock, RANK_ARENA);
        if (atomic_fetch_add(&inside, 1) != 0)
            atomic_store(&met, true);
        counter++;
        atomic_fetch_sub(&inside, 1);
        arn__unlock(&lock, RANK_ARENA);
    }
    return argument;
}

TEST(lock, is_held_by_one_at_a_time)
{
    pthread_t threads[THREADS];
    counter = 0;
    for (unsigned i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(counter, THREADS * ROUNDS);
    EXPECT_FALSE(atomic_load(&met));
    EXPECT_EQ(atomic_load(&lock.word), 0);
}

static _Atomic unsigned through;

static void *pass(void *argument)
{
    arn__lock(&lock, RANK_ARENA);
    atomic_fetch_add(&through, 1);
    arn__unlock(&lock, RANK_ARENA);
    return argument;
}

TEST(lock, sleepers_are_woken_one_after_the_other)
{
    pthread_t threads[THREADS];
    atomic_store(&through, 0);
    arn__lock(&lock, RANK_ARENA);
    for (unsigned i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, pass, NULL), 0);
    struct timespec time = {0, 20000000};
    nanosleep(&time, NULL); /* by now they sleep */
    EXPECT_EQ(atomic_load(&through), 0);
    arn__unlock(&lock, RANK_ARENA);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(atomic_load(&through), THREADS);
}

TEST(lock, keeps_errno)
{
    errno = 88;
    arn__lock(&lock, RANK_ARENA);
    arn__unlock(&lock, RANK_ARENA);
    EXPECT_EQ(errno, 88);
}

TEST(lock, is_free_after_a_reset)
{
    static struct lock other;
    arn__lock(&other, RANK_META);
    arn__lock_reset(&other);
    arn__lock(&other, RANK_META);
    arn__unlock(&other, RANK_META);
}

TEST(lock, order_is_checked_in_debug_builds)
{
    if (!ARN__CHECKED)
        SKIP("not a debug build");
    static struct lock low, high;
    EXPECT_DEATH(
        {
            arn__lock(&high, RANK_META);
            arn__lock(&low, RANK_ARENA);
        },
        "broken invariant: lock order");
    EXPECT_DEATH(
        {
            arn__lock(&high, RANK_SHARD);
            arn__lock(&low, RANK_SHARD);
        },
        "broken invariant: lock order");
    arn__lock(&low, RANK_ORPHAN);
    arn__lock(&high, RANK_META);
    arn__unlock(&low, RANK_ORPHAN);
    arn__unlock(&high, RANK_META);
}
