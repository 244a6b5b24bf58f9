/* type.c - the table of types: pieces that never move, so that reading needs no lock. */
#include "type.h"

#include <errno.h>
#include <string.h>

#include "face.h"
#include "lock.h"
#include "meta.h"

enum {
    CHUNK_TYPES = 1 << TYPE_CHUNK_SHIFT,
    CHUNKS = TYPES_MOST / CHUNK_TYPES,
    ALIGNMENT_MOST = 4096
};

static const uint32_t no_shelf = UINT32_MAX;

static struct lock types_lock;
extern struct arn_type *_Atomic *_Atomic arn__type_chunks[CHUNKS];
ARN__LAID_LAST struct arn_type *_Atomic *_Atomic arn__type_chunks[CHUNKS];
static _Atomic uint32_t types;
static bool types_hidden; /* under the lock */

struct arn_type *arn__type(uint32_t number)
{
    /* acquire: pairs with the releases of add. */
    struct arn_type *_Atomic *chunk =
        atomic_load_explicit(&arn__type_chunks[number >> TYPE_CHUNK_SHIFT], memory_order_acquire);
    return chunk == NULL ? NULL
                         : atomic_load_explicit(&chunk[number % CHUNK_TYPES], memory_order_acquire);
}

static bool offset_fits(size_t offset, size_t bytes, size_t field_bytes)
{
    return offset % field_bytes == 0 && bytes >= field_bytes && offset <= bytes - field_bytes;
}

static bool is_valid(const struct arn_type_info *info)
{
    if (info->name == NULL || info->bytes > PTRDIFF_MAX / 2 || info->item_bytes > PTRDIFF_MAX / 2)
        return false;
    if ((info->alignment & (info->alignment - 1)) != 0 || info->alignment > ALIGNMENT_MOST)
        return false;
    if (info->offset_count > 0 && info->offsets == NULL)
        return false;
    for (size_t i = 0; i < info->offset_count; i++) {
        if (!offset_fits(info->offsets[i], info->bytes, REFERENCE_BYTES))
            return false;
    }
    switch (info->shape) {
    case ARN_LEAF:
        return info->offset_count == 0;
    case ARN_FIXED:
        return true;
    case ARN_REFARRAY:
        return (info->item_bytes == 0 || info->item_bytes == REFERENCE_BYTES) &&
               info->bytes % REFERENCE_BYTES == 0 &&
               offset_fits(info->count_offset, info->bytes, sizeof(size_t));
    case ARN_CUSTOM:
        return info->traverse != NULL && info->clear != NULL && info->offset_count == 0;
    default:
        return false;
    }
}

/* A copy of all that was said, in memory that is never given back. */
static struct arn_type *copy_of(const struct arn_type_info *info)
{
    size_t name_bytes = strlen(info->name) + 1;
    size_t offsets_bytes = info->offset_count * sizeof *info->offsets;
    struct arn_type *type = arn__take(sizeof *type + offsets_bytes + name_bytes, ORIGIN_MALLOC);
    if (type == NULL)
        return NULL;
    char *name = (char *)type->offsets + offsets_bytes;
    memcpy(name, info->name, name_bytes);
    if (offsets_bytes > 0)
        memcpy(type->offsets, info->offsets, offsets_bytes);
    type->info = *info;
    type->info.name = type->name = name;
    type->info.offsets = type->offsets;
    if (info->alignment < HEADER_BYTES)
        type->info.alignment = HEADER_BYTES;
    if (info->shape == ARN_REFARRAY)
        type->info.item_bytes = REFERENCE_BYTES;
    return type;
}

void arn__types_after_fork(void)
{
    arn__lock_reset(&types_lock);
}

void arn__types_hide(bool hidden)
{
    arn__lock(&types_lock, RANK_TYPES);
    types_hidden = hidden;
    for (uint32_t i = 1; i <= atomic_load_explicit(&types, memory_order_relaxed); i++)
        atomic_store_explicit(&arn__type(i)->shelf, hidden ? no_shelf : i, memory_order_relaxed);
    arn__unlock(&types_lock, RANK_TYPES);
}

/* Gives the type a number; 0: no memory. */
static uint32_t add(struct arn_type *type)
{
    uint32_t number = atomic_load_explicit(&types, memory_order_relaxed) + 1;
    if (number >= TYPES_MOST)
        return 0;
    struct arn_type *_Atomic *chunk =
        atomic_load_explicit(&arn__type_chunks[number >> TYPE_CHUNK_SHIFT], memory_order_relaxed);
    if (chunk == NULL) {
        /* No block: while blocks are traced, that would walk up the stack, under the lock. */
        chunk = arn__meta_alloc(CHUNK_TYPES * sizeof *chunk);
        if (chunk == NULL)
            return 0;
        atomic_store_explicit(&arn__type_chunks[number >> TYPE_CHUNK_SHIFT], chunk, memory_order_release);
    }
    type->number = number;
    atomic_store_explicit(&type->shelf, types_hidden ? no_shelf : number, memory_order_relaxed);
    type->birth.count = type->info.shared ? -1 : 1;
    type->birth.kind = number | (type->info.shape == ARN_LEAF ? OBJECT_UNTRACKED : 0) |
                       (type->info.shared ? OBJECT_SHARED : 0);
    atomic_store_explicit(&chunk[number % CHUNK_TYPES], type, memory_order_release);
    atomic_store_explicit(&types, number, memory_order_release);
    return number;
}

arn_type *arn_type_register(const struct arn_type_info *info)
{
    if (!is_valid(info)) {
        errno = EINVAL;
        return NULL;
    }
    struct arn_type *type = copy_of(info);
    if (type == NULL)
        return NULL;
    arn__lock(&types_lock, RANK_TYPES);
    uint32_t number = add(type);
    arn__unlock(&types_lock, RANK_TYPES);
    if (number == 0) {
        arn_free(type);
        errno = ENOMEM;
        return NULL;
    }
    return type;
}

const char *arn_type_name(const arn_type *type)
{
    return type->name;
}
