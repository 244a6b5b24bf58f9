/* count.c - counting up, sharing, and what is never counted again. */
#include "count.h"

#include <sys/single_threaded.h>

bool arn__suspect(struct descriptor *pool, void *object, const char *function)
{
    if (!arn__is_object(pool, object, function))
        return false;
    arn__uncalm(arn__header(object));
    arn__roster_note(pool->bin->roster, pool, EVENT_SUSPECT);
    return true;
}

static void incref_shared(void *object)
{
    _Atomic int32_t *count = arn__shared_count(object);
    if (__libc_single_threaded)
        atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) - 1,
                              memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

void arn_incref_slow(void *object)
{
    struct arn__header *header = arn__header(object);
    if (arn__is_calm(header)) {
        if (arn__suspect(arn__typed_pool(object), object, "arn_incref"))
            header->count++;
    } else if (!arn__is_immortal_object(header) &&
               arn__is_counted(arn__typed_pool(object), object, "arn_incref")) {
        incref_shared(object);
    }
}

size_t arn_refcount(const void *object)
{
    int32_t count = arn__count_of(arn__header(object));
    if (arn__is_immortal(count))
        return ARN_IMMORTAL;
    return count < 0 ? (size_t) - (int64_t)count : (size_t)count;
}

static bool is_dead(const struct arn__header *header)
{
    /* acquire: see link_dead and say_farewell. */
    return __atomic_load_n(&header->kind, __ATOMIC_ACQUIRE) & OBJECT_DEAD;
}

/* Between its death and its end a header holds a link where the count was, and OBJECT_DEAD is set before
 * that and taken away after. A count that is none is seen by its having changed, or as dead. */
static bool try_incref_shared(struct arn__header *header)
{
    for (;;) {
        int32_t count = __atomic_load_n(&header->count, __ATOMIC_ACQUIRE);
        if (count >= 0 || is_dead(header))
            return false;
        if (!arn__is_immortal(count)) {
            if (__atomic_compare_exchange_n(&header->count, &count, count - 1, true,
                                            __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                return true;
        } else if (__atomic_load_n(&header->count, __ATOMIC_ACQUIRE) == count && !is_dead(header)) {
            return true;
        }
    }
}

bool arn_try_incref(void *object)
{
    struct arn__header *header = arn__header(object);
    uint32_t kind = arn__kind_of(header);
    if (kind & OBJECT_SHARED)
        return try_incref_shared(header);
    if ((kind & OBJECT_DEAD) || arn__count_of(header) == 0)
        return false;
    arn_incref(object);
    return true;
}

void arn_immortalize(void *object)
{
    if (!arn__is_object(arn__typed_pool(object), object, "arn_immortalize"))
        return;
    arn__uncalm(arn__header(object));
    __atomic_store_n(&arn__header(object)->count, COUNT_FAR_IMMORTAL, __ATOMIC_RELAXED);
}

void arn_share(void *object)
{
    struct arn__header *header = arn__header(object);
    struct descriptor *pool = arn__typed_pool(object);
    if (!arn__is_object(pool, object, "arn_share"))
        return;
    arn__uncalm(header);
    if (header->count < 0)
        return;
    header->kind |= OBJECT_SHARED;
    header->count = -header->count;
    if (!(header->kind & OBJECT_UNTRACKED))
        arn__roster_note(pool->bin->roster, pool, EVENT_SHARED);
}
