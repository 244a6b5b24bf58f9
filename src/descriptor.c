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

bool arn__directory_enter(const void *pointer, struct gib *table)
{
    uintptr_t none = 0;
    /* release: pairs with whatever hands a pointer of this GiB to another thread. */
    return atomic_compare_exchange_strong_explicit(entry((uintptr_t)pointer), &none,
                                                   distance(table), memory_order_release,
                                                   memory_order_relaxed);
}

bool arn__directory_cover(const void *start, size_t bytes)
{
    uintptr_t first = (uintptr_t)start >> GIB_SHIFT;
    uintptr_t last = ((uintptr_t)start + bytes - 1) >> GIB_SHIFT;
    for (uintptr_t gib = first; gib <= last; gib++) {
        _Atomic uintptr_t *slot = entry(gib << GIB_SHIFT);
        if (atomic_load_explicit(slot, memory_order_acquire) != 0)
            continue;
        struct gib *table = arn__os_map_aligned(sizeof *table, sizeof(struct descriptor));
        if (table == NULL)
            return false;
        arn__os_huge(table, sizeof *table, false); /* touched here and there */
        if (!arn__directory_enter((void *)(gib << GIB_SHIFT), table))
            arn__os_unmap(table, sizeof *table); /* another thread was faster */
    }
    return true;
}
