/* site.h - call sites: each traceback of each type once, with what there is from it now.
 *
 * A site is made when it is first needed, and stays until tracing stops; in a forked child of a process with
 * threads, until the fork: there are new ones then, and the old ones' memory is lost.
 */
#ifndef ARENITE_TRACE_SITE_H
#define ARENITE_TRACE_SITE_H

#include <arenite/trace.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arn_type;
struct line;

/* Who called: return addresses, the program's innermost first. */
struct traceback {
    unsigned epoch; /* of the tracing that it was taken for: see table.h */
    unsigned count; /* at least 1; a NULL frame: not known */
    void *frames[ARN_TRACE_FRAMES_MOST];
};

struct site {
    struct site *next;           /* in its bucket, made before; constant, as are type and frames */
    struct site *older;          /* of all, made before */
    const struct arn_type *type; /* NULL: of blocks. Begins with a pointer to its name */
    _Atomic size_t count, bytes; /* of what is traced to it now */
    uint32_t hash;
    uint32_t frame_count; /* last to be written: 0 in a forked child, it was not finished */
    void *frames[];
};

/* Fills in the frames of whoever called the library, at most as many as tracing is to keep. Preserves
 * errno. See arn__thread_take_traceback. */
void arn__traceback_take(struct traceback *traceback);

/* The same frames for whoever keeps them itself: how many, 0 if they are not known. */
unsigned arn__traceback_frames(void **frames, unsigned most);

/* Before and after this thread forks. `own`: it is in the unwinder, in a signal handler that interrupted it. In a
 * child that was forked without these, arn__traceback_after_fork alone. */
void arn__traceback_before_fork(bool own);
void arn__traceback_after_fork(bool own, bool is_child);

/* A frame as text: MODULE+OFFSET (FUNCTION+OFFSET), as far as that is known. */
void arn__line_frame(struct line *line, const void *frame);
void arn__line_module(struct line *line, const void *frame);

/* What the dynamic linker knows of an address; false: nothing, or there is none. */
bool arn__module_of(const void *address, Dl_info *info);

/* The site of a traceback and a type; NULL: no memory. */
struct site *arn__site(const struct arn_type *type, void *const *frames, unsigned count);

/* The last that was made; through `older` to all others. */
struct site *arn__sites_newest(void);

/* A function as backtrace(3). */
typedef int arn__unwinder(void **frames, int most);

/* What to leave out: code of the library. Where that is no module of its own, only entries can be told from
 * the program's: `module_start` is NULL. */
struct own_code {
    uintptr_t module_start, module_end;
    uintptr_t entries_start, entries_end;
};

/* Where the library lies. `caller` called it; NULL: not known. */
struct own_code arn__own_code(const void *caller);

/* Tracebacks can be taken from now on. The first unwinder and the first own code are kept. */
void arn__traceback_begin(arn__unwinder *unwind, const struct own_code *own);

/* Room for sites; false: no memory. The caller sees to it that nobody else is here. */
bool arn__sites_begin(unsigned frames, arn__unwinder *unwind, const struct own_code *own);
void arn__sites_end(void);

/* In a forked child: none are known any more. False: no memory for others. */
bool arn__sites_after_fork(void);

unsigned arn__sites_frames(void);

/* Memory for tracing: whole pages, zero; what is taken is counted. */
void *arn__trace_map(size_t bytes);
void arn__trace_unmap(void *start, size_t bytes);
size_t arn__trace_mapped_bytes(void);

#endif
