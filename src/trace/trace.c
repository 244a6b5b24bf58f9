/* trace.c - tracing: when, what, and what is told of it. */
#include <arenite/trace.h>
#include <errno.h>
#include <execinfo.h>

#include "object/type.h"
#include "table.h"
#include "thread.h"

static void lock(void)
{
    arn__thread_settle();
    arn__lock(&arn__trace_control, RANK_TRACE);
}

static void unlock(void)
{
    arn__unlock(&arn__trace_control, RANK_TRACE);
}

/* ---- on and off ---- */

static int start(unsigned frames, unsigned what, const struct own_code *own)
{
    if (atomic_load(&arn__tracing) != 0)
        return EALREADY;
    if (!arn__sites_begin(frames, backtrace, own))
        return ENOMEM;
    arn__table_clear(true);
    /* First: what is hidden finds this, and stays so. */
    atomic_store(&arn__tracing, what);
    if (what & ARN_TRACE_OBJECTS)
        arn__types_hide(true);
    if (what & ARN_TRACE_BLOCKS)
        arn__thread_hide_all();
    return 0;
}

int arn_trace_start(unsigned frames, unsigned what)
{
    struct own_code own = arn__own_code(__builtin_return_address(0));
    int error = EINVAL;
    if (frames >= 1 && frames <= ARN_TRACE_FRAMES_MOST && what != 0 &&
        (what & ~(unsigned)(ARN_TRACE_OBJECTS | ARN_TRACE_BLOCKS)) == 0) {
        void *first[1];
        backtrace(first, 1); /* the first time, it loads what it needs, and allocates */
        lock();
        error = start(frames, what, &own);
        unlock();
    }
    if (error != 0)
        errno = error;
    return error == 0 ? 0 : -1;
}

void arn_trace_stop(void)
{
    lock();
    if (atomic_load(&arn__tracing) != 0) {
        atomic_store(&arn__tracing, 0);
        arn__types_hide(false);
        arn__table_clear(false);
        arn__sites_end();
    }
    unlock();
}

unsigned arn_trace_is_tracing(void)
{
    arn__thread_settle();
    return atomic_load(&arn__tracing);
}

unsigned arn_trace_get_frames(void)
{
    return arn_trace_is_tracing() != 0 ? arn__sites_frames() : 0;
}

/* ---- figures ---- */

void arn_trace_get_traced(size_t *current, size_t *peak)
{
    arn__thread_settle();
    if (current != NULL)
        *current = atomic_load(&arn__trace_totals.current);
    if (peak != NULL)
        *peak = atomic_load(&arn__trace_totals.peak);
}

void arn_trace_reset_peak(void)
{
    arn__thread_settle();
    arn__trace_reset_peak();
}

void arn_trace_clear(void)
{
    lock();
    arn__table_clear(atomic_load(&arn__tracing) != 0);
    unlock();
}

size_t arn_trace_get_tracer_memory(void)
{
    return arn__trace_mapped_bytes();
}

size_t arn_trace_get_lost(void)
{
    return atomic_load(&arn__trace_totals.lost);
}

size_t arn_trace_traceback(const void *pointer, void **frames, size_t most)
{
    size_t count = 0;
    struct trace trace;
    lock(); /* the site stays */
    struct heap *heap = arn__thread_enter();
    if (heap != NULL) {
        if (arn__trace_look(pointer, &trace))
            count = trace.site->frame_count;
        for (size_t i = 0; i < count && i < most; i++)
            frames[i] = trace.site->frames[i];
        arn__thread_leave(heap);
    }
    unlock();
    return count;
}
