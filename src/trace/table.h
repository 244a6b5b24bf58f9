/* table.h - what is traced: from an address to its bytes and its site.
 *
 * T1: a block's or object's trace is gone before its memory can be handed out again. So what is freed
 *     while tracing is on is looked for here first; and a thread that may have traced blocks in its pools
 *     takes no fast path (arn__thread_hide_all).
 * T2: each site's count and bytes, and the totals, are the sums over its traces.
 *
 * In stripes, each under its lock, which is held for a few steps, and by a thread that is inside
 * (src/thread.h): a signal handler that interrupts it finds that, and takes none.
 */
#ifndef ARENITE_TRACE_TABLE_H
#define ARENITE_TRACE_TABLE_H

#include "lock.h"
#include "site.h"

/* ARN_TRACE_…: what is traced now; 0: nothing. */
extern _Atomic unsigned arn__tracing;

static inline bool arn__traces(unsigned what)
{
    /* acquire: pairs with the store that turns it on; what tracing needs is there. Whoever sees it late traces
     * late. */
    return __builtin_expect((atomic_load_explicit(&arn__tracing, memory_order_acquire) & what) != 0,
                            false);
}

struct trace {
    size_t bytes;
    struct site *site;
    unsigned epoch;
};

/* Another one when tracing begins and ends, and when all traces are forgotten: what was begun before that
 * enters no trace after. */
unsigned arn__trace_epoch(void);

/* The next four: of a thread that is inside. Without memory the trace is lost, and counted as that. */
void arn__trace_put(const void *address, size_t bytes, const struct arn_type *type,
                    const struct traceback *traceback);

/* Takes it out of the table, if there is one. */
bool arn__trace_take(const void *address, struct trace *trace);
void arn__trace_put_back(const void *address, const struct trace *trace);
void arn__trace_remove(const void *address);

/* False: there is none. */
bool arn__trace_look(const void *address, struct trace *trace);

void arn__trace_lose(void);

/* Held by who starts, stops, clears, or looks at sites. */
extern struct lock arn__trace_control;

struct trace_totals {
    _Atomic size_t current, peak;
    _Atomic size_t lost;
};
extern struct trace_totals arn__trace_totals;

void arn__trace_reset_peak(void);

/* All traces are forgotten, and what they took goes back to the OS; new ones are taken from now on, or not. The
 * sites that there are have nothing. Unless new ones are taken, nobody looks at any after that. */
void arn__table_clear(bool on);

/* In a forked child. The parent's other threads may have been at work here: what is whole is kept. */
void arn__table_after_fork(bool had_threads);

#endif
