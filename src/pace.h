/* pace.h - what takes time is done less often where it would be done all the time.
 *
 * Each turn that took some time owes a rest of 99 times as long: the turns together take a hundredth of the time. What
 * is owed may come to `credit_ns` before turns are refused, so that a few in a row are always had. Turns that are made
 * although they are refused are not to be counted: what they owed would have no bound.
 */
#ifndef ARENITE_PACE_H
#define ARENITE_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    PACE_TIMES = 99,
    PACE_TOOK_MOST_NS = 1000000, /* what took longer was a thread that did not run */
};

/* Zeros: nothing is owed. Several threads may tell at a time, and one of them be lost: more or less does no harm. */
struct pace {
    _Atomic uint64_t until; /* ns: when nothing is owed any more */
};

static inline bool arn__pace_rests(const struct pace *pace, uint64_t now, uint64_t credit_ns)
{
    return atomic_load_explicit(&pace->until, memory_order_relaxed) > now + credit_ns;
}

/* A turn began and ended at these times. */
static inline void arn__pace_took(struct pace *pace, uint64_t from, uint64_t to)
{
    uint64_t until = atomic_load_explicit(&pace->until, memory_order_relaxed), took = to - from;
    if (took > PACE_TOOK_MOST_NS)
        took = PACE_TOOK_MOST_NS;
    atomic_store_explicit(&pace->until, (until > to ? until : to) + PACE_TIMES * took,
                          memory_order_relaxed);
}

#endif
