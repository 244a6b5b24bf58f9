/* large.c - runs, spans, maps. */
#include "large.h"

#include <string.h>

#include "arena.h"
#include "guard.h"
#include "hardened.h"
#include "options.h"
#include "os.h"
#include "purge.h"
#include "recycle.h"
#include "region.h"
#include "zone.h"

/* From here on a block that grows and has to move becomes a map: later growth moves no bytes. */
enum { GROWING_MAP_BYTES = 1 << 20 };

/* A map that grows past this gets huge pages: such a block is filled from its start, mostly, so that no
 * more than one of them is wasted. It is copied into a map that has them from the start, for the kernel
 * is not to be asked for them late (struct os_seed); such a map keeps them as it grows and moves. */
enum { GROWING_HUGE_BYTES = 16 << 20 };

/* In `units` of a map. */
enum { MAP_PLAIN, MAP_HUGE };

struct large_totals arn__large_totals;

/* Mappings that munmap refused (the split would need one more than the OS allows): purged, and
 * offered to the next map block that fits. Under the arena lock; normally empty. */
static struct descriptor *_Atomic unmappable;

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) & ~(unit - 1);
}

static size_t granule(void)
{
    size_t page_bytes = arn__os_page_bytes();
    return page_bytes > SLICE_BYTES ? page_bytes : SLICE_BYTES;
}

/* Publishes a block; kind last, so that a forked child sees all or nothing. */
static void enter(void *block, enum kind kind, size_t block_bytes, size_t units)
{
    struct descriptor *d = arn__descriptor(block);
    /* acquire: who unmapped what was at this address before has read the fields. (The kernel orders
     * the two calls anyway.) */
    (void)atomic_load_explicit(&d->kind_flags, memory_order_acquire);
    /* In an order that leaves the block no larger than what it holds. */
    if (units > d->units) {
        d->units = (uint32_t)units;
        atomic_signal_fence(memory_order_seq_cst);
        d->block_bytes = block_bytes;
    } else {
        d->block_bytes = block_bytes;
        atomic_signal_fence(memory_order_seq_cst);
        d->units = (uint32_t)units;
    }
    atomic_store_explicit(&d->kind_flags, (uint8_t)kind, memory_order_release);
}

/* ---- runs ---- */

static void *alloc_run(size_t bytes, bool zeroed, enum growth growth)
{
    unsigned slices = (unsigned)((bytes + SLICE_BYTES - 1) / SLICE_BYTES);
    char *base = arn__slices_take_within(slices, growth);
    if (base == NULL)
        return NULL;
    if (zeroed)
        arn__slices_zero(base, bytes);
    enter(base, KIND_RUN, (size_t)slices * SLICE_BYTES, slices);
    return base;
}

static bool resize_run(char *block, struct descriptor *d, size_t bytes)
{
    unsigned slices = d->units;
    unsigned wanted = (unsigned)((bytes + SLICE_BYTES - 1) / SLICE_BYTES);
    if (bytes > ARENA_BYTES)
        return false;
    if (wanted > slices &&
        !arn__slices_take_at(block + (size_t)slices * SLICE_BYTES, wanted - slices))
        return false;
    enter(block, KIND_RUN, (size_t)wanted * SLICE_BYTES, wanted);
    if (wanted < slices)
        arn__slices_put(block + (size_t)wanted * SLICE_BYTES, slices - wanted, slices - wanted);
    return true;
}

/* ---- spans ---- */

static void *alloc_span(size_t bytes, size_t alignment, bool zeroed, enum growth growth)
{
    size_t arenas = (bytes + ARENA_BYTES - 1) / ARENA_BYTES;
    size_t alignment_arenas = alignment > ARENA_BYTES ? alignment / ARENA_BYTES : 1;
    char *base = arn__span_take_within(arenas, alignment_arenas, growth);
    if (base == NULL)
        return NULL;
    if (zeroed)
        arn__slices_zero(base, bytes);
    enter(base, KIND_SPAN, round_up(bytes, granule()), arenas);
    return base;
}

static bool resize_span(char *block, struct descriptor *d, size_t bytes)
{
    size_t arenas = d->units;
    size_t wanted = (bytes + ARENA_BYTES - 1) / ARENA_BYTES;
    size_t old_bytes = d->block_bytes;
    if (bytes > arn__options.map_threshold_bytes)
        return false;
    if (wanted > arenas && !arn__span_take_at(block + arenas * ARENA_BYTES, wanted - arenas))
        return false;
    /* block_bytes never shrinks within an arena: it tells how far pages were written. */
    size_t new_bytes = round_up(bytes, granule());
    if (new_bytes < old_bytes)
        new_bytes = old_bytes < wanted * ARENA_BYTES ? old_bytes : wanted * ARENA_BYTES;
    enter(block, KIND_SPAN, new_bytes, wanted);
    if (wanted < arenas)
        arn__span_put(block + wanted * ARENA_BYTES, arenas - wanted,
                      old_bytes > wanted * ARENA_BYTES ? old_bytes - wanted * ARENA_BYTES : 0);
    return true;
}

/* ---- maps ---- */

static void count_map(size_t added_bytes, size_t removed_bytes, int maps)
{
    atomic_fetch_add_explicit(&arn__large_totals.maps, (size_t)maps, memory_order_relaxed);
    atomic_fetch_add_explicit(&arn__large_totals.map_bytes, added_bytes - removed_bytes,
                              memory_order_relaxed);
}

/* Its pages are counted, and given back, by the page: only its start lies at a slice. */
static size_t map_bytes_for(size_t bytes)
{
    size_t map_bytes = round_up(bytes, arn__os_page_bytes());
    return GUARDED_LARGE ? arn__recycle_bytes(map_bytes) : map_bytes;
}

static size_t map_alignment(size_t alignment)
{
    return alignment > granule() ? alignment : granule();
}

/* A table for the slice that it begins in. */
static bool covers_start(const void *start, size_t bytes)
{
    (void)bytes;
    return arn__directory_cover(start, 1);
}

/* Where a block of the zone has just moved from is a hole for a moment: what the kernel puts there would be taken for a
 * block of the zone. */
static void *outside_zone(char *(*take)(size_t, size_t), size_t bytes, size_t alignment)
{
    char *base = take(bytes, alignment);
    if (base == NULL || !arn__zone_has(base))
        return base;
    void *other = outside_zone(take, bytes, alignment);
    arn__guard_give(base, bytes);
    return other;
}

/* A map, or one between two guards. */
static void *take_map(size_t bytes, size_t alignment)
{
    if (!GUARDED_LARGE)
        return arn__os_map_aligned(bytes, alignment);
    void *base = arn__zone_take(bytes, alignment);
    return base != NULL ? base : outside_zone(arn__guard_map_near, bytes, alignment);
}

static bool close_map(void *base, size_t bytes)
{
    if (!GUARDED_LARGE)
        return arn__os_unmap(base, bytes);
    return arn__zone_has(base) ? arn__zone_give(base, bytes) : arn__guard_give(base, bytes);
}

/* Of a block, which may be used again as it is. */
static bool give_map(void *base, size_t bytes)
{
    if (!GUARDED_LARGE || !arn__zone_has(base))
        return close_map(base, bytes);
    if (arn__recycle_keep(base, bytes))
        return true;
    uint64_t since = arn__os_now_ns();
    bool closed = close_map(base, bytes);
    arn__recycle_closed(bytes, since);
    return closed;
}

static void *reserve_map(size_t bytes, size_t alignment)
{
    return GUARDED_LARGE ? outside_zone(arn__guard_reserve, bytes, alignment)
                         : arn__os_reserve(bytes, alignment);
}

static void *enter_map(void *base, size_t map_bytes, unsigned pages)
{
    if (base != NULL) {
        count_map(map_bytes, 0, 1);
        enter(base, KIND_MAP, map_bytes, pages);
    }
    return base;
}

void *arn__large_map(size_t bytes, size_t alignment)
{
    size_t map_bytes = map_bytes_for(bytes);
    void *again = GUARDED_LARGE ? arn__recycle_take(&map_bytes, map_alignment(alignment)) : NULL;
    if (again != NULL)
        return enter_map(again, map_bytes, MAP_PLAIN);
    void *base = arn__directory_place(take_map, close_map, map_bytes, map_alignment(alignment),
                                      covers_start);
    if (base != NULL && arn__options.huge != HUGE_AUTO && map_bytes >= GROUP_BYTES)
        arn__os_huge(base, map_bytes, arn__options.huge == HUGE_ALWAYS);
    return enter_map(base, map_bytes, MAP_PLAIN);
}

static void *alloc_huge_map(size_t bytes)
{
    size_t map_bytes = map_bytes_for(bytes);
    void *base =
        arn__directory_place(arn__huge_map, arn__os_unmap, map_bytes, GROUP_BYTES, covers_start);
    return enter_map(base, map_bytes, MAP_HUGE);
}

/* Its own address cannot be told from a descriptor: it is kept in `place`. */
static void keep_unmappable(char *base, size_t bytes)
{
    struct descriptor *d = arn__descriptor(base);
    if (!arn__os_purge(base, bytes))
        memset(base, 0, bytes);
    if (GUARDED_LARGE)
        return; /* its address is not to be used again: others would be taken for it */
    arn__lock(&arn__arena_lock, RANK_ARENA);
    atomic_store_explicit(&d->place, (uintptr_t)base, memory_order_relaxed);
    d->block_bytes = bytes;
    d->next = unmappable;
    unmappable = d;
    arn__unlock(&arn__arena_lock, RANK_ARENA);
}

static void *take_unmappable(size_t bytes, size_t alignment)
{
    char *base = NULL;
    if (atomic_load_explicit(&unmappable, memory_order_relaxed) == NULL)
        return NULL;
    arn__lock(&arn__arena_lock, RANK_ARENA);
    struct descriptor *before = NULL;
    for (struct descriptor *d = unmappable; d != NULL; before = d, d = d->next) {
        char *start = (char *)(uintptr_t)atomic_load_explicit(&d->place, memory_order_relaxed);
        if (d->block_bytes >= bytes && d->block_bytes / 2 <= bytes &&
            ((uintptr_t)start & (alignment - 1)) == 0) {
            if (before == NULL)
                unmappable = d->next;
            else
                before->next = d->next;
            base = start;
            count_map(d->block_bytes, 0, 1);
            atomic_store_explicit(&d->place, 0, memory_order_relaxed);
            enter(base, KIND_MAP, d->block_bytes, 0);
            break;
        }
    }
    arn__unlock(&arn__arena_lock, RANK_ARENA);
    return base;
}

static void *alloc_map(size_t bytes, size_t alignment)
{
    void *block = take_unmappable(bytes, alignment);
    return block != NULL ? block : arn__large_map(bytes, alignment);
}

static bool grows_huge(size_t bytes)
{
    return !GUARDED_LARGE && arn__options.huge == HUGE_AUTO && bytes >= GROWING_HUGE_BYTES;
}

/* Where a map was that has moved; a guard that stays costs address space. */
static void give_guards(char *base, size_t bytes)
{
    if (arn__zone_has(base)) {
        arn__zone_refill(base, bytes);
        return;
    }
    size_t page_bytes = arn__os_page_bytes();
    arn__os_unmap(base - page_bytes, page_bytes);
    arn__os_unmap(base + bytes, page_bytes);
}

/* Moves the pages to a larger range; the old block is gone if it succeeds. */
static void *move_map(char *block, struct descriptor *d, size_t old_bytes, size_t new_bytes)
{
    /* Huge pages move whole only from one multiple of their size to another. */
    unsigned pages = d->units;
    char *target = arn__directory_place(reserve_map, close_map, new_bytes,
                                        pages == MAP_HUGE ? GROUP_BYTES : granule(), covers_start);
    if (target == NULL)
        return NULL;
    /* First: the old range may be another thread's as soon as the pages have moved. */
    atomic_store_explicit(&d->kind_flags, KIND_NONE, memory_order_release); /* see enter */
    if (!arn__os_move(block, old_bytes, new_bytes, target)) {
        enter(block, KIND_MAP, old_bytes, pages);
        return NULL;
    }
    if (GUARDED_LARGE)
        give_guards(block, old_bytes);
    enter(target, KIND_MAP, new_bytes, pages);
    return target;
}

/* Once in a block's life, and 16 MiB at the most. NULL: there are no huge pages. */
static void *copy_to_huge_map(char *block, struct descriptor *d, size_t bytes)
{
    size_t old_bytes = d->block_bytes;
    void *target = alloc_huge_map(bytes);
    if (target == NULL)
        return NULL;
    memcpy(target, block, old_bytes);
    atomic_store_explicit(&d->kind_flags, KIND_NONE, memory_order_release); /* see enter */
    count_map(0, old_bytes, -1);
    if (!arn__os_unmap(block, old_bytes))
        keep_unmappable(block, old_bytes);
    return target;
}

static void *resize_map(char *block, struct descriptor *d, size_t bytes)
{
    size_t old_bytes = d->block_bytes;
    if (GUARDED_LARGE && bytes <= old_bytes) /* what is used again may be larger: see recycle.h */
        return bytes + bytes / 8 >= old_bytes / 2 ? block : NULL; /* it may be copied */
    size_t new_bytes = map_bytes_for(bytes);
    void *result;
    if (new_bytes == old_bytes)
        return block;
    if (old_bytes < GROWING_HUGE_BYTES && grows_huge(new_bytes) && d->units != MAP_HUGE &&
        (result = copy_to_huge_map(block, d, bytes)) != NULL)
        return result;
    result = block;
    if (!GUARDED_LARGE && arn__os_resize(block, old_bytes, new_bytes)) {
        d->block_bytes = new_bytes;
    } else if (new_bytes < old_bytes) {
        return block; /* larger than asked for: it still holds what it must */
    } else if ((result = move_map(block, d, old_bytes, new_bytes)) == NULL) {
        return NULL;
    }
    count_map(new_bytes, old_bytes, 0);
    return result;
}

bool arn__large_unmap(void *block)
{
    struct descriptor *d = arn__descriptor(block);
    uint8_t kind = KIND_MAP;
    size_t bytes = d->block_bytes, pages = d->units;
    if (!atomic_compare_exchange_strong(&d->kind_flags, &kind, KIND_NONE))
        return false;
    if (!give_map(block, bytes)) {
        enter(block, KIND_MAP, bytes, pages);
        return false;
    }
    count_map(0, bytes, -1);
    return true;
}

/* ---- all of them ---- */

/* As a run it would take a sixteenth more than it needs, with what is left beside it in the arena. A span
 * needs arenas in a row. */
static bool wastes(size_t bytes, size_t alignment)
{
    if (!arn__large_fits_run(bytes, alignment))
        return true;
    size_t taken = ARENA_BYTES / (ARENA_BYTES / round_up(bytes, SLICE_BYTES));
    return taken - bytes > taken / 16;
}

static void *alloc_in_arenas(size_t bytes, size_t alignment, bool zeroed, enum growth growth)
{
    void *block = arn__large_fits_run(bytes, alignment) ? alloc_run(bytes, zeroed, growth)
                                             : alloc_span(bytes, alignment, zeroed, growth);
    arn__purge_settle();
    return block;
}

/* Where memory is short: what is there first, unless a small block would take an arena for its alignment; then
 * the pages that it needs and no more; at last those that arenas were to have. */
static void *alloc_tight(size_t bytes, size_t alignment, bool zeroed)
{
    bool fits = arn__large_fits_run(bytes, alignment) || bytes > ARENA_BYTES / 2;
    void *block = fits ? alloc_in_arenas(bytes, alignment, zeroed, NO_GROWTH) : NULL;
    if (block == NULL)
        block = alloc_map(bytes, alignment);
    if (block == NULL && arn__arena_release_regions() > 0)
        block = alloc_map(bytes, alignment);
    return block;
}

/* A process may have 65,530 mappings, and each block between guards is up to three of them. */
enum { GUARDED_MOST = 16384 };

/* Beyond so many blocks, or where the OS refuses, in arenas: without guards, and zeros all the same. */
static void *alloc_guarded(size_t bytes, size_t alignment)
{
    bool fits = alignment <= GROUP_BYTES && bytes <= arn__options.map_threshold_bytes;
    size_t maps = atomic_load_explicit(&arn__large_totals.maps, memory_order_relaxed);
    void *block = fits && maps >= GUARDED_MOST ? NULL : arn__large_map(bytes, alignment);
    if (block != NULL || !fits)
        return block;
    return alloc_in_arenas(round_up(bytes, SLICE_BYTES), alignment, true, MAY_GROW);
}

void *arn__large_alloc(size_t bytes, size_t alignment, bool zeroed)
{
    if (GUARDED_LARGE)
        return alloc_guarded(bytes, alignment);
    if (bytes > arn__options.map_threshold_bytes || alignment > GROUP_BYTES)
        return alloc_map(bytes, alignment);
    bytes += bytes == 0;
    bool maps_first = arn__memory_is_tight() && wastes(bytes, alignment);
    void *block = maps_first ? alloc_tight(bytes, alignment, zeroed) : NULL;
    if (block == NULL)
        block = alloc_in_arenas(bytes, alignment, zeroed, MAY_GROW);
    /* There may be room for the pages of the block where there is none for an arena. */
    return block != NULL || maps_first ? block : alloc_map(bytes, alignment);
}

void *arn__large_alloc_growing(size_t bytes)
{
    void *block = grows_huge(bytes) ? alloc_huge_map(bytes) : NULL;
    if (block == NULL && bytes >= GROWING_MAP_BYTES)
        block = alloc_map(bytes, granule());
    return block != NULL ? block : arn__large_alloc(bytes, 1, false);
}

/* Gives back what a descriptor of this kind tells of; the kind is gone from it already. */
static void give_back(void *block, enum kind kind, size_t bytes, size_t units)
{
    if (kind == KIND_RUN)
        arn__slices_put(block, (unsigned)units, (unsigned)units);
    else if (kind == KIND_SPAN)
        arn__span_put(block, units, bytes);
    else {
        count_map(0, bytes, -1);
        if (!give_map(block, bytes))
            keep_unmappable(block, bytes);
    }
}

/* Whoever changes the kind from what it was frees the block; a second one is told so. */
static bool free_from(void *block, unsigned flags)
{
    struct descriptor *d = arn__descriptor(block);
    enum kind kind = arn__kind(d);
    uint8_t expected = (uint8_t)(kind | flags);
    size_t bytes = d->block_bytes;
    size_t units = d->units;
    if (kind < KIND_RUN ||
        !atomic_compare_exchange_strong(&d->kind_flags, &expected, (uint8_t)KIND_NONE))
        return false;
    give_back(block, kind, bytes, units);
    return true;
}

bool arn__large_free(void *block)
{
    bool freed = free_from(block, 0);
    arn__purge_settle();
    return freed;
}

bool arn__large_defer(void *block)
{
    struct descriptor *d = arn__descriptor(block);
    uint8_t kind = (uint8_t)arn__kind(d);
    return kind >= KIND_RUN &&
           atomic_compare_exchange_strong(&d->kind_flags, &kind, (uint8_t)(kind | LARGE_DEFERRED));
}

void arn__large_free_deferred(void *block)
{
    free_from(block, LARGE_DEFERRED);
}

/* ---- spares ---- */

void arn__large_reach(struct descriptor *d, size_t bytes)
{
    if (arn__has_flag(d, LARGE_SPARE) && d->block_bytes < bytes)
        d->block_bytes = round_up(bytes, granule());
}

void arn__large_free_spare(void *block)
{
    free_from(block, LARGE_SPARE);
    arn__purge_settle();
}

size_t arn__large_waiting(void)
{
    return GUARDED_LARGE ? arn__recycle_waiting() : 0;
}

size_t arn__large_release(void)
{
    return GUARDED_LARGE ? arn__recycle_release() : 0;
}

void arn__large_after_fork(void)
{
    unmappable = NULL; /* lost: the list is not to be trusted */
    if (GUARDED_LARGE)
        arn__recycle_after_fork();
}

void *arn__large_resize(void *block, size_t bytes)
{
    struct descriptor *d = arn__descriptor(block);
    switch (arn__kind(d)) {
    case KIND_RUN:
        return resize_run(block, d, bytes) ? block : NULL;
    case KIND_SPAN:
        return resize_span(block, d, bytes) ? block : NULL;
    case KIND_MAP:
        return resize_map(block, d, bytes);
    default:
        return NULL;
    }
}
