/* guard.c - places by chance, and a guard on each side. No locks: a signal handler may make a table. */
#include "guard.h"

#include <stdatomic.h>
#include <stdint.h>

#include "os.h"
#include "secret.h"

/* Places lie this far below the anchor. Libraries, stacks and the program's own mappings come from the top
 * down: the kernel finds room for them above. */
static const size_t least_below = (size_t)64 << 20, range_bytes = (size_t)64 << 30;
/* The first place is closer: a short process pays for page tables. */
static const size_t first_range_bytes = (size_t)512 << 20;

/* Where address space is free below: the first region of a static program; 0: the dynamic linker. */
static _Atomic uintptr_t anchor;
static _Atomic unsigned places;

static uintptr_t find_anchor(void)
{
    uintptr_t linker = arn__os_linker();
    return linker != 0 ? linker : atomic_load_explicit(&anchor, memory_order_relaxed);
}

char *arn__guard_place(size_t bytes, size_t alignment)
{
    uintptr_t from = find_anchor();
    if (from / 2 < range_bytes || bytes > range_bytes)
        return NULL;
    unsigned number = atomic_fetch_add_explicit(&places, 1, memory_order_relaxed);
    size_t range = number == 0 ? first_range_bytes : range_bytes;
    uintptr_t distance = least_below + bytes + arn__secret(SECRET_PLACES + number) % range;
    return (char *)((from - distance) & ~(uintptr_t)(alignment - 1));
}

static size_t whole_pages(size_t bytes)
{
    size_t page_bytes = arn__os_page_bytes();
    return (bytes + page_bytes - 1) & ~(page_bytes - 1);
}

/* What a range takes with its guards. */
static size_t bytes_of(size_t bytes)
{
    return whole_pages(bytes) + 2 * arn__os_page_bytes();
}

/* Where the place is taken, the kernel's choice may not lie at such a multiple. */
static char *reserve_at(char *place, size_t bytes, size_t alignment)
{
    size_t page_bytes = arn__os_page_bytes(), all = bytes_of(bytes);
    if (place == NULL)
        return NULL;
    char *start = arn__os_reserve_near(place - page_bytes, all);
    if (start == NULL)
        return NULL;
    if (((uintptr_t)start + page_bytes) % alignment == 0)
        return start + page_bytes;
    arn__os_unmap(start, all);
    return NULL;
}

size_t arn__guard_room(size_t bytes, size_t alignment)
{
    return bytes_of(bytes) + alignment - arn__os_page_bytes();
}

char *arn__guard_cut(char *start, size_t bytes, size_t alignment)
{
    size_t page_bytes = arn__os_page_bytes(), all = bytes_of(bytes);
    uintptr_t least = (uintptr_t)start + page_bytes;
    char *base = (char *)((least + alignment - 1) & ~(uintptr_t)(alignment - 1));
    size_t before = (size_t)(base - page_bytes - start);
    size_t after = arn__guard_room(bytes, alignment) - all - before;
    if (before > 0)
        arn__os_unmap(start, before);
    if (after > 0)
        arn__os_unmap(base - page_bytes + all, after);
    return base;
}

static char *reserve_anywhere(size_t bytes, size_t alignment)
{
    char *start = arn__os_reserve_near(NULL, arn__guard_room(bytes, alignment));
    return start == NULL ? NULL : arn__guard_cut(start, bytes, alignment);
}

char *arn__guard_reserve(size_t bytes, size_t alignment)
{
    char *base = reserve_at(arn__guard_place(bytes_of(bytes), alignment), bytes, alignment);
    return base != NULL ? base : reserve_anywhere(bytes, alignment);
}

void arn__guard_anchor(const char *start)
{
    uintptr_t none = 0;
    atomic_compare_exchange_strong_explicit(&anchor, &none, (uintptr_t)start, memory_order_relaxed,
                                            memory_order_relaxed);
}

/* Where maps that are close to each other lie; its place is drawn with the first of them. */
static const size_t near_bytes = (size_t)1 << 30;
static _Atomic uintptr_t near;
static _Atomic uint64_t maps;

static uintptr_t find_near(void)
{
    uintptr_t found = atomic_load_explicit(&near, memory_order_relaxed);
    if (found != 0)
        return found;
    uintptr_t drawn = (uintptr_t)arn__guard_place(near_bytes, near_bytes);
    return atomic_compare_exchange_strong(&near, &found, drawn) ? drawn : found;
}

char *arn__guard_map_near(size_t bytes, size_t alignment)
{
    uintptr_t start = find_near();
    char *base = NULL;
    if (start != 0 && bytes_of(bytes) < near_bytes / 2) {
        uint64_t number = atomic_fetch_add_explicit(&maps, 1, memory_order_relaxed);
        size_t distance =
            arn__secret(SECRET_MAPS + (unsigned)number) % (near_bytes - bytes_of(bytes));
        base = reserve_at((char *)((start + distance) & ~(uintptr_t)(alignment - 1)), bytes,
                          alignment);
    }
    if (base == NULL)
        base = reserve_anywhere(bytes, alignment);
    if (base != NULL && !arn__os_open(base, bytes)) {
        arn__guard_give(base, bytes);
        base = NULL;
    }
    return base;
}

bool arn__guard_give(char *base, size_t bytes)
{
    return arn__os_unmap(base - arn__os_page_bytes(), bytes_of(bytes));
}

char *arn__guard_map(size_t bytes)
{
    char *base = arn__guard_reserve(bytes, arn__os_page_bytes());
    if (base != NULL && !arn__os_open(base, bytes)) {
        arn__guard_give(base, bytes);
        base = NULL;
    }
    return base;
}
