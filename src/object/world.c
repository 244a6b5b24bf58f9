/* world.c - one word, of which a lock is made that many may have, and one alone. No other lock is taken. */
#include "world.h"

#include <limits.h>
#include <stdatomic.h>
#include <sys/single_threaded.h>

#include "diag.h"
#include "os.h"

/* In the word, beside the number of threads that run. */
#define STOP 0x80000000u

static _Atomic uint32_t world;

/* Written by who has STOP set. A thread that does not see it yet is waited for. */
uint32_t arn_stop_wanted;

struct self {
    bool attached;
    bool stops;        /* the world, now */
    unsigned blocking; /* sections that it is in */
};
static __thread struct self self __attribute__((tls_model("initial-exec")));

static bool runs(void)
{
    return self.attached && self.blocking == 0;
}

/* ---- running, and ceasing ---- */

static void begin_to_run(void)
{
    uint32_t word = atomic_load_explicit(&world, memory_order_relaxed);
    for (;;) {
        if (word & STOP) {
            arn__os_wait(&world, word);
            word = atomic_load_explicit(&world, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(
                       /* acquire: pairs with the release in arn__world_resume. */
                       &world, &word, word + 1, memory_order_acquire, memory_order_relaxed)) {
            return;
        }
    }
}

static void cease_to_run(void)
{
    /* release: pairs with the acquires in arn__world_stop. */
    uint32_t left = atomic_fetch_sub_explicit(&world, 1, memory_order_release) - 1;
    if (left == (STOP | 1)) /* only who stops is left */
        arn__os_wake(&world, INT_MAX);
}

/* ---- stopping ---- */

/* Of two, one stops the other. */
static void become_the_one_that_stops(void)
{
    uint32_t word = atomic_load_explicit(&world, memory_order_relaxed);
    for (;;) {
        if (word & STOP) {
            cease_to_run();
            begin_to_run();
            word = atomic_load_explicit(&world, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(
                       /* acquire: pairs with the release in arn__world_resume. */
                       &world, &word, word | STOP, memory_order_acquire, memory_order_relaxed)) {
            return;
        }
    }
}

bool arn__world_stop(void)
{
    if (__libc_single_threaded)
        return true;
    if (!runs())
        return false;
    become_the_one_that_stops();
    self.stops = true;
    __atomic_store_n(&arn_stop_wanted, 1, __ATOMIC_RELAXED);
    uint32_t word;
    /* acquire: pairs with the releases in cease_to_run. All of them: what else changes the word in between
     * is read-modify-write, too. */
    while ((word = atomic_load_explicit(&world, memory_order_acquire)) != (STOP | 1))
        arn__os_wait(&world, word);
    return true;
}

void arn__world_resume(void)
{
    if (!self.stops)
        return; /* there was nobody to be stopped */
    self.stops = false;
    /* Before the word: from then on it may be another's. */
    __atomic_store_n(&arn_stop_wanted, 0, __ATOMIC_RELAXED);
    /* release: pairs with the acquires of begin_to_run and of the next one that stops. */
    atomic_fetch_and_explicit(&world, ~STOP, memory_order_release);
    arn__os_wake(&world, INT_MAX);
}

/* ---- what the program says ---- */

void arn_safepoint_slow(void)
{
    if (!runs())
        return;
    cease_to_run();
    begin_to_run();
}

void arn_blocking_begin(void)
{
    if (runs())
        cease_to_run();
    self.blocking++;
}

void arn_blocking_end(void)
{
    if (self.blocking == 0) {
        arn__misuse("arn_blocking_end", NULL, "in no blocking section");
        return;
    }
    self.blocking--;
    if (runs())
        begin_to_run();
}

/* ---- who there is ---- */

void arn__world_attach(void)
{
    if (self.attached)
        return;
    self.attached = true;
    if (runs())
        begin_to_run();
}

void arn__world_detach(void)
{
    if (runs())
        cease_to_run();
    self.attached = false;
}

bool arn__world_is_attached(void)
{
    return self.attached;
}

void arn__world_end_blocking(void)
{
    if (self.blocking == 0)
        return;
    self.blocking = 1;
    arn_blocking_end();
}

void arn__world_after_fork(void)
{
    self.stops = false;
    __atomic_store_n(&arn_stop_wanted, 0, __ATOMIC_RELAXED);
    atomic_store_explicit(&world, runs(), memory_order_relaxed);
}
