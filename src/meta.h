/* meta.h - memory for the allocator's own structures: never given back, zeroed. */
#ifndef ARENITE_META_H
#define ARENITE_META_H

#include <stddef.h>

/* Aligned to a cache line; NULL when the system has no more. */
void *arn__meta_alloc(size_t bytes);

/* Bytes taken from the OS so far. */
size_t arn__meta_bytes(void);

/* In a forked child: the parent's other threads may have been at work here. */
void arn__meta_after_fork(void);

#endif
