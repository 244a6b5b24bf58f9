/* object.c - new objects, and what is kept in their headers. */
#include <errno.h>
#include <string.h>

#include "collector.h"
#include "os.h"
#include "rc.h"
#include "tenancy.h"
#include "traced.h"

/* A call costs more than what it does for so few bytes. */
enum { FEW_BYTES = 64 };

static inline void zero(char *object, size_t bytes)
{
    if (bytes > FEW_BYTES) {
        memset(object, 0, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i += HEADER_BYTES) /* which slots are multiples of */
        memset(object + i, 0, HEADER_BYTES);
}

/* A new object in this slot. */
static inline void *begin(struct bin *bin, char *object, size_t bytes)
{
    struct arn_type *type = bin->type;
    zero(object, bytes);
    *arn__header(object) = type->birth;
    if (type->info.shape != ARN_LEAF) {
        bin->domain->objects++;
        bin->domain->collector.counts[0]++;
    }
    return object;
}

static char *take_slot(struct bin *bin, size_t bytes)
{
    if (bin->is_large)
        return arn__large_slot_take(bin, bytes);
    return bin->current->local.first != arn__link_end() || arn__bin_refill(bin) ? arn__slot_take(bin) : NULL;
}

/* What does not fit the short way: no domain yet, no slot, a collection is due, others' dead to release.
 * Without memory, or at the domain's limit, garbage may be what is in the way. */
static void *make(struct arn_type *type, size_t bytes)
{
    struct arn_domain *domain = arn__domain_here();
    struct bin *bin = domain == NULL ? NULL : arn__domain_bin(domain, type, bytes);
    if (bin != NULL) {
        bool tracked = type->info.shape != ARN_LEAF;
        arn__rc_drain_remote(domain);
        if (tracked)
            arn__collector_due(domain);
        char *slot = take_slot(bin, bytes);
        if (slot == NULL && arn__collector_reclaim(domain))
            slot = take_slot(bin, bytes);
        if (slot != NULL) {
            if (bin->is_large && tracked)
                arn__roster_note(&domain->roster, arn__typed_pool(slot), arn__birth_events(type));
            return begin(bin, slot, bytes);
        }
    }
    errno = ENOMEM;
    return NULL;
}

/* Apart: a traceback takes more of the stack than all the rest. */
ARN__ENTRY static __attribute__((noinline)) void *new_traced(struct arn_type *type, size_t bytes)
{
    struct traceback traceback;
    bool taken = arn__thread_take_traceback(&traceback);
    void *object = make(type, bytes);
    if (object != NULL && taken)
        arn__object_trace(object, &traceback);
    return object;
}

ARN__ENTRY static __attribute__((noinline)) void *new_slow(struct arn_type *type, size_t bytes)
{
    return arn__traces(ARN_TRACE_OBJECTS) ? new_traced(type, bytes) : make(type, bytes);
}

/* The short way; NULL: there is more to do. */
static inline void *new_in_bin(struct bin *bin, size_t bytes)
{
    char *slot;
    if (__builtin_expect(bin != NULL &&
                             bin->domain->collector.counts[0] < bin->domain->collector.due &&
                             (slot = arn__slot_take(bin)) != NULL,
                         1))
        return begin(bin, slot, bytes);
    return NULL;
}

/* Of this thread's domain; NULL: none yet. */
static inline union shelf *shelf_of(const struct arn_type *type)
{
    struct arn_domain *domain = arn__domain;
    uint32_t shelf = ARN__PEEK(type->shelf); /* relaxed: see arn__traces */
    return shelf < domain->shelf_count ? &domain->shelves[shelf] : NULL;
}

ARN__ENTRY void *arn_new(arn_type *type)
{
    if (__builtin_expect(arn__type_is_array(type), 0))
        return arn_new_array(type, 0);
    union shelf *shelf = shelf_of(type);
    void *object = new_in_bin(shelf == NULL ? NULL : shelf->bin, type->info.bytes);
    return object != NULL ? object : new_slow(type, type->info.bytes);
}

/* As arn__bin_shape has it for the commonest alignment. */
static inline struct bin *small_array_bin(const struct arn_type *type, size_t bytes)
{
    union shelf *shelf = shelf_of(type);
    if (shelf == NULL || shelf->by_class == NULL || type->info.alignment > HEADER_BYTES)
        return NULL;
    unsigned class_idx = arn__class_of(arn__slot_bytes_for(bytes));
    return class_idx == NO_CLASS ? NULL : shelf->by_class[class_idx];
}

ARN__ENTRY void *arn_new_array(arn_type *type, size_t count)
{
    size_t bytes;
    if (!arn__type_is_array(type) && count > 0) {
        errno = EINVAL;
        return NULL;
    }
    if (__builtin_mul_overflow(type->info.item_bytes, count, &bytes) ||
        __builtin_add_overflow(bytes, type->info.bytes, &bytes) ||
        bytes >= ARN__ADDRESS_SPACE_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    char *object = new_in_bin(small_array_bin(type, bytes), bytes);
    if (object == NULL)
        object = new_slow(type, bytes);
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
    if (!arn__is_object(pool, object, "arn_track") || arn_is_tracked(object) ||
        pool->bin->type->info.shape == ARN_LEAF)
        return;
    struct arn__header *header = arn__header(object);
    struct arn_domain *domain = pool->bin->domain;
    /* Young again. */
    arn__uncalm(header);
    arn__change_kind(header, OBJECT_UNTRACKED | OBJECT_GENERATION, 0);
    domain->collector.counts[0]++;
    arn__roster_note(&domain->roster, pool,
                     arn__kind_of(header) & OBJECT_SHARED ? EVENT_SHARED : EVENT_NEW);
}

void arn_untrack(void *object)
{
    struct descriptor *pool = arn__typed_pool(object);
    if (!arn__is_object(pool, object, "arn_untrack") || !arn_is_tracked(object))
        return;
    struct collector *collector = &pool->bin->domain->collector;
    arn__uncalm(arn__header(object));
    arn__change_kind(arn__header(object), 0, OBJECT_UNTRACKED);
    if (collector->counts[0] > 0)
        collector->counts[0]--;
}

bool arn_is_tracked(const void *object)
{
    return !(arn__kind_of(arn__header(object)) & OBJECT_UNTRACKED);
}

bool arn_is_finalized(const void *object)
{
    return arn__kind_of(arn__header(object)) & OBJECT_FINALIZED;
}
