/* count.h - what a count says, and counting up: what releases nothing. */
#ifndef ARENITE_OBJECT_COUNT_H
#define ARENITE_OBJECT_COUNT_H

#include "diag.h"
#include "typed_pool.h"

/* The collector is to look at it: it may be all that is left of a cycle's outside references. False: that is
 * no object, and told of this function. */
bool arn__suspect(struct descriptor *pool, void *object, const char *function);

static inline bool arn__is_immortal(int32_t count)
{
    return count <= COUNT_IMMORTAL;
}

/* A link of the dead may look like that, too. */
static inline bool arn__is_immortal_object(const struct arn__header *header)
{
    return arn__is_immortal(arn__count_of(header)) && !(arn__kind_of(header) & OBJECT_DEAD);
}

static inline bool arn__is_calm(const struct arn__header *header)
{
    return (arn__kind_of(header) & (OBJECT_CALM | OBJECT_DEAD)) == OBJECT_CALM;
}

static inline _Atomic int32_t *arn__shared_count(void *object)
{
    return (_Atomic int32_t *)&arn__header(object)->count;
}

/* A shared object: what else comes to where only those are left is none, or has lost count. */
static inline bool arn__is_counted(const struct descriptor *pool, const void *object,
                                   const char *function)
{
    if (!arn__is_object(pool, object, function))
        return false;
    if (arn__kind_of(arn__header(object)) & OBJECT_SHARED)
        return true;
    arn__misuse_of(function, object, "its count is wrong", pool->bin->type_name);
    return false;
}

#endif
