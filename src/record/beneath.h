/* beneath.h - the allocator under the recorder: for each name, what the dynamic linker would have
 * bound it to without the recorder. */
#ifndef ARENITE_RECORD_BENEATH_H
#define ARENITE_RECORD_BENEATH_H

#include <stdbool.h>
#include <stddef.h>

struct beneath {
    void *(*malloc)(size_t bytes);
    void *(*calloc)(size_t count, size_t bytes);
    void *(*realloc)(void *block, size_t bytes);
    void (*free)(void *block);
    void *(*memalign)(size_t alignment, size_t bytes);
    void *(*aligned_alloc)(size_t alignment, size_t bytes);
    int (*posix_memalign)(void **block, size_t alignment, size_t bytes);
    void *(*valloc)(size_t bytes);
    void *(*pvalloc)(size_t bytes);
};

/* NULL: this thread is looking for them, and the search itself asks for memory. */
const struct beneath *beneath(void);

/* Zeroed memory for that search, or NULL. It is never given back. */
void *beneath_spare(size_t bytes);
bool beneath_is_spare(const void *block);

/* What of a spare block there is to copy, at most. */
size_t beneath_spare_bytes(const void *block);

#endif
