/* descriptor.c - the root table. */
#include "descriptor.h"

#include "guard.h"

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

/* ---- room for tables ----
 *
 * Tables come from halls, which double: a hall is one range between two guards, opened by the table. */

enum { TABLES_MOST = 64, HALL_MASK = 2 * TABLES_MOST - 1 };

static size_t table_bytes(void)
{
    size_t page_bytes = arn__os_page_bytes();
    return (sizeof(struct tract) + page_bytes - 1) & ~(page_bytes - 1);
}

/* Where the next table is to lie, and in the lower bits how many more there is room for. */
static _Atomic uintptr_t hall;
static _Atomic unsigned tables_made;

static unsigned next_hall_tables(void)
{
    unsigned made = atomic_load_explicit(&tables_made, memory_order_relaxed);
    return made < 1 ? 1 : made > TABLES_MOST ? TABLES_MOST : made;
}

/* True: a hall has room, or had. */
static bool build_hall(uintptr_t seen)
{
    unsigned tables = next_hall_tables();
    char *base = arn__guard_reserve(tables * table_bytes(), arn__os_page_bytes());
    if (base == NULL)
        return false;
    if (!atomic_compare_exchange_strong(&hall, &seen, (uintptr_t)base | tables))
        arn__guard_give(base, tables * table_bytes()); /* another thread was faster */
    return true;
}

/* NULL: no memory. */
static struct tract *take_table(void)
{
    uintptr_t seen = atomic_load(&hall);
    for (;;) {
        if ((seen & HALL_MASK) == 0) {
            if (!build_hall(seen))
                return NULL;
            seen = atomic_load(&hall);
        } else if (atomic_compare_exchange_weak(&hall, &seen, seen + table_bytes() - 1)) {
            break;
        }
    }
    struct tract *table = (struct tract *)(seen & ~(uintptr_t)HALL_MASK);
    if (arn__os_open(table, table_bytes())) {
        atomic_fetch_add_explicit(&tables_made, 1, memory_order_relaxed);
        return table;
    }
    uintptr_t taken = seen + table_bytes() - 1;
    atomic_compare_exchange_strong(&hall, &taken, seen); /* else it is lost: address space */
    return NULL;
}

/* The entry's tract is this one, with a table that is made if need be. */
static bool cover(uintptr_t number)
{
    struct tract *table = table_of(number);
    if (table == NULL) {
        table = take_table();
        if (table == NULL)
            return false;
        if (enter(number, table))
            return true;
        table = table_of(number); /* another thread was faster: one is lost */
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
void *arn__directory_place(void *(*take)(size_t bytes, size_t alignment),
                           bool (*give)(void *start, size_t bytes), size_t bytes, size_t alignment,
                           bool (*accept)(const void *start, size_t bytes))
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
        give(refused[tried], bytes);
        if (beside[tried] != NULL)
            arn__os_unmap(beside[tried], TRACT_BYTES);
    }
    return start;
}
