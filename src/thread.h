/* thread.h - which heap a thread works with: birth, exit, signals, fork.
 *
 * A slow path enters before it touches anything that is shared, and leaves after. A thread that is
 * found inside already was interrupted by a signal whose handler allocates: it gets no heap, and
 * what it asks for is done without locks.
 */
#ifndef ARENITE_THREAD_H
#define ARENITE_THREAD_H

#include <stdbool.h>

#include "heap.h"
#include "options.h"
#include "trace/table.h"

/* All the thread-local storage there is. */
struct thread {
    /* What the fast paths see: its heap; or one with empty lists, which stands for none: it has none (yet), is
     * inside, or blocks are watched. The thread's own, but for arn__thread_hide_all. */
    _Atomic(struct heap *) heap;
    _Atomic uint64_t token; /* that heap's: see heap.h */
    bool inside;      /* a slow path */
    bool unwinds;     /* takes a traceback */
    bool departed;    /* its heap was given up at exit: it gets no other */
    bool aligns;      /* by another's malloc: see interpose.c */
    struct heap *own; /* NULL: it has none */
};

extern __thread struct thread arn__thread __attribute__((tls_model("initial-exec")));

/* In a page that reads as zero in a child, however it was forked. */
enum child_state { CHILD_NEW, CHILD_MENDING, CHILD_READY };
extern const _Atomic uint32_t *_Atomic arn__child_state;

/* The calling thread's heap, made if need be, or the orphan heap, locked, if it can have none (any
 * more). NULL: this thread is inside already. */
struct heap *arn__thread_enter(void);
void arn__thread_leave(struct heap *heap);

/* False in a forked child that nobody has entered yet: pools may be torn. */
static inline bool arn__thread_is_settled(void)
{
    /* acquire: pairs with the release of who mended the child. */
    const _Atomic uint32_t *state = atomic_load_explicit(&arn__child_state, memory_order_acquire);
    return atomic_load_explicit(state, memory_order_acquire) == CHILD_READY;
}

/* As arn__thread_enter, for a thread with a heap, when nothing else is to be done on the
 * way; else NULL. */
struct heap *arn__thread_enter_quick(void);
void arn__thread_leave_quick(struct heap *heap);

/* Every block that comes or goes is looked at: it is traced, or overwritten. */
static inline bool arn__thread_is_watched(void)
{
    return arn__traces(ARN_TRACE_BLOCKS) || __builtin_expect(arn__options.perturb != 0, false);
}

/* Blocks are watched from now on (arn__thread_is_watched says so already): the fast paths of all threads find nothing any
 * more, for their heaps are out of sight until they leave a slow path after the end of that. */
void arn__thread_hide_all(void);

/* A block was asked for. */
bool arn__thread_has_started(void);

/* Sees to it that the options are known, if they can be now. */
void arn__thread_read_options(void);

/* Sees to it that a forked child is mended, if it can be now. */
void arn__thread_settle(void);

/* Who called the library, to trace something to. False: this thread is finding that out already, and it is the
 * unwinder that asks for memory, or a signal handler: not to be traced. Not while inside: the unwinder may
 * take locks. */
bool arn__thread_take_traceback(struct traceback *traceback);

/* The same for whoever keeps the frames itself; 0: as above, or this thread is inside. */
unsigned arn__thread_take_frames(void **frames, unsigned most);

/* Heaps made so far, and those without a thread now. */
void arn__thread_count_heaps(size_t *heaps, size_t *idle);

/* A block of a pool (its first word a link, if the process is settled), a run or a span (deferred) that a signal handler
 * freed, or a thread of a child that is still to be mended: to be given back when somebody enters next. */
void arn__thread_defer_free(void *block);

/* Collects the orphan heap, unless that is `heap`, which the caller entered with, and what heaps of
 * ended threads hold. */
void arn__thread_collect_others(const struct heap *heap);

#endif
