/* typed_pool.c - carving, filling and giving back; under who has the domain, and the arena lock below. */
#include "typed_pool.h"

#include "arena.h"
#include "diag.h"
#include "large.h"
#include "purge.h"
#include "thread.h"

enum {
    CARVE_STRIDE = 4096,           /* bytes of the pool that one carve may begin slots in */
    NEEDED_CURRENT_POOL = 1 << 30, /* no countdown */
    INVERSE_SHIFT = 40,
};

struct descriptor arn__no_typed_pool = {.local = {(struct block *)&arn__no_block, 0}};

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) & ~(unit - 1);
}

void arn__bin_shape(struct bin *bin, struct arn_type *type, size_t bytes)
{
    size_t alignment = type->info.alignment;
    /* A free slot has a link behind its header. */
    size_t slot_bytes = round_up(arn__slot_bytes_for(bytes), alignment);
    unsigned class_idx = arn__class_of(slot_bytes);
    bin->type_name = type->name;
    bin->type = type;
    bin->first_bytes = (uint32_t)(alignment > HEADER_BYTES ? alignment : HEADER_BYTES);
    bin->is_large = class_idx == NO_CLASS;
    if (!bin->is_large && arn__type_is_array(type)) /* arrays of a few lengths share their pools */
        slot_bytes = round_up(arn__size_classes[class_idx].block_bytes, alignment);
    bin->slot_bytes = slot_bytes;
    bin->class_idx = bin->is_large ? 0 : (uint8_t)class_idx;
    bin->pool_bytes = (size_t)arn__size_classes[bin->class_idx].slices * SLICE_BYTES;
    bin->capacity =
        bin->is_large
            ? 1
            : (uint16_t)((bin->pool_bytes - bin->first_bytes + HEADER_BYTES) / slot_bytes);
    bin->inverse = bin->is_large ? 0 : ((uint64_t)1 << INVERSE_SHIFT) / slot_bytes + 1;
}

void arn__tell_no_object(const struct descriptor *pool, const void *object, const char *function)
{
    if (!arn__holds_objects(pool) || !arn__slot_starts(pool, object))
        arn__misuse(function, object, "not an object");
    else
        arn__misuse_of(function, object, "released already", pool->bin->type_name);
}

/* ---- carving ---- */

static bool carve(struct descriptor *pool, char *base)
{
    const struct bin *bin = pool->bin;
    unsigned left = (unsigned)bin->capacity - pool->carved;
    if (left == 0)
        return false;
    char *first = arn__slot(bin, base, pool->carved);
    size_t to_page = CARVE_STRIDE - ((uintptr_t)first & (CARVE_STRIDE - 1));
    unsigned count = (unsigned)((to_page + bin->slot_bytes - 1) / bin->slot_bytes);
    if (count > left)
        count = left;
    size_t before = arn__carved_bytes(pool);
    struct block *next = pool->local.first;
    for (unsigned i = count; i-- > 0;) {
        char *slot = first + (size_t)i * bin->slot_bytes;
        *arn__header(slot) = (struct arn__header){.count = 0, .kind = OBJECT_DEAD};
        ((struct block *)slot)->link = arn__link_to(next);
        next = (struct block *)slot;
    }
    pool->local.first = next;
    pool->carved = (uint16_t)(pool->carved + count);
    atomic_fetch_add_explicit(&arn__arena_totals.carved_bytes, arn__carved_bytes(pool) - before,
                              memory_order_relaxed);
    return true;
}

/* The list has ended, unless the slot was overwritten: then what follows it is lost. */
char *arn__slot_take_last(struct descriptor *pool)
{
    char *slot = (char *)pool->local.first;
    if (pool->local.first == arn__link_end())
        return NULL;
    arn__misuse_of("arn_new", slot, "overwritten after it was released, or past the end of the object before",
                   pool->bin->type_name);
    pool->local.first = arn__link_end();
    pool->live++;
    return slot;
}

/* ---- pools from the arenas ---- */

static bool make_room(struct heap *heap)
{
    bool released = heap->spares.count > 0;
    arn__spares_free_all(&heap->spares);
    released = arn__large_release() > 0 || released;
    return arn__purge_to(0) || released;
}

static struct descriptor *create(struct bin *bin)
{
    unsigned slices = arn__size_classes[bin->class_idx].slices;
    if (!arn__roster_admit(bin->roster, bin->pool_bytes))
        return NULL;
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return NULL; /* a signal handler that interrupted the allocator */
    char *base = arn__slices_take(slices, true);
    if (base == NULL && make_room(heap))
        base = arn__slices_take(slices, true);
    struct descriptor *pool = NULL;
    if (base != NULL) {
        pool = arn__descriptor(base);
        pool->local.first = arn__link_end();
        pool->local.needed = NEEDED_CURRENT_POOL;
        pool->carved = pool->live = pool->events = 0;
        pool->pass_idx = 0; /* a pool of blocks has left its frees_to there */
        pool->next = pool->prev = NULL;
        for (unsigned i = 0; i < slices; i++) {
            struct descriptor *d = &pool[i];
            d->bin = bin;
            d->class_idx = bin->class_idx;
            /* Last: for a child forked in between. */
            atomic_store_explicit(&d->kind_flags, KIND_OBJECTS, memory_order_release);
        }
        atomic_fetch_add_explicit(&arn__arena_totals.pool_bytes, arn__room_bytes(pool),
                                  memory_order_relaxed);
        arn__roster_join(bin->roster, pool, base, bin->pool_bytes);
        carve(pool, base);
    }
    arn__thread_leave(heap);
    return pool;
}

/* As of a pool of blocks: no copy of a link, or of a dead object's header, is left. */
static void clear_slots(struct descriptor *pool, char *base)
{
    for (unsigned i = 0; i < pool->carved; i++) {
        char *slot = arn__slot(pool->bin, base, i);
        *arn__header(slot) = (struct arn__header){0};
        ((struct block *)slot)->link = 0;
    }
}

static void release_slices(struct descriptor *pool, char *base)
{
    const struct bin *bin = pool->bin;
    clear_slots(pool, base);
    unsigned slices = arn__size_classes[bin->class_idx].slices;
    size_t carved_bytes = (size_t)pool->carved * bin->slot_bytes + bin->first_bytes;
    unsigned touched = (unsigned)((carved_bytes + SLICE_BYTES - 1) / SLICE_BYTES);
    atomic_fetch_sub_explicit(&arn__arena_totals.carved_bytes, arn__carved_bytes(pool),
                              memory_order_relaxed);
    atomic_fetch_sub_explicit(&arn__arena_totals.pool_bytes, arn__room_bytes(pool),
                              memory_order_relaxed);
    for (unsigned i = 0; i < slices; i++)
        atomic_store_explicit(&pool[i].kind_flags, KIND_NONE, memory_order_relaxed);
    for (unsigned i = 0; i < slices; i++) {
        pool[i].bin = NULL;
        pool[i].inverse = 0;
        pool[i].frees_to = NULL;
    }
    arn__slices_put(base, slices, touched < slices ? touched : slices);
}

void arn__typed_pool_release(struct descriptor *pool)
{
    struct bin *bin = pool->bin;
    char *base = bin->roster->pools[pool->ordinal];
    size_t bytes = bin->is_large ? pool->block_bytes : bin->pool_bytes;
    arn__roster_leave(bin->roster, pool, bytes);
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return; /* a signal handler: the slices are lost */
    if (bin->is_large) {
        uint8_t kind = (uint8_t)arn__kind(pool);
        pool->bin = NULL;
        pool->inverse = 0;
        pool->frees_to = NULL;
        atomic_store_explicit(&pool->kind_flags, kind, memory_order_release);
        arn__large_free(base);
    } else {
        release_slices(pool, base);
        arn__purge_settle();
    }
    arn__thread_leave(heap);
}

char *arn__large_slot_take(struct bin *bin, size_t bytes)
{
    size_t block_bytes = bin->first_bytes + bytes;
    if (!arn__roster_admit(bin->roster, block_bytes))
        return NULL;
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return NULL;
    char *base = arn__large_alloc(block_bytes, 1, true);
    if (base == NULL && make_room(heap))
        base = arn__large_alloc(block_bytes, 1, true);
    char *slot = NULL;
    if (base != NULL && !arn__roster_admit(bin->roster, arn__descriptor(base)->block_bytes)) {
        arn__large_free(base); /* what it was rounded up to is too much */
    } else if (base != NULL) {
        struct descriptor *pool = arn__descriptor(base);
        pool->bin = bin;
        pool->class_idx = bin->class_idx;
        pool->carved = pool->live = 1;
        pool->events = 0;
        pool->pass_idx = 0;
        slot = arn__slot(bin, base, 0);
        atomic_fetch_or_explicit(&pool->kind_flags, LARGE_OBJECT, memory_order_release);
        arn__roster_join(bin->roster, pool, base, pool->block_bytes);
    }
    arn__thread_leave(heap);
    return slot;
}

/* ---- a bin's lists ---- */

static void list_partial(struct bin *bin, struct descriptor *pool)
{
    pool->events |= POOL_PARTIAL;
    pool->prev = NULL;
    pool->next = bin->partial;
    if (bin->partial != NULL)
        bin->partial->prev = pool;
    bin->partial = pool;
}

static void unlist_partial(struct bin *bin, struct descriptor *pool)
{
    pool->events &= (uint8_t)~POOL_PARTIAL;
    if (pool->prev != NULL)
        pool->prev->next = pool->next;
    else
        bin->partial = pool->next;
    if (pool->next != NULL)
        pool->next->prev = pool->prev;
    pool->next = pool->prev = NULL;
}

/* How many slots of a full pool have to come back before it is worth allocating from: the collector walks
 * over all of a pool for the young ones in it. */
static unsigned threshold(const struct bin *bin)
{
    return (bin->capacity + 7u) / 8;
}

static void begin_current(struct bin *bin, struct descriptor *pool)
{
    bin->current = pool;
    pool->local.needed = NEEDED_CURRENT_POOL;
    if (bin->type->info.shape != ARN_LEAF)
        arn__roster_note(bin->roster, pool, arn__birth_events(bin->type));
}

bool arn__bin_refill(struct bin *bin)
{
    struct descriptor *pool = bin->current;
    if (pool != &arn__no_typed_pool) {
        if (carve(pool, bin->roster->pools[pool->ordinal]))
            return true;
        pool->local.needed = threshold(bin);
        bin->current = &arn__no_typed_pool;
    }
    if ((pool = bin->partial) != NULL)
        unlist_partial(bin, pool);
    else if ((pool = create(bin)) == NULL)
        return false;
    begin_current(bin, pool);
    return pool->local.first != arn__link_end() || carve(pool, bin->roster->pools[pool->ordinal]);
}

/* Whichever list it is in. */
static void drop_empty(struct descriptor *pool)
{
    struct bin *bin = pool->bin;
    if (bin->current == pool)
        bin->current = &arn__no_typed_pool;
    else if (pool->events & POOL_PARTIAL)
        unlist_partial(bin, pool);
    arn__typed_pool_release(pool);
}

void arn__typed_pools_drop_empty(struct roster *roster)
{
    roster->emptied = false;
    for (uint32_t i = roster->pool_count; i-- > 0;) {
        struct descriptor *pool = arn__descriptor(roster->pools[i]);
        if (pool->live == 0)
            drop_empty(pool);
    }
}

/* A collection refers to pools by their numbers: what is empty stays until it has ended. */
void arn__typed_pool_settle(struct descriptor *pool)
{
    struct bin *bin = pool->bin;
    bool stays = bin->roster->stays;
    bin->roster->emptied |= stays && pool->live == 0;
    if (pool->live == 0 && !stays) {
        drop_empty(pool);
    } else if (!bin->is_large && !(pool->events & POOL_PARTIAL)) {
        list_partial(bin, pool);
        pool->local.needed = pool->live;
    }
}
