/* descriptor.c - the root table. */
#include "descriptor.h"

struct directory arn__directory;

static _Atomic uintptr_t *entry(uintptr_t number)
{
    return &arn__directory.root[number % ROOT_ENTRIES];
}

/* The table that an entry leads to; NULL: none.
 * acquire: pairs with the release in enter, after which the number is there. */
static struct tract *table_of(uintptr_t number)
{
    uintptr_t distance = atomic_load_explicit(entry(number), memory_order_acquire);
    return distance == 0 ? NULL : (struct tract *)((char *)arn__directory.nowhere + distance);
}

static bool enter(uintptr_t number, struct tract *table)
{
    uintptr_t none = 0;
    table->number = number;
    /* release: pairs with table_of, and with whatever hands a pointer of this tract to another
     * thread. */
    return atomic_compare_exchange_strong_explicit(
        entry(number), &none, (uintptr_t)table - (uintptr_t)arn__directory.nowhere,
        memory_order_release, memory_order_relaxed);
}

bool arn__directory_enter(const void *pointer, struct tract *table)
{
    return enter((uintptr_t)pointer >> TRACT_SHIFT, table);
}

/* The entry's tract is this one, with a table that is made if need be. */
static bool cover(uintptr_t number)
{
    struct tract *table = table_of(number);
    if (table == NULL) {
        table = arn__os_map(sizeof *table);
        if (table == NULL)
            return false;
        if (enter(number, table))
            return true;
        arn__os_unmap(table, sizeof *table); /* another thread was faster */
        table = table_of(number);
    }
    return table->number == number;
}

bool arn__directory_cover(const void *start, size_t bytes)
{
    uintptr_t last = ((uintptr_t)start + bytes - 1) >> TRACT_SHIFT;
    for (uintptr_t number = (uintptr_t)start >> TRACT_SHIFT; number <= last; number++) {
        if (!cover(number))
            return false;
    }
    return true;
}

bool arn__directory_admits(const void *start, size_t bytes)
{
    uintptr_t last = ((uintptr_t)start + bytes - 1) >> TRACT_SHIFT;
    if (bytes > (size_t)ROOT_ENTRIES << TRACT_SHIFT)
        return false;
    for (uintptr_t number = (uintptr_t)start >> TRACT_SHIFT; number <= last; number++) {
        const struct tract *table = table_of(number);
        if (table != NULL && table->number != number)
            return false;
    }
    return true;
}

enum { PLACES_TRIED = 8 };

/* Address space that was refused is kept while more is asked for, and so is a tract's worth beside it:
 * the OS would offer the same again. */
void *arn__directory_place(void *(*take)(size_t bytes, size_t alignment), size_t bytes,
                           size_t alignment, bool (*accept)(const void *start, size_t bytes))
{
    void *refused[PLACES_TRIED], *beside[PLACES_TRIED], *start;
    unsigned tried = 0;
    while ((start = take(bytes, alignment)) != NULL && !accept(start, bytes)) {
        refused[tried] = start;
        beside[tried] = NULL;
        start = NULL;
        if (++tried == PLACES_TRIED || arn__directory_admits(refused[tried - 1], bytes))
            break; /* it was memory that there is none of */
        beside[tried - 1] = arn__os_reserve(TRACT_BYTES, 1);
    }
    while (tried-- > 0) {
        arn__os_unmap(refused[tried], bytes);
        if (beside[tried] != NULL)
            arn__os_unmap(beside[tried], TRACT_BYTES);
    }
    return start;
}
