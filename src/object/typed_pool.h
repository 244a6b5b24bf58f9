/* typed_pool.h - slots for the objects of one type and size in one domain.
 *
 * A typed pool is 1, 4 or 16 slices, or the whole of a large block that holds a single object; its descriptor
 * is that of its first slice. Nothing of it is in the objects' memory but the links of free slots:
 *
 *     slot   | header 8 | object ...        |     first_bytes into the pool, then every slot_bytes
 *     free   | DEAD, 0  | next free | ...
 *
 * Everything here is touched by who has the domain. A pool is its bin's current one (`needed` is far
 * above what it can hold), full (`needed` counts down to when it is worth allocating from), or partial
 * (`needed` is the number of its objects: at 0 it is given back).
 */
#ifndef ARENITE_OBJECT_TYPED_POOL_H
#define ARENITE_OBJECT_TYPED_POOL_H

#include "links.h"
#include "roster.h"
#include "type.h"

struct arn_domain;

/* Beside a pool's events: no event, but the list that it is in. */
enum { POOL_PARTIAL = 16 };
_Static_assert((POOL_PARTIAL & EVENTS) == 0, "bits of their own");

/* The pools of one type and size in one domain. */
struct bin {
    /* First: the core names it in what it says of misuse. */
    const char *type_name;
    struct arn_type *type;
    struct arn_domain *domain;
    struct roster *roster;      /* the domain's */
    struct descriptor *current; /* never NULL: one without a slot stands for none */
    struct descriptor *partial; /* through next and prev */
    uint64_t inverse;           /* 2^40 / slot_bytes, rounded up: see arn__slot_of */
    size_t slot_bytes;
    size_t pool_bytes; /* with all slots; of a large bin: of the slice that the object begins in */
    uint32_t first_bytes; /* from the pool's start to its first object */
    uint16_t capacity;
    uint8_t class_idx;            /* whose pools have as many slices */
    bool is_large;                /* one object each */
    size_t objects, object_bytes; /* while arn_type_histogram counts */
    struct bin *next;             /* all of the domain's */
};

/* A pool that has no slot, for bins without a current one. */
extern struct descriptor arn__no_typed_pool;

/* For an object of so many bytes, without regard to alignment: a free slot has a link behind its header. */
static inline size_t arn__slot_bytes_for(size_t bytes)
{
    return HEADER_BYTES + (bytes < sizeof(void *) ? sizeof(void *) : bytes);
}

/* What a new object is to the collector: of a type that is no leaf. */
static inline unsigned arn__birth_events(const struct arn_type *type)
{
    return type->info.shared ? EVENT_NEW | EVENT_SHARED : EVENT_NEW;
}

/* For objects of `bytes`, without the header. Fills in the shape; the rest is the domain's. */
void arn__bin_shape(struct bin *bin, struct arn_type *type, size_t bytes);

/* ---- looking ---- */

/* The pool of an object: for any pointer a descriptor, which may be no pool's. */
static inline struct descriptor *arn__typed_pool(const void *object)
{
    return arn__head(arn__descriptor(object));
}

static inline char *arn__typed_pool_base(const struct bin *bin, const void *object)
{
    return (char *)((uintptr_t)object & ~(uintptr_t)(bin->pool_bytes - 1));
}

/* Exact for offsets below 2^18, as Lemire et al. show (2019): the error is below offset / 2^40. */
static inline uint32_t arn__slot_of(const struct bin *bin, const void *object)
{
    size_t offset =
        (size_t)((const char *)object - arn__typed_pool_base(bin, object)) - bin->first_bytes;
    return (uint32_t)(offset * bin->inverse >> 40);
}

static inline char *arn__slot(const struct bin *bin, char *base, uint32_t slot)
{
    return base + bin->first_bytes + (size_t)slot * bin->slot_bytes;
}

/* Is this the start of a slot that has ever been used? Of a pool of this bin. */
static inline bool arn__slot_starts(const struct descriptor *pool, const void *object)
{
    const struct bin *bin = pool->bin;
    char *base = arn__typed_pool_base(bin, object);
    if ((uintptr_t)object < (uintptr_t)base + bin->first_bytes ||
        (bin->is_large && arn__descriptor(object) != pool))
        return false;
    uint32_t slot = arn__slot_of(bin, object);
    return slot < pool->carved && arn__slot(bin, base, slot) == object;
}

/* An object; if not, that is told, of this function. `pool` is its typed pool. */
void arn__tell_no_object(const struct descriptor *pool, const void *object, const char *function);

static inline bool arn__is_object(const struct descriptor *pool, const void *object,
                                  const char *function)
{
    if (__builtin_expect(arn__has_tract(object) && arn__holds_objects(pool) &&
                             arn__slot_starts(pool, object) &&
                             !(arn__kind_of(arn__header(object)) & OBJECT_DEAD),
                         1))
        return true;
    arn__tell_no_object(pool, object, function);
    return false;
}

/* Calls `visit` for every object of a pool that is not dead: in order of addresses. */
static inline __attribute__((always_inline)) void arn__objects_each(
    struct descriptor *pool, char *base,
    void (*visit)(struct descriptor *pool, uint32_t slot, char *object, void *context),
    void *context)
{
    const struct bin *bin = pool->bin;
    char *object = base + bin->first_bytes;
    for (uint32_t slot = 0; slot < pool->carved; slot++, object += bin->slot_bytes) {
        if ((arn__kind_of(arn__header(object)) & OBJECT_DEAD) == 0)
            visit(pool, slot, object, context);
    }
}

/* ---- taking and putting ---- */

/* When the next free slot is none, or was overwritten. NULL: the pool has none. */
char *arn__slot_take_last(struct descriptor *pool);

/* NULL: the current pool has none. The slot's header and memory are what they were. */
static inline char *arn__slot_take(struct bin *bin)
{
    struct descriptor *pool = bin->current;
    char *slot = (char *)pool->local.first;
    struct block *next;
    if (__builtin_expect(!arn__link_read(((struct block *)slot)->link, &next), 0))
        return arn__slot_take_last(pool);
    pool->local.first = next;
    pool->live++;
    return slot;
}

/* Sees to it that the bin's current pool has a free slot. False: no memory, or the domain's limit. */
bool arn__bin_refill(struct bin *bin);

/* A pool of its own for one large object; NULL: no memory. Its slot. */
char *arn__large_slot_take(struct bin *bin, size_t bytes);

/* The countdown of a pool has ended. */
void arn__typed_pool_settle(struct descriptor *pool);

/* Gives back the pools without objects: current ones, and what became empty while none was to leave. */
void arn__typed_pools_drop_empty(struct roster *roster);

/* A slot back; its object is gone. */
static inline void arn__slot_put(struct descriptor *pool, char *slot)
{
    struct arn__header *header = arn__header(slot);
    header->count = 0;
    header->kind = OBJECT_DEAD;
    pool->live--;
    if (__builtin_expect(pool->bin->is_large, 0)) {
        arn__typed_pool_settle(pool);
        return;
    }
    ((struct block *)slot)->link = arn__link_to(pool->local.first);
    pool->local.first = (struct block *)slot;
    if (__builtin_expect(--pool->local.needed == 0, 0))
        arn__typed_pool_settle(pool);
}

/* Gives a pool back, whatever is in it. */
void arn__typed_pool_release(struct descriptor *pool);

#endif
