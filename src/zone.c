/* zone.c - the range of large blocks between guards. No locks: a bit for each slice, set by whoever takes it. */
#include "zone.h"

#include <stdatomic.h>
#include <stdint.h>

#include "descriptor.h"
#include "guard.h"
#include "os.h"
#include "secret.h"

enum {
    ZONE_BYTES = 1 << 30,
    SLICES = ZONE_BYTES / SLICE_BYTES,
    WORD_SLICES = 64,
    BLOCK_BYTES_MOST = 16 << 20,
    PLACES_TRIED = 8,
    /* A process of few large blocks stays small: mlockall counts address space, too. */
    BLOCKS_BEFORE = 64,
};

/* There is neither without the other. */
struct zone {
    char *base;
    _Atomic uint64_t *taken; /* a bit for each slice */
};

enum { NO_ZONE, ZONE_MAKING, ZONE_READY, ZONE_REFUSED };
static _Atomic uint32_t state;
static struct zone zone; /* written before it is ready */
static _Atomic uint32_t asked, drawn;

/* ---- the range ---- */

/* Address space that is limited is the program's. */
static bool make_zone(void)
{
    size_t bits_bytes = SLICES / 8;
    if (arn__os_page_bytes() > SLICE_BYTES || arn__os_memory_limit() != SIZE_MAX)
        return false;
    zone.taken = (_Atomic uint64_t *)arn__guard_map(bits_bytes);
    if (zone.taken == NULL)
        return false;
    zone.base = arn__guard_reserve(ZONE_BYTES, SLICE_BYTES);
    if (zone.base == NULL)
        arn__guard_give((char *)zone.taken, bits_bytes);
    return zone.base != NULL;
}

/* Whoever finds another at it goes without: a signal handler may have interrupted that one, a fork lost it. */
static bool is_ready(void)
{
    /* acquire: pairs with the release below. */
    uint32_t seen = atomic_load_explicit(&state, memory_order_acquire);
    if (seen == NO_ZONE &&
        atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed) >= BLOCKS_BEFORE &&
        atomic_compare_exchange_strong(&state, &seen, ZONE_MAKING)) {
        seen = make_zone() ? ZONE_READY : ZONE_REFUSED;
        atomic_store_explicit(&state, seen, memory_order_release);
    }
    return seen == ZONE_READY;
}

/* ---- slices ---- */

/* The bits, within one word, of up to `count` slices from the first. */
static uint64_t bits_of(size_t first, size_t count, size_t *here)
{
    size_t room = WORD_SLICES - first % WORD_SLICES;
    *here = count < room ? count : room;
    uint64_t bits = *here == WORD_SLICES ? UINT64_MAX : (UINT64_C(1) << *here) - 1;
    return bits << first % WORD_SLICES;
}

/* release: whoever takes them next finds them closed. */
static void put_slices(size_t first, size_t count)
{
    size_t here;
    for (size_t done = 0; done < count; done += here) {
        uint64_t bits = bits_of(first + done, count - done, &here);
        atomic_fetch_and_explicit(&zone.taken[(first + done) / WORD_SLICES], ~bits,
                                  memory_order_release);
    }
}

/* All or none. */
static bool take_slices(size_t first, size_t count)
{
    size_t here;
    for (size_t done = 0; done < count; done += here) {
        uint64_t bits = bits_of(first + done, count - done, &here);
        _Atomic uint64_t *word = &zone.taken[(first + done) / WORD_SLICES];
        uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
        /* acquire: pairs with the release above. */
        while ((seen & bits) == 0 &&
               !atomic_compare_exchange_weak_explicit(word, &seen, seen | bits,
                                                      memory_order_acquire, memory_order_relaxed)) {
        }
        if ((seen & bits) != 0) {
            put_slices(first, done);
            return false;
        }
    }
    return true;
}

/* With at least the last page left: the guard behind it, and before its neighbour. */
static size_t slices_of(size_t bytes)
{
    return (bytes + arn__os_page_bytes() + SLICE_BYTES - 1) / SLICE_BYTES;
}

/* ---- blocks ---- */

static char *take_place(size_t bytes, size_t alignment)
{
    size_t count = slices_of(bytes);
    for (unsigned i = 0; i < PLACES_TRIED; i++) {
        unsigned number = atomic_fetch_add_explicit(&drawn, 1, memory_order_relaxed);
        size_t first = arn__secret(SECRET_ZONE + number % SECRET_ZONE) % (SLICES - count);
        uintptr_t start = (uintptr_t)zone.base + first * SLICE_BYTES;
        size_t down = (start & (alignment - 1)) / SLICE_BYTES;
        if (down <= first && take_slices(first - down, count))
            return (char *)(start - down * SLICE_BYTES);
    }
    return NULL;
}

static size_t slice_at(const char *base)
{
    return (size_t)(base - zone.base) / SLICE_BYTES;
}

void *arn__zone_take(size_t bytes, size_t alignment)
{
    if (bytes > BLOCK_BYTES_MOST || alignment > BLOCK_BYTES_MOST || !is_ready())
        return NULL;
    char *base = take_place(bytes, alignment);
    if (base != NULL && !arn__os_open(base, bytes)) {
        put_slices(slice_at(base), slices_of(bytes));
        base = NULL;
    }
    return base;
}

bool arn__zone_has(const void *start)
{
    return atomic_load_explicit(&state, memory_order_acquire) == ZONE_READY &&
           (uintptr_t)start - (uintptr_t)zone.base < ZONE_BYTES;
}

bool arn__zone_give(char *base, size_t bytes)
{
    if (!arn__os_reserve_over(base, bytes))
        return false;
    put_slices(slice_at(base), slices_of(bytes));
    return true;
}

/* Another thread's mapping may lie there by now: the slices stay taken then. */
void arn__zone_refill(char *base, size_t bytes)
{
    char *start = arn__os_reserve_near(base, bytes);
    if (start == base)
        put_slices(slice_at(base), slices_of(bytes));
    else if (start != NULL)
        arn__os_unmap(start, bytes);
}
