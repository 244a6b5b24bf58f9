/* arenite.h - the allocator under names of its own, for programs that link it beside another.
 *
 * The functions that share a name with one of libc's behave as that one does, errors and errno
 * included; blocks of the two must not be mixed unless arenite's malloc is also the program's (it
 * is preloaded, or its object is linked first), in which case they are the same.
 *
 * Sizes are in bytes. "No memory" is NULL with errno ENOMEM. Misuse (a pointer that is no block's
 * start, a block freed twice) is one line on stderr and abort(), unless the options say otherwise.
 * See arenite(3), and arenite(7) for the options.
 */
#ifndef ARENITE_ARENITE_H
#define ARENITE_ARENITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
/* Functions and the structures that they fill in share names. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#endif

#if defined(__GNUC__)
#define ARN_MALLOC __attribute__((malloc, warn_unused_result))
#define ARN_PUBLIC __attribute__((visibility("default")))
#else
#define ARN_MALLOC
#define ARN_PUBLIC
#endif

ARN_PUBLIC ARN_MALLOC void *arn_malloc(size_t bytes);
ARN_PUBLIC ARN_MALLOC void *arn_calloc(size_t count, size_t bytes);
ARN_PUBLIC void *arn_realloc(void *block, size_t bytes);
ARN_PUBLIC void *arn_reallocarray(void *block, size_t count, size_t bytes);
ARN_PUBLIC void arn_free(void *block);
ARN_PUBLIC void arn_free_sized(void *block, size_t bytes);
ARN_PUBLIC void arn_free_aligned_sized(void *block, size_t alignment, size_t bytes);
ARN_PUBLIC ARN_MALLOC void *arn_aligned_alloc(size_t alignment, size_t bytes);
ARN_PUBLIC int arn_posix_memalign(void **block, size_t alignment, size_t bytes);
ARN_PUBLIC ARN_MALLOC void *arn_memalign(size_t alignment, size_t bytes);
ARN_PUBLIC ARN_MALLOC void *arn_valloc(size_t bytes);
ARN_PUBLIC ARN_MALLOC void *arn_pvalloc(size_t bytes);

/* Bytes that the block holds, at least what was asked for; 0 for NULL. */
ARN_PUBLIC size_t arn_malloc_usable_size(void *block);

/* Gives free memory back to the OS but for `keep_bytes`; 1 if anything was given back. */
ARN_PUBLIC int arn_malloc_trim(size_t keep_bytes);

/* Where the memory is, in bytes. Other threads run on while it is counted. Not for signal handlers:
 * all is zero in one that interrupted the allocator. */
struct arn_stats {
    size_t used_bytes; /* blocks that the program holds, at their usable sizes */
    size_t used_blocks;
    size_t free_bytes;  /* free blocks in pools, and the pools' untouched rest */
    size_t dirty_bytes; /* free slices whose pages are still here: what a trim gives back */
    size_t map_bytes;   /* of used_bytes: blocks that are mappings of their own */
    size_t map_blocks;
    size_t opened_bytes;   /* of arenas, used or not, that are accessible */
    size_t reserved_bytes; /* address space reserved for arenas */
    size_t metadata_bytes; /* descriptors of the opened arenas, heaps, tables */
    size_t object_bytes;   /* pools of objects (arenite/object.h), used or not; not in used_bytes */
    size_t heaps;          /* threads' heaps made so far */
    size_t idle_heaps;     /* of these: waiting for a thread */
};

ARN_PUBLIC void arn_stats(struct arn_stats *stats);

/* The same as a few lines of text to a file descriptor. */
ARN_PUBLIC void arn_stats_print(int fd);

/* "MAJOR.MINOR.PATCH" of the library that runs. */
ARN_PUBLIC const char *arn_version(void);

#ifdef __cplusplus
}
#pragma GCC diagnostic pop
#endif

#endif
