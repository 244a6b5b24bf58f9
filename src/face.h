/* face.h - what the names that programs call are made of: raw blocks, or the checked ones of the hardened build. */
#ifndef ARENITE_FACE_H
#define ARENITE_FACE_H

#include <errno.h>

#include "alloc.h"
#include "checked.h"

static inline void *arn__take(size_t bytes, enum origin origin)
{
    return CHECKED_BLOCKS ? arn__checked_malloc(bytes, origin) : arn__malloc(bytes);
}

/* NULL with ENOMEM, or with EINVAL if `alignment` is no power of two. */
static inline void *arn__take_aligned(size_t alignment, size_t bytes, enum origin origin)
{
    return CHECKED_BLOCKS ? arn__checked_aligned(alignment, bytes, origin)
                          : arn__aligned(alignment, bytes);
}

static inline void *arn__take_zeroed(size_t count, size_t bytes)
{
    return CHECKED_BLOCKS ? arn__checked_calloc(count, bytes) : arn__calloc(count, bytes);
}

static inline void *arn__take_again(void *block, size_t bytes, const char *function)
{
    return CHECKED_BLOCKS ? arn__checked_realloc(block, bytes, function)
                          : arn__realloc(block, bytes, function);
}

static inline size_t arn__taken_bytes(void *block, const char *function)
{
    return CHECKED_BLOCKS ? arn__checked_usable(block, function) : arn__usable(block, function);
}

/* `function` is named when it turns out to be misuse. */
static inline void arn__give(void *block, const char *function)
{
    if (CHECKED_BLOCKS)
        arn__checked_free(block, function);
    else
        arn__free(block, function);
}

static inline void arn__give_as(void *block, const char *function, struct claim claim)
{
    if (CHECKED_BLOCKS)
        arn__checked_free_as(block, function, claim);
    else if (claim.bytes == SIZE_UNTOLD ||
             arn__may_have(block, claim.bytes, claim.alignment, function))
        arn__free(block, function);
}

#endif
