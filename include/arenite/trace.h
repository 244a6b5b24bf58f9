/* trace.h - where memory was allocated: as Python's tracemalloc, for any program.
 *
 *     arn_trace_start(8, ARN_TRACE_OBJECTS | ARN_TRACE_BLOCKS);
 *     arn_snapshot *before = arn_trace_snapshot();
 *     work();
 *     arn_snapshot *after = arn_trace_snapshot();
 *     arn_trace_print_compare(before, after, ARN_TRACE_BY_SITE, 10, 2);   // what grew, and from where
 *
 * Tracing is off until it is started, and costs nothing then. While it is on, each new object
 * (arenite/object.h) or block (malloc, calloc, realloc, the aligned ones, C++'s new, arn_malloc and its
 * like) is entered with the return addresses of its callers, and taken out when it is released or freed. What
 * there was before is not traced.
 *
 * Sizes are in bytes, as they count in memory: of a block what arn_malloc_usable_size tells, of an object its
 * slot with the header. A call site is a return address in the program, or in a library other than this one.
 * Any thread may call these, one at a time goes on; not from signal handlers. See arenite-trace(7).
 */
#ifndef ARENITE_TRACE_H
#define ARENITE_TRACE_H

#include <arenite/arenite.h>

#ifdef __cplusplus
/* A function and a structure share a name. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#endif

struct arn_type; /* arn_type of arenite/object.h */

/* ---- on and off ---- */

/* What is traced. */
enum {
    ARN_TRACE_OBJECTS = 1,
    ARN_TRACE_BLOCKS = 2,
};

enum { ARN_TRACE_FRAMES_MOST = 64 };

/* From here on, keeps for each new object or block (`what`: ARN_TRACE_…, or both) at most this many of its
 * innermost callers: 1 to ARN_TRACE_FRAMES_MOST. 0; or -1 with EINVAL: no such number, or nothing to
 * trace; EALREADY: tracing is on, and goes on as it was; ENOMEM.
 *
 * All threads: what another one is allocating at this moment is not traced. Where the kernel refuses
 * membarrier(2), or a thread is about to end, its blocks may not be until it next needs more than its free
 * lists have. Stacks must be such that they can be walked up: see arenite-trace(7). */
ARN_PUBLIC int arn_trace_start(unsigned frames, unsigned what);

/* Stops, and forgets all traces; snapshots stay. */
ARN_PUBLIC void arn_trace_stop(void);

/* ARN_TRACE_…; 0: tracing is off. And the frames that are kept; 0: it is off. */
ARN_PUBLIC unsigned arn_trace_is_tracing(void);
ARN_PUBLIC unsigned arn_trace_get_frames(void);

/* ---- figures ---- */

/* What is traced now, and the most that ever was since tracing was started, or the traces cleared, or the
 * peak reset. Either may be NULL. */
ARN_PUBLIC void arn_trace_get_traced(size_t *current, size_t *peak);

/* The peak becomes what there is now. */
ARN_PUBLIC void arn_trace_reset_peak(void);

/* Forgets all traces; tracing goes on. */
ARN_PUBLIC void arn_trace_clear(void);

/* What tracing takes itself, snapshots included. */
ARN_PUBLIC size_t arn_trace_get_tracer_memory(void);

/* Blocks and objects that were allocated while tracing was on, and are not traced: there was no memory for
 * that, or a signal handler interrupted the allocator. */
ARN_PUBLIC size_t arn_trace_get_lost(void);

/* The callers of whoever allocated this block or object, innermost first: into `frames`, at most `most`.
 * Returns how many there are; 0: it is not traced. */
ARN_PUBLIC size_t arn_trace_traceback(const void *pointer, void **frames, size_t most);

/* ---- snapshots ---- */

/* What is traced, at one moment: for each traceback and type, how many and how much. Other threads run on
 * while it is taken. */
typedef struct arn_snapshot arn_snapshot;

/* NULL with ENOMEM; with EINVAL: tracing is off. */
ARN_PUBLIC arn_snapshot *arn_trace_snapshot(void);
ARN_PUBLIC void arn_trace_release(arn_snapshot *snapshot); /* NULL is none */

/* What a filter keeps, or leaves out: all that is so. A field that is 0 says nothing. */
struct arn_trace_filter {
    bool exclude;            /* leave out what is so */
    bool all_frames;         /* any frame, not only the innermost */
    const char *module;      /* in a module whose file name has this in it; static programs: none */
    const void *start, *end; /* at an address from `start` on, before `end` */
    const struct arn_type *type; /* objects of this type */
};

/* Of a snapshot, what one of the filters keeps (or all, if none is to keep any) and none leaves out. NULL
 * with ENOMEM. */
ARN_PUBLIC arn_snapshot *arn_trace_filter(const arn_snapshot *snapshot,
                                          const struct arn_trace_filter *filters, size_t count);

enum arn_trace_by {
    ARN_TRACE_BY_SITE,      /* the innermost frame */
    ARN_TRACE_BY_TRACEBACK, /* all frames */
    ARN_TRACE_BY_TYPE,      /* of objects; all blocks are one */
    ARN_TRACE_BY_MODULE,    /* the program or library of the innermost frame: its first address */
};

struct arn_trace_statistic {
    size_t bytes;
    size_t count;                /* blocks and objects */
    const struct arn_type *type; /* BY_TYPE; NULL: blocks */
    void *const *frames;         /* all but BY_TYPE; as long as the snapshot */
    size_t frame_count;
};

/* Most bytes first; into `found`, at most `most`. Returns how many there are; -1 with ENOMEM; with EINVAL: no
 * such way to group. */
ARN_PUBLIC long arn_trace_statistics(const arn_snapshot *snapshot, enum arn_trace_by by,
                                     struct arn_trace_statistic *found, size_t most);

struct arn_trace_difference {
    struct arn_trace_statistic now; /* in the newer one; its frames are of either */
    ptrdiff_t bytes_more;           /* than in the older one */
    ptrdiff_t count_more;
};

/* What has changed from one snapshot to another, and what has not: the largest difference in bytes first,
 * up or down. Else as arn_trace_statistics. */
ARN_PUBLIC long arn_trace_compare(const arn_snapshot *older, const arn_snapshot *newer,
                                  enum arn_trace_by by, struct arn_trace_difference *found,
                                  size_t most);

/* ---- text ---- */

/* The first `most` of these as lines of text to a file descriptor: a frame as MODULE+OFFSET, with
 * FUNCTION+OFFSET if the dynamic linker knows one. What cannot be written is lost. 0; -1 as above. */
ARN_PUBLIC int arn_trace_print(const arn_snapshot *snapshot, enum arn_trace_by by, size_t most,
                               int fd);
ARN_PUBLIC int arn_trace_print_compare(const arn_snapshot *older, const arn_snapshot *newer,
                                       enum arn_trace_by by, size_t most, int fd);

#ifdef __cplusplus
}
#pragma GCC diagnostic pop
#endif

#endif
