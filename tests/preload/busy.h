/* busy.h - threads that are in the midst of something whenever the process forks. While its child is waited for they
 * rest, so that the child has the processors to itself.
 */
#ifndef ARENITE_BUSY_H
#define ARENITE_BUSY_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "rest.h"
#include "self.h"

enum { MOST_BUSY = 16 };

static pthread_t busy_threads[MOST_BUSY];
static size_t busy_count;
static atomic_bool busy_stop;
static atomic_ulong busy_turns;

/* Whether a busy thread has another turn; called before each. */
static inline int busy_goes_on(void)
{
    rest_if_told();
    atomic_fetch_add(&busy_turns, 1);
    return !atomic_load(&busy_stop);
}

/* Each is given its number. */
static inline void busy_start(size_t count, void *(*function)(void *))
{
    CHECK(count <= MOST_BUSY);
    atomic_store(&busy_stop, 0);
    for (; busy_count < count; busy_count++)
        CHECK(pthread_create(&busy_threads[busy_count], NULL, function, (void *)busy_count) == 0);
}

static inline void busy_end(void)
{
    atomic_store(&busy_stop, 1);
    while (busy_count > 0)
        CHECK(pthread_join(busy_threads[--busy_count], NULL) == 0);
}

/* Waits for a child as expect_success does; then until the threads are busy again. */
static inline void busy_expect_success(pid_t child, const char *what)
{
    rest_begin();
    expect_success(child, what);
    unsigned long before = atomic_load(&busy_turns);
    rest_end();
    while (atomic_load(&busy_turns) - before < 2 * busy_count)
        sched_yield();
}

#endif
