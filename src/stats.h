/* stats.h - counts blocks by looking at the descriptors: nothing is counted when they are handed out.
 *
 * Exact while no other thread allocates or frees; else a picture of a moving thing.
 */
#ifndef ARENITE_STATS_H
#define ARENITE_STATS_H

#include <arenite/arenite.h>

#include "options.h"
#include "size_class.h"

struct class_count {
    size_t pools;
    size_t used; /* blocks */
    size_t free; /* blocks carved and free */
    size_t left; /* blocks not carved yet */
};

struct census {
    struct class_count classes[CLASSES];
    size_t runs, run_bytes;        /* large blocks in slices of an arena */
    size_t spans, span_bytes;      /* large blocks of whole arenas */
    size_t maps, map_bytes;        /* large blocks in mappings of their own */
    size_t sampled, sampled_bytes; /* blocks in cells: see sampled.h */
    size_t object_bytes;           /* pools of objects, used or not */
    size_t dirty_bytes, opened_bytes, reserved_bytes, metadata_bytes;
    size_t heaps, idle_heaps;
};

/* False, and all zero, in a signal handler that interrupted the allocator. */
bool arn__census(struct census *census);

/* To what stderr was as the options were read. */
void arn__stats_print_last(void);

/* When the program ends. Inline: whoever did not ask for it reads no page of code. */
static inline void arn__stats_at_exit(void)
{
    if (arn__options.stats == STATS_EXIT)
        arn__stats_print_last();
}

#endif
