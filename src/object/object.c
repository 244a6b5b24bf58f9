/* object.c - new objects, and what is kept in their headers. */
#include <errno.h>
#include <string.h>

#include "collector.h"
#include "rc.h"

/* A new object in this slot. */
static void *begin(struct bin *bin, char *object, size_t bytes)
{
    struct arn_type *type = bin->type;
    memset(object, 0, bytes);
    *arn__header(object) = type->birth;
    if (type->info.shape != ARN_LEAF) {
        bin->domain->objects++;
        bin->domain->collector.counts[0]++;
    }
    return object;
}

/* What does not fit the short way: no domain yet, no slot, a collection is due, others' dead to release. */
static __attribute__((noinline)) void *new_slow(struct arn_type *type, size_t bytes)
{
    struct arn_domain *domain = arn__domain_here();
    struct bin *bin = domain == NULL ? NULL : arn__domain_bin(domain, type, bytes);
    if (bin != NULL) {
        arn__rc_drain_remote(domain);
        if (type->info.shape != ARN_LEAF)
            arn__collector_due(domain);
        char *slot = bin->is_large ? arn__large_slot_take(bin, bytes)
                     : (bin->current->local.first || arn__bin_refill(bin)) ? arn__slot_take(bin)
                                                                           : NULL;
        if (slot != NULL) {
            if (bin->is_large && type->info.shape != ARN_LEAF)
                arn__domain_note(domain, arn__typed_pool(slot), EVENT_YOUNG);
            return begin(bin, slot, bytes);
        }
    }
    errno = ENOMEM;
    return NULL;
}

void *arn_new(arn_type *type)
{
    struct arn_domain *domain = arn__domain;
    if (__builtin_expect(arn__type_is_array(type), 0))
        return arn_new_array(type, 0);
    struct bin *bin;
    char *slot;
    if (__builtin_expect(type->number < domain->shelf_count &&
                             (bin = domain->shelves[type->number].bin) != NULL &&
                             domain->collector.counts[0] < domain->collector.due &&
                             (slot = arn__slot_take(bin)) != NULL,
                         1))
        return begin(bin, slot, type->info.bytes);
    return new_slow(type, type->info.bytes);
}

void *arn_new_array(arn_type *type, size_t count)
{
    size_t bytes;
    if (!arn__type_is_array(type) && count > 0) {
        errno = EINVAL;
        return NULL;
    }
    if (__builtin_mul_overflow(type->info.item_bytes, count, &bytes) ||
        __builtin_add_overflow(bytes, type->info.bytes, &bytes) || bytes > PTRDIFF_MAX / 2) {
        errno = ENOMEM;
        return NULL;
    }
    char *object = new_slow(type, bytes);
    if (object != NULL && type->info.shape == ARN_REFARRAY)
        memcpy(object + type->info.count_offset, &count, sizeof count);
    return object;
}

arn_type *arn_typeof(const void *object)
{
    return arn__type(arn__type_number(arn__header(object)->kind));
}

/* ---- tracking ---- */

void arn_track(void *object)
{
    struct descriptor *pool = arn__typed_pool(object);
    if (!arn__rc_is_object(pool, object, "arn_track") || arn_is_tracked(object) ||
        pool->bin->type->info.shape == ARN_LEAF)
        return;
    struct arn__header *header = arn__header(object);
    struct arn_domain *domain = pool->bin->domain;
    /* Young again. */
    arn__uncalm(header);
    header->kind &= ~(OBJECT_UNTRACKED | OBJECT_GENERATION);
    domain->collector.counts[0]++;
    arn__domain_note(domain, pool, EVENT_YOUNG);
}

void arn_untrack(void *object)
{
    struct descriptor *pool = arn__typed_pool(object);
    if (!arn__rc_is_object(pool, object, "arn_untrack") || !arn_is_tracked(object))
        return;
    struct collector *collector = &pool->bin->domain->collector;
    arn__uncalm(arn__header(object));
    arn__header(object)->kind |= OBJECT_UNTRACKED;
    if (collector->counts[0] > 0)
        collector->counts[0]--;
}

bool arn_is_tracked(const void *object)
{
    return !(arn__header(object)->kind & OBJECT_UNTRACKED);
}

bool arn_is_finalized(const void *object)
{
    return arn__header(object)->kind & OBJECT_FINALIZED;
}
