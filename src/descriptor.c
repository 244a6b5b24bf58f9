/* descriptor.c - the root table. */
#include "descriptor.h"

struct directory arn__directory;

static uintptr_t distance(const struct gib *table)
{
    return (uintptr_t)table - (uintptr_t)arn__directory.nowhere;
}

static _Atomic uintptr_t *entry(uintptr_t address)
{
    return &arn__directory.root[(address >> GIB_SHIFT) & (ROOT_ENTRIES - 1)];
}

static bool enter(uintptr_t address, struct gib *table)
{
    uintptr_t none = 0;
    /* release: pairs with whatever hands a pointer of this GiB to another thread. */
    return atomic_compare_exchange_strong_explicit(entry(address), &none, distance(table),
                                                   memory_order_release, memory_order_relaxed);
}

static _Atomic uint8_t *writable_parts(uintptr_t address)
{
    return &arn__directory.writable[(address >> GIB_SHIFT) & (ROOT_ENTRIES - 1)];
}

bool arn__directory_enter(const void *pointer, struct gib *table)
{
    if (!enter((uintptr_t)pointer, table))
        return false;
    atomic_store_explicit(writable_parts((uintptr_t)pointer), UINT8_MAX, memory_order_relaxed);
    return true;
}

bool arn__directory_cover(const void *start, size_t bytes)
{
    uintptr_t first = (uintptr_t)start >> GIB_SHIFT;
    uintptr_t last = ((uintptr_t)start + bytes - 1) >> GIB_SHIFT;
    for (uintptr_t gib = first; gib <= last; gib++) {
        _Atomic uintptr_t *slot = entry(gib << GIB_SHIFT);
        if (atomic_load_explicit(slot, memory_order_acquire) != 0)
            continue;
        struct gib *table = arn__os_map_zeros(sizeof *table);
        if (table == NULL)
            return false;
        arn__os_huge(table, sizeof *table, false); /* touched here and there */
        if (!enter(gib << GIB_SHIFT, table))
            arn__os_unmap(table, sizeof *table); /* another thread was faster */
    }
    return true;
}

/* One part's share of an array of the table. */
static bool open_share(void *array, size_t bytes, unsigned part)
{
    size_t mask = arn__os_page_bytes() - 1;
    size_t share = bytes / GIB_PARTS;
    uintptr_t first = ((uintptr_t)array + part * share) & ~mask;
    uintptr_t end = ((uintptr_t)array + (part + 1) * share + mask) & ~mask;
    return arn__os_open((void *)first, end - first);
}

bool arn__directory_open(const void *start, size_t bytes)
{
    if (!arn__directory_cover(start, bytes))
        return false;
    uintptr_t first = (uintptr_t)start >> PART_SHIFT;
    uintptr_t last = ((uintptr_t)start + bytes - 1) >> PART_SHIFT;
    for (uintptr_t part = first; part <= last; part++) {
        uintptr_t address = part << PART_SHIFT;
        unsigned idx = part % GIB_PARTS;
        _Atomic uint8_t *parts = writable_parts(address);
        /* relaxed: protection is the kernel's; two threads may both change it. */
        if (atomic_load_explicit(parts, memory_order_relaxed) >> idx & 1)
            continue;
        struct gib *table = arn__gib((void *)address);
        if (!open_share(table->slices, sizeof table->slices, idx) ||
            !open_share(table->remote, sizeof table->remote, idx) ||
            !open_share(table->arenas, sizeof table->arenas, idx))
            return false;
        atomic_fetch_or_explicit(parts, (uint8_t)(1u << idx), memory_order_relaxed);
    }
    return true;
}
