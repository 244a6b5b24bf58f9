/* type.h - what is known about a type of objects, and the header that names it. */
#ifndef ARENITE_OBJECT_TYPE_H
#define ARENITE_OBJECT_TYPE_H

#include <arenite/object.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HEADER_BYTES = sizeof(struct arn__header),
    REFERENCE_BYTES = sizeof(void *),
    TYPES_MOST = 1 << ARN__TYPE_BITS, /* number 0 is none's */
    TYPE_CHUNK_SHIFT = 10,            /* types in one piece of the table */
};

/* Flags of a header, above the type's number. */
/* Looked at by a full pass and not touched since: the count is the negative. */
#define OBJECT_CALM 0x80000000u
#define OBJECT_DEAD 0x40000000u /* free, or waiting to be released: see rc.h */
#define OBJECT_GENERATION 0x30000000u
#define OBJECT_UNTRACKED 0x08000000u /* no candidate of the collector */
#define OBJECT_FINALIZED 0x04000000u
#define OBJECT_WEAK 0x02000000u   /* there are weak references to it */
#define OBJECT_SHARED 0x01000000u /* counted atomically, below 0 */
#define OBJECT_TRACED \
    0x00800000u /* where it was made may be in the table of traces: see traced.h */
enum { GENERATION_SHIFT = 28, GENERATION_OLD = 2, GENERATION_FROZEN = 3 };

/* Counts at or below this are of immortal objects: so far below that no race of decrements leads out. */
enum { COUNT_IMMORTAL = -(1 << 30), COUNT_FAR_IMMORTAL = -0x7fffffff - 1 };

/* Constant once registered, but for the shelf. */
struct arn_type {
    const char *name;
    /* Where arn_new looks for the bin: its number; or no shelf, while all new objects are traced. */
    _Atomic uint32_t shelf;
    struct arn__header birth; /* of a new object */
    uint32_t number;
    struct arn_type_info info;
    size_t offsets[]; /* info.offsets */
};

/* NULL for a number that no type has. Any thread. */
struct arn_type *arn__type(uint32_t number);

/* New objects of any type take the slow path from now on, or no longer. */
void arn__types_hide(bool hidden);

/* In a forked child: nobody registers one any more. */
void arn__types_after_fork(void);

static inline struct arn__header *arn__header(const void *object)
{
    return ARN__HEADER(object);
}

/* relaxed: of shared objects, other threads change counts, and set OBJECT_WEAK; nothing else is told by
 * that. */
static inline int32_t arn__count_of(const struct arn__header *header)
{
    return __atomic_load_n(&header->count, __ATOMIC_RELAXED);
}

static inline uint32_t arn__kind_of(const struct arn__header *header)
{
    return __atomic_load_n(&header->kind, __ATOMIC_RELAXED);
}

/* For flags of objects that may be shared. */
static inline void arn__change_kind(struct arn__header *header, uint32_t without, uint32_t with)
{
    if (arn__kind_of(header) & OBJECT_SHARED) {
        __atomic_fetch_and(&header->kind, ~without, __ATOMIC_RELAXED);
        __atomic_fetch_or(&header->kind, with, __ATOMIC_RELAXED);
    } else {
        header->kind = (header->kind & ~without) | with;
    }
}

/* What a count says of an object that is neither dead nor immortal. */
static inline uint32_t arn__references(int32_t count)
{
    return count < 0 ? 0u - (uint32_t)count : (uint32_t)count;
}

static inline void arn__calm(struct arn__header *header)
{
    if (!(header->kind & OBJECT_CALM) && header->count < -COUNT_IMMORTAL) {
        header->kind |= OBJECT_CALM;
        header->count = -header->count;
    }
}

static inline void arn__uncalm(struct arn__header *header)
{
    if (header->kind & OBJECT_CALM) {
        header->kind &= ~OBJECT_CALM;
        header->count = -header->count;
    }
}

static inline uint32_t arn__type_number(uint32_t kind)
{
    return kind & (TYPES_MOST - 1);
}

static inline bool arn__type_is_array(const struct arn_type *type)
{
    return type->info.item_bytes > 0;
}

static inline unsigned arn__generation(uint32_t kind)
{
    return (kind & OBJECT_GENERATION) >> GENERATION_SHIFT;
}

/* Calls visit(referent, context) for each reference of an object that is not NULL. Inline: the collector's
 * inner loops are made of it. */
static inline __attribute__((always_inline)) void
arn__traverse(const struct arn_type *type, char *object, arn_visit *visit, void *context)
{
    const struct arn_type_info *info = &type->info;
    for (size_t i = 0; i < info->offset_count; i++) {
        void *referent = *(void **)(object + type->offsets[i]);
        if (referent != NULL)
            visit(referent, context);
    }
    if (info->shape == ARN_REFARRAY) {
        void **items = (void **)(object + info->bytes);
        size_t count = *(size_t *)(object + info->count_offset);
        for (size_t i = 0; i < count; i++) {
            if (items[i] != NULL)
                visit(items[i], context);
        }
    } else if (info->shape == ARN_CUSTOM) {
        info->traverse(object, visit, context);
    }
}

#endif
