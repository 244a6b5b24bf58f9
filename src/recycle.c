/* recycle.c - words with blocks that wait, by size. */
#include "recycle.h"

#include <stdatomic.h>
#include <string.h>

#include "diag.h"
#include "options.h"
#include "os.h"
#include "secret.h"
#include "zone.h"

enum {
    STEPS = 8, /* sizes from a power of two to the next */
    LEAST_SHIFT = 15,
    MOST_SHIFT = 20,
    SIZES = (MOST_SHIFT - LEAST_SHIFT) * STEPS + 1,
    PLACES = 64,    /* of a size */
    CANDIDATES = 4, /* that wait, before one of them is taken */
    WAITING_MOST_BYTES = 16 << 20,
    WIPED_BYTES = 4096, /* at a time: the smallest page */
};

/* Ten milliseconds of closing: some hundreds of blocks, where one takes 3 to 30 us. */
static const uint64_t credit_ns = 1000000000;

struct pace arn__recycle_pace;

/* 0, or where a block is. */
static _Atomic uintptr_t waiting[SIZES][PLACES];
static _Atomic size_t waiting_bytes;
static _Atomic uint32_t drawn;

static bool closing_rests(void)
{
    return arn__pace_rests(&arn__recycle_pace, arn__os_now_ns(), credit_ns);
}

/* ---- sizes ---- */

static const size_t least_bytes = (size_t)1 << LEAST_SHIFT, most_bytes = (size_t)1 << MOST_SHIFT;

static bool may_wait(size_t bytes)
{
    return bytes >= least_bytes && bytes <= most_bytes;
}

/* Of the power of two below. */
static unsigned shift_of(size_t bytes)
{
    return 63 - (unsigned)__builtin_clzll(bytes);
}

/* From the power of two below to the next. */
static size_t step_of(size_t bytes)
{
    return ((size_t)1 << shift_of(bytes)) / STEPS;
}

static bool is_size(size_t bytes)
{
    return may_wait(bytes) && bytes % step_of(bytes) == 0;
}

static unsigned size_idx(size_t bytes)
{
    unsigned shift = shift_of(bytes);
    return (shift - LEAST_SHIFT) * STEPS + (unsigned)(bytes / step_of(bytes) - STEPS);
}

static size_t size_at(unsigned idx)
{
    return (least_bytes << idx / STEPS) / STEPS * (STEPS + idx % STEPS);
}

size_t arn__recycle_bytes(size_t bytes)
{
    if (!may_wait(bytes) || is_size(bytes) || !closing_rests())
        return bytes;
    size_t step = step_of(bytes);
    return (bytes + step - 1) & ~(step - 1);
}

void arn__recycle_closed(size_t bytes, uint64_t since)
{
    if (may_wait(bytes) && !arn__pace_rests(&arn__recycle_pace, since, credit_ns))
        arn__pace_took(&arn__recycle_pace, since, arn__os_now_ns());
}

/* ---- contents ---- */

/* Each word is as the one before it. */
static bool is_zero(const char *start, size_t bytes)
{
    const uint64_t *word = (const uint64_t *)start;
    return *word == 0 && memcmp(word, word + 1, bytes - sizeof *word) == 0;
}

/* A page that was never written to is not written to here. */
static void wipe(char *base, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += WIPED_BYTES)
        if (!is_zero(base + at, WIPED_BYTES))
            memset(base + at, 0, WIPED_BYTES);
}

/* ---- waiting ---- */

static uint64_t chance(void)
{
    unsigned number = atomic_fetch_add_explicit(&drawn, 1, memory_order_relaxed);
    return arn__secret(SECRET_RECYCLE + number % SECRET_RECYCLE);
}

/* NULL: none waits there. Whoever changes the word has the block. */
static char *take_from(_Atomic uintptr_t *place, size_t bytes, size_t alignment)
{
    uintptr_t base = atomic_load_explicit(place, memory_order_relaxed);
    /* acquire: pairs with the release in arn__recycle_keep: the block is wiped. */
    if (base == 0 || (base & (alignment - 1)) != 0 ||
        !atomic_compare_exchange_strong_explicit(place, &base, 0, memory_order_acquire,
                                                 memory_order_relaxed))
        return NULL;
    atomic_fetch_sub_explicit(&waiting_bytes, bytes, memory_order_relaxed);
    return (char *)base;
}

static void expect_zeros(char *base, size_t bytes, const char *function)
{
    if (is_zero(base, bytes))
        return;
    arn__misuse(function, base, "overwritten after it was freed");
    wipe(base, bytes);
}

/* Where the kernel refuses, its memory goes back, and its place stays taken. */
static void close_one(char *base, size_t bytes)
{
    expect_zeros(base, bytes, "free");
    uint64_t since = arn__os_now_ns();
    if (!arn__zone_give(base, bytes))
        arn__os_purge(base, bytes);
    arn__recycle_closed(bytes, since);
}

struct candidate {
    _Atomic uintptr_t *place;
    size_t bytes;
};

/* Of the sizes closest to what is wanted, up to twice as much, so many blocks that one can be chosen. Those of a size
 * from a place of chance on: all have their turn. */
static unsigned find_candidates(unsigned idx, size_t first, struct candidate *found)
{
    unsigned count = 0;
    for (unsigned end = idx + STEPS + 1; idx < end && idx < SIZES && count < CANDIDATES; idx++) {
        for (size_t i = 0; i < PLACES && count < CANDIDATES; i++) {
            _Atomic uintptr_t *place = &waiting[idx][(first + i) % PLACES];
            if (atomic_load_explicit(place, memory_order_relaxed) != 0)
                found[count++] = (struct candidate){place, size_at(idx)};
        }
    }
    return count;
}

void *arn__recycle_take(size_t *bytes, size_t alignment)
{
    struct candidate found[CANDIDATES];
    if (atomic_load_explicit(&waiting_bytes, memory_order_relaxed) == 0 || !is_size(*bytes) ||
        !closing_rests())
        return NULL;
    uint64_t number = chance();
    if (find_candidates(size_idx(*bytes), number % PLACES, found) < CANDIDATES)
        return NULL;
    struct candidate chosen = found[(number >> 32) % CANDIDATES];
    char *base = take_from(chosen.place, chosen.bytes, alignment);
    if (base == NULL)
        return NULL;
    *bytes = chosen.bytes;
    expect_zeros(base, chosen.bytes, "malloc");
    return base;
}

static bool has_room(_Atomic uintptr_t places[PLACES])
{
    for (size_t i = 0; i < PLACES; i++)
        if (atomic_load_explicit(&places[i], memory_order_relaxed) == 0)
            return true;
    return false;
}

/* In a place that is free, from one of chance on. release: pairs with the acquire in take_from. */
static bool put(_Atomic uintptr_t places[PLACES], char *base)
{
    size_t first = chance() % PLACES;
    for (size_t i = 0; i < PLACES; i++) {
        uintptr_t before = 0;
        if (atomic_compare_exchange_strong_explicit(&places[(first + i) % PLACES], &before,
                                                    (uintptr_t)base, memory_order_release,
                                                    memory_order_relaxed))
            return true;
    }
    return false;
}

/* The program frees few blocks by now: what waits goes, one by one, in an order of chance. */
static void close_a_waiting_one(void)
{
    enum { ALL = SIZES * PLACES };
    size_t first = chance() % ALL;
    for (size_t i = 0; i < ALL; i++) {
        size_t at = (first + i) % ALL, bytes = size_at((unsigned)(at / PLACES));
        char *base = take_from(&waiting[at / PLACES][at % PLACES], bytes, 1);
        if (base != NULL) {
            close_one(base, bytes);
            return;
        }
    }
}

bool arn__recycle_keep(char *base, size_t bytes)
{
    if (!closing_rests()) {
        if (atomic_load_explicit(&waiting_bytes, memory_order_relaxed) != 0)
            close_a_waiting_one();
        return false;
    }
    if (!is_size(bytes) || arn__options.purge_budget_bytes == 0)
        return false;
    _Atomic uintptr_t *places = waiting[size_idx(bytes)];
    if (atomic_fetch_add_explicit(&waiting_bytes, bytes, memory_order_relaxed) + bytes <=
            WAITING_MOST_BYTES &&
        has_room(places) &&
        arn__os_open(base, bytes)) { /* the program may have closed, or unmapped, some of it */
        wipe(base, bytes);
        if (put(places, base))
            return true;
    }
    atomic_fetch_sub_explicit(&waiting_bytes, bytes, memory_order_relaxed);
    return false;
}

size_t arn__recycle_waiting(void)
{
    return atomic_load_explicit(&waiting_bytes, memory_order_relaxed);
}

size_t arn__recycle_release(void)
{
    size_t released = 0;
    for (unsigned idx = 0; idx < SIZES; idx++) {
        size_t bytes = size_at(idx);
        for (unsigned i = 0; i < PLACES; i++) {
            char *base = take_from(&waiting[idx][i], bytes, 1);
            if (base == NULL)
                continue;
            close_one(base, bytes);
            released += bytes;
        }
    }
    return released;
}

/* Other threads may have been at it. */
void arn__recycle_after_fork(void)
{
    size_t bytes = 0;
    for (unsigned idx = 0; idx < SIZES; idx++)
        for (unsigned i = 0; i < PLACES; i++)
            if (atomic_load_explicit(&waiting[idx][i], memory_order_relaxed) != 0)
                bytes += size_at(idx);
    atomic_store_explicit(&waiting_bytes, bytes, memory_order_relaxed);
}
