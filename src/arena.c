/* arena.c - slices of arenas: bit masks, one list of arenas per count of free slices, two lists of
 * dirty arenas by age: those that are free, and those of which slices are. */
#include "arena.h"

#include <string.h>

#include "diag.h"
#include "hardened.h"
#include "links.h"
#include "os.h"
#include "region.h"
#include "secret.h"

enum {
    ALL_SLICES = 0xffff,
    LOOKED_AT = 4,        /* arenas of one list that are looked at: no walk is longer */
    DIRTY_LOOKED_AT = 32, /* before a system call, which takes longer */
    REUSED_SOON_MS = 1000,
    THICK_ARENAS = 2 * GROUP_ARENAS, /* a span of so many has at least one group to itself */
    TURNED_TIMES = 4,
    NO_KEY = ARENA_SLICES,
};

struct lock arn__arena_lock;
struct arena_totals arn__arena_totals;

/* Sliced arenas by number of free slices, 1..15. */
static struct arena *buckets[ARENA_SLICES];

/* By enum dirtiness, oldest first. */
static struct {
    struct arena *first, *last;
} dirty_lists[DIRTY_WHOLE + 1];

/* See key_of. */
static unsigned first_key = NO_KEY;

static void add(_Atomic size_t *total, size_t bytes)
{
    /* relaxed: written under the lock; readers without it want a recent figure, no more. */
    atomic_store_explicit(total, atomic_load_explicit(total, memory_order_relaxed) + bytes,
                          memory_order_relaxed);
}

static void subtract(_Atomic size_t *total, size_t bytes)
{
    add(total, (size_t)0 - bytes);
}

/* Of thick spans that were given back, since the start. */
static size_t turned_bytes;

/* What is probably full: what pools have carved, if that is most of them. Many threads have pools of many classes, and
 * carve little of each. */
static size_t carved_bytes(void)
{
    size_t pools = atomic_load_explicit(&arn__arena_totals.pool_bytes, memory_order_relaxed);
    size_t carved = atomic_load_explicit(&arn__arena_totals.carved_bytes, memory_order_relaxed);
    return carved >= pools - pools / 8 ? carved : 0;
}

/* The same for a span. A program that gives large blocks back will take others, and write them. A quarter is proof
 * enough: most memory is opened before the first blocks go. */
static size_t filled_bytes(size_t arenas)
{
    return carved_bytes() + (arenas < THICK_ARENAS ? 0 : TURNED_TIMES * turned_bytes);
}

static unsigned count(unsigned mask)
{
    /* By the nibble: without an instruction for it, gcc calls libgcc's. */
    mask -= mask >> 1 & 0x5555;
    mask = (mask & 0x3333) + (mask >> 2 & 0x3333);
    mask = (mask + (mask >> 4)) & 0x0f0f;
    return (mask + (mask >> 8)) & 0x1f;
}

static unsigned mask_of(unsigned first, unsigned slices)
{
    return ((1u << slices) - 1) << first;
}

/* The slices that are there. */
static unsigned whole(const struct arena *arena)
{
    return mask_of(0, arena->slices);
}

/* ---- lists ---- */

static void leave_bucket(struct arena *arena)
{
    if (arena->bucket == 0)
        return;
    if (arena->prev != NULL)
        arena->prev->next = arena->next;
    else
        buckets[arena->bucket] = arena->next;
    if (arena->next != NULL)
        arena->next->prev = arena->prev;
    arena->bucket = 0;
}

static void enter_bucket(struct arena *arena)
{
    leave_bucket(arena);
    unsigned bucket = count(arena->free);
    if (arena->state != ARENA_SLICED || bucket == 0)
        return;
    arena->bucket = (uint8_t)bucket;
    arena->prev = NULL;
    arena->next = buckets[bucket];
    if (arena->next != NULL)
        arena->next->prev = arena;
    buckets[bucket] = arena;
}

static size_t free_dirty_bytes(const struct arena *arena)
{
    return (size_t)count(arena->free & arena->dirty) * SLICE_BYTES;
}

static void leave_dirty(struct arena *arena)
{
    unsigned list = arena->dirtiness;
    if (list == DIRTY_NONE)
        return;
    if (list == DIRTY_PART)
        subtract(&arn__arena_totals.part_bytes, free_dirty_bytes(arena));
    if (arena->dirty_prev != NULL)
        arena->dirty_prev->dirty_next = arena->dirty_next;
    else
        dirty_lists[list].first = arena->dirty_next;
    if (arena->dirty_next != NULL)
        arena->dirty_next->dirty_prev = arena->dirty_prev;
    else
        dirty_lists[list].last = arena->dirty_prev;
    arena->dirtiness = DIRTY_NONE;
}

static void enter_dirty(struct arena *arena, enum dirtiness list, uint32_t now_ms)
{
    arena->dirtiness = (uint8_t)list;
    arena->dirty_ms = now_ms;
    arena->dirty_next = NULL;
    arena->dirty_prev = dirty_lists[list].last;
    if (arena->dirty_prev != NULL)
        arena->dirty_prev->dirty_next = arena;
    else
        dirty_lists[list].first = arena;
    dirty_lists[list].last = arena;
    if (list == DIRTY_PART)
        add(&arn__arena_totals.part_bytes, free_dirty_bytes(arena));
}

/* It has become one of slices, or free. */
static void relist_dirty(struct arena *arena, enum dirtiness list)
{
    if (arena->dirtiness == DIRTY_NONE)
        return;
    leave_dirty(arena);
    enter_dirty(arena, list, arn__os_now_ms());
}

/* ---- holding and freeing the slices of one arena ---- */

static void hold(struct arena *arena, unsigned mask)
{
    ARN__ASSERT((arena->free & mask) == mask, "slices taken are free");
    size_t dirty_bytes = (size_t)count(mask & arena->dirty) * SLICE_BYTES;
    subtract(&arn__arena_totals.dirty_bytes, dirty_bytes);
    if (arena->dirtiness == DIRTY_PART)
        subtract(&arn__arena_totals.part_bytes, dirty_bytes);
    add(&arn__arena_totals.live_bytes, (size_t)count(mask) * SLICE_BYTES);
    arena->free = (uint16_t)(arena->free & ~mask);
    if ((arena->free & arena->dirty) == 0)
        leave_dirty(arena);
}

/* Before slices are held for a request: were some of them purged a moment ago? */
static void note_reuse(struct arena *arena, unsigned mask)
{
    if (arena->purged_ms == 0 || (mask & ~arena->dirty) == 0)
        return;
    if (arn__os_now_ms() - arena->purged_ms < REUSED_SOON_MS)
        add(&arn__arena_totals.reused_bytes, (size_t)count(mask & ~arena->dirty) * SLICE_BYTES);
    else
        arena->purged_ms = 0;
}

/* True: the arena is to enter a list of dirty ones. */
static bool release(struct arena *arena, unsigned mask, unsigned touched)
{
    ARN__ASSERT((arena->free & mask) == 0, "slices put back were held");
    arena->free = (uint16_t)(arena->free | mask);
    arena->dirty = (uint16_t)(arena->dirty | touched); /* what was dirty when taken still is */
    subtract(&arn__arena_totals.live_bytes, (size_t)count(mask) * SLICE_BYTES);
    size_t dirty_bytes = (size_t)count(mask & arena->dirty) * SLICE_BYTES;
    add(&arn__arena_totals.dirty_bytes, dirty_bytes);
    if (arena->dirtiness == DIRTY_PART)
        add(&arn__arena_totals.part_bytes, dirty_bytes);
    return dirty_bytes > 0 && arena->dirtiness == DIRTY_NONE;
}

static void unhold(struct arena *arena, unsigned mask, unsigned touched)
{
    if (release(arena, mask, touched))
        enter_dirty(arena, DIRTY_PART, arn__os_now_ms());
}

/* ---- guards ----
 *
 * In the hardened build a slice that chance decides on is inaccessible, in each arena of a small heap that is cut up
 * into pools: it is held, of a kind of its own. */

static unsigned guard_slice(const struct arena *arena)
{
    return (unsigned)((uintptr_t)arena->base * arn__pool_times >> 60);
}

static void close_guard(struct arena *arena)
{
    unsigned slice = guard_slice(arena), mask = mask_of(slice, 1);
    char *start = arena->base + slice * SLICE_BYTES;
    if (arena->slices < ARENA_SLICES || !arn__region_is_guarded(arena) ||
        ((arena->dirty & mask) != 0 && !arn__os_purge(start, SLICE_BYTES)))
        return;
    hold(arena, mask);
    arena->dirty = (uint16_t)(arena->dirty & ~mask);
    if (arn__os_close(start, SLICE_BYTES))
        atomic_store(&arn__descriptor(start)->kind_flags, KIND_GUARD);
    else
        unhold(arena, mask, 0);
}

/* Once nothing else is held. */
static void open_guard(struct arena *arena)
{
    unsigned slice = guard_slice(arena), mask = mask_of(slice, 1);
    char *start = arena->base + slice * SLICE_BYTES;
    if ((arena->free | mask) != whole(arena) || arn__kind(arn__descriptor(start)) != KIND_GUARD ||
        !arn__os_open(start, SLICE_BYTES))
        return;
    atomic_store(&arn__descriptor(start)->kind_flags, KIND_NONE);
    unhold(arena, mask, 0);
}

/* An arena in which nothing is held goes back to its region. */
static void settle(struct arena *arena)
{
    if (GUARDED_ARENAS)
        open_guard(arena);
    if (arena->free == whole(arena)) {
        arena->state = ARENA_FREE;
        relist_dirty(arena, DIRTY_WHOLE);
        leave_bucket(arena);
        arn__region_put(arena->base, 1);
    } else {
        enter_bucket(arena);
    }
}

/* Makes an arena that was just taken from its region one of slices, all of them free, for so many of them. */
static void slice(struct arena *arena, unsigned slices)
{
    if (first_key == NO_KEY)
        first_key =
            arn__memory_is_tight() ? 0 : (unsigned)arn__secret(SECRET_FIRST_SLICE) % ARENA_SLICES;
    arena->state = ARENA_SLICED;
    arena->free = (uint16_t)whole(arena);
    relist_dirty(arena, DIRTY_PART);
    if (GUARDED_ARENAS && slices <= 4) /* a longer run might not fit beside it */
        close_guard(arena);
}

/* ---- looking for slices ---- */

/* First positions at which `slices` in a row are free. */
static unsigned fits(unsigned free, unsigned slices, bool aligned)
{
    unsigned starts = free;
    for (unsigned i = 1; i < slices; i++)
        starts &= free >> i;
    if (aligned && slices == 4)
        starts &= 0x1111;
    return starts;
}

/* The bit at position i moves to position i ^ key. */
static unsigned scattered(unsigned mask, unsigned key)
{
    mask = key & 1 ? (mask & 0x5555) << 1 | (mask & 0xaaaa) >> 1 : mask;
    mask = key & 2 ? (mask & 0x3333) << 2 | (mask & 0xcccc) >> 2 : mask;
    mask = key & 4 ? (mask & 0x0f0f) << 4 | (mask & 0xf0f0) >> 4 : mask;
    return key & 8 ? (mask & 0x00ff) << 8 | (mask & 0xff00) >> 8 : mask;
}

/* The first region's pools are taken in an order that differs from start to start, so that nobody knows where in
 * its arena a small program's block lies. Aligned fours fill up one after the other all the same. Runs lie as low
 * as they can: they grow upwards. */
static unsigned key_of(const struct arena *arena, bool aligned)
{
    return aligned && arena->region == arn__regions ? first_key : 0;
}

/* The position to take: rather where pages are resident already. */
static unsigned choose(const struct arena *arena, unsigned slices, bool aligned)
{
    unsigned warm = fits(arena->free & arena->dirty, slices, aligned);
    unsigned starts = warm != 0 ? warm : fits(arena->free, slices, aligned);
    unsigned key = key_of(arena, aligned);
    return starts == 0 ? ARENA_SLICES : (unsigned)__builtin_ctz(scattered(starts, key)) ^ key;
}

/* Fullest arena first, so that others empty. */
static struct arena *find_sliced(unsigned slices, bool aligned, unsigned *first)
{
    for (unsigned bucket = slices; bucket < ARENA_SLICES; bucket++) {
        unsigned looked_at = 0;
        for (struct arena *arena = buckets[bucket]; arena != NULL && looked_at < LOOKED_AT;
             arena = arena->next, looked_at++) {
            *first = choose(arena, slices, aligned);
            if (*first < ARENA_SLICES)
                return arena;
        }
    }
    return NULL;
}

/* A free arena, of so many slices at least: rather the one that was dirtied last. */
static struct arena *take_free_arena(unsigned slices, enum growth growth)
{
    unsigned looked_at = 0;
    struct arena *arena = dirty_lists[DIRTY_WHOLE].last;
    for (; arena != NULL && looked_at < LOOKED_AT; arena = arena->dirty_prev, looked_at++) {
        if (arena->region->slices >= slices &&
            arn__region_take_at(arena->region, arena->base, 1, carved_bytes()))
            return arena;
    }
    char *base = arn__region_take(1, 1, carved_bytes(), growth);
    if (base == NULL)
        base = arn__region_take_part(slices, growth);
    return base == NULL ? NULL : arn__arena(base);
}

static char *take_slices(unsigned slices, bool aligned, enum growth growth, bool *clean)
{
    char *base = NULL;
    unsigned first = 0;
    arn__lock(&arn__arena_lock, RANK_ARENA);
    struct arena *arena = find_sliced(slices, aligned, &first);
    if (arena == NULL && (arena = take_free_arena(slices, growth)) != NULL) {
        slice(arena, slices);
        first = choose(arena, slices, aligned);
    }
    if (arena != NULL) {
        unsigned mask = mask_of(first, slices);
        note_reuse(arena, mask);
        hold(arena, mask);
        enter_bucket(arena);
        base = arena->base + first * SLICE_BYTES;
        *clean = (arena->dirty & mask) == 0;
    }
    arn__unlock(&arn__arena_lock, RANK_ARENA);
    return base;
}

char *arn__slices_take(unsigned slices, bool aligned)
{
    bool clean;
    return take_slices(slices, aligned, MAY_GROW, &clean);
}

char *arn__slices_take_told(unsigned slices, bool *clean)
{
    return take_slices(slices, true, MAY_GROW, clean);
}

char *arn__slices_take_within(unsigned slices, enum growth growth)
{
    bool clean;
    return take_slices(slices, false, growth, &clean);
}

bool arn__slices_take_at(char *base, unsigned slices)
{
    unsigned first = arn__slice_in_arena(base);
    if (first == 0 || first + slices > ARENA_SLICES)
        return false; /* the next arena is another one's business */
    arn__lock(&arn__arena_lock, RANK_ARENA);
    struct arena *arena = arn__arena(base);
    unsigned mask = mask_of(first, slices);
    bool available = (arena->free & mask) == mask;
    if (available) {
        note_reuse(arena, mask);
        hold(arena, mask);
        enter_bucket(arena);
    }
    arn__unlock(&arn__arena_lock, RANK_ARENA);
    return available;
}

void arn__slices_put(char *base, unsigned slices, unsigned touched)
{
    unsigned first = arn__slice_in_arena(base);
    arn__lock(&arn__arena_lock, RANK_ARENA);
    struct arena *arena = arn__arena(base);
    unhold(arena, mask_of(first, slices), mask_of(first, touched));
    settle(arena);
    arn__unlock(&arn__arena_lock, RANK_ARENA);
}

/* ---- spans ---- */

/* Arenas just taken from their region become a span. Caller holds the lock. */
static void hold_span(char *base, size_t arenas)
{
    for (size_t i = 0; i < arenas; i++) {
        struct arena *arena = arn__arena(base + i * ARENA_BYTES);
        arena->free = (uint16_t)whole(arena);
        hold(arena, whole(arena));
        arena->state = ARENA_SPAN;
    }
}

/* Caller holds the lock. */
static void unhold_span(char *base, size_t arenas, size_t touched_bytes)
{
    uint32_t now_ms = arn__os_now_ms();
    for (size_t i = 0; i < arenas; i++) {
        struct arena *arena = arn__arena(base + i * ARENA_BYTES);
        size_t touched = (touched_bytes + SLICE_BYTES - 1) / SLICE_BYTES;
        if (touched > ARENA_SLICES)
            touched = ARENA_SLICES;
        if (release(arena, ALL_SLICES, mask_of(0, (unsigned)touched)))
            enter_dirty(arena, DIRTY_WHOLE, now_ms);
        arena->state = ARENA_FREE;
        touched_bytes -= touched_bytes < ARENA_BYTES ? touched_bytes : ARENA_BYTES;
    }
    arn__region_put(base, arenas);
}

/* ---- groups that become huge ----
 *
 * A group of small pages that was purged and is needed again at once takes a page fault for each again, or one. */

/* All of it, a moment ago. */
static bool was_purged(char *group, uint32_t now_ms)
{
    for (size_t i = 0; i < GROUP_ARENAS; i++) {
        const struct arena *arena = arn__arena(group + i * ARENA_BYTES);
        if (arena->purged_ms == 0 || arena->dirty != 0 ||
            now_ms - arena->purged_ms >= REUSED_SOON_MS)
            return false;
    }
    return !arn__region_group_is_huge(arn__arena(group));
}

static void put_back(char *start, const char *end)
{
    if (start != end)
        arn__region_put(start, (size_t)(end - start) / ARENA_BYTES);
}

/* What lies there now is nothing of the heap's: held for good, as guards are. */
static void lose(char *base, size_t bytes)
{
    hold_span(base, bytes / ARENA_BYTES);
    for (size_t at = 0; at < bytes; at += ARENA_BYTES)
        arn__arena(base + at)->state = ARENA_SLICED;
    /* The first one last: until then it tells of them all, see thicken_run. */
    for (size_t at = bytes; at > 0;) {
        at -= SLICE_BYTES;
        atomic_store(&arn__descriptor(base + at)->kind_flags, KIND_GUARD);
    }
}

/* They are a span meanwhile: for a child that is forked amid it, where they may be inaccessible. */
static bool thicken_run(char *base, size_t bytes, size_t filled)
{
    struct descriptor *d = arn__descriptor(base);
    d->units = (uint32_t)(bytes / ARENA_BYTES);
    d->block_bytes = bytes;
    atomic_store_explicit(&d->kind_flags, KIND_SPAN, memory_order_release);
    bool kept = arn__region_thicken(base, bytes, filled);
    if (kept)
        atomic_store_explicit(&d->kind_flags, KIND_NONE, memory_order_release);
    else
        lose(base, bytes);
    return kept;
}

/* Of a span that was just taken from its region and is not held yet. False: some of it is lost, the rest is back. */
static bool thicken(char *base, size_t arenas)
{
    static bool lost; /* the OS is out of something: it would be so again */
    char *end = base + arenas * ARENA_BYTES;
    char *group = (char *)(((uintptr_t)base + GROUP_BYTES - 1) & ~(uintptr_t)(GROUP_BYTES - 1));
    uint32_t now_ms = arn__os_now_ms();
    for (size_t bytes; !lost && group + GROUP_BYTES <= end; group += bytes + GROUP_BYTES) {
        bytes = 0;
        while (group + bytes + GROUP_BYTES <= end && was_purged(group + bytes, now_ms))
            bytes += GROUP_BYTES;
        if (bytes > 0 && !thicken_run(group, bytes, filled_bytes(arenas))) {
            lost = true;
            put_back(base, group);
            put_back(group + bytes, end);
            return false;
        }
    }
    return true;
}

static void hold_span_for_request(char *base, size_t arenas)
{
    for (size_t i = 0; i < arenas; i++)
        note_reuse(arn__arena(base + i * ARENA_BYTES), ALL_SLICES);
    hold_span(base, arenas);
}

char *arn__span_take(size_t arenas, size_t alignment_arenas)
{
    return arn__span_take_within(arenas, alignment_arenas, MAY_GROW);
}

char *arn__span_take_within(size_t arenas, size_t alignment_arenas, enum growth growth)
{
    arn__lock(&arn__arena_lock, RANK_ARENA);
    char *base;
    do
        base = arn__region_take(arenas, alignment_arenas, filled_bytes(arenas), growth);
    while (base != NULL && arenas >= THICK_ARENAS && !thicken(base, arenas));
    if (base != NULL)
        hold_span_for_request(base, arenas);
    arn__unlock(&arn__arena_lock, RANK_ARENA);
    return base;
}

bool arn__span_take_at(char *base, size_t arenas)
{
    arn__lock(&arn__arena_lock, RANK_ARENA);
    struct region *region = arn__arena(base - ARENA_BYTES)->region; /* the next may adjoin */
    bool available = region != NULL && arn__region_take_at(region, base, arenas, carved_bytes());
    if (available)
        hold_span_for_request(base, arenas);
    arn__unlock(&arn__arena_lock, RANK_ARENA);
    return available;
}

void arn__span_put(char *base, size_t arenas, size_t touched_bytes)
{
    arn__lock(&arn__arena_lock, RANK_ARENA);
    turned_bytes += arenas < THICK_ARENAS ? 0 : arenas * ARENA_BYTES;
    unhold_span(base, arenas, touched_bytes);
    arn__unlock(&arn__arena_lock, RANK_ARENA);
}

/* ---- what reads as zero ---- */

void arn__slices_zero(char *base, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        char *start = base + at;
        arn__lock(&arn__arena_lock, RANK_ARENA);
        unsigned dirty = arn__arena(start)->dirty;
        arn__unlock(&arn__arena_lock, RANK_ARENA);
        for (unsigned i = arn__slice_in_arena(start); i < ARENA_SLICES && at < bytes; i++) {
            size_t piece = bytes - at < SLICE_BYTES ? bytes - at : SLICE_BYTES;
            if (dirty >> i & 1)
                memset(base + at, 0, piece);
            at += SLICE_BYTES;
        }
    }
}

/* ---- for purging ---- */

/* The first run of `dirty` that covers whole pages; 0 slices if there is none. */
static unsigned purgeable_run(unsigned dirty, unsigned *first)
{
    unsigned page_slices = (unsigned)(arn__os_page_bytes() / SLICE_BYTES);
    if (page_slices < 1)
        page_slices = 1;
    for (unsigned i = 0; i < ARENA_SLICES; i += page_slices) {
        unsigned run = 0;
        while (i + run < ARENA_SLICES &&
               (dirty & mask_of(i + run, page_slices)) == mask_of(i + run, page_slices))
            run += page_slices;
        if (run > 0) {
            *first = i;
            return run;
        }
    }
    return 0;
}

static bool is_dirty_since(const struct arena *arena, uint32_t now_ms, uint32_t age_ms)
{
    return arena != NULL && now_ms - arena->dirty_ms >= age_ms;
}

/* What to purge: the oldest, but rather whole arenas than parts of those that will be filled first, and
 * whole huge pages: a part costs the page, and its memory comes back in small ones. NULL: none is that old. */
static struct arena *find_dirty(uint32_t whole_age_ms, uint32_t part_age_ms)
{
    uint32_t now_ms = arn__os_now_ms();
    unsigned looked_at = 0;
    struct arena *whole = dirty_lists[DIRTY_WHOLE].first, *part = dirty_lists[DIRTY_PART].first;
    for (struct arena *arena = whole;
         looked_at < DIRTY_LOOKED_AT && is_dirty_since(arena, now_ms, whole_age_ms);
         arena = arena->dirty_next, looked_at++) {
        if (!arn__region_group_is_huge(arena) || arn__region_group_is_free(arena))
            return arena;
    }
    if (is_dirty_since(whole, now_ms, whole_age_ms))
        return whole;
    return is_dirty_since(part, now_ms, part_age_ms) ? part : NULL;
}

static bool take_dirty_group(struct arena *arena, struct dirty_range *range)
{
    char *base = (char *)((uintptr_t)arena->base & ~(uintptr_t)(GROUP_BYTES - 1));
    if (!arn__region_group_is_huge(arena) ||
        !arn__region_take_at(arena->region, base, GROUP_ARENAS, carved_bytes()))
        return false;
    hold_span(base, GROUP_ARENAS);
    range->base = base;
    range->slices = GROUP_BYTES / SLICE_BYTES;
    return true;
}

/* A free arena and the free dirty ones right behind it. */
static void take_dirty_span(struct arena *arena, struct dirty_range *range, size_t most_slices)
{
    if (take_dirty_group(arena, range))
        return;
    range->base = arena->base;
    range->slices = 0;
    while (range->slices + ARENA_SLICES <= most_slices || range->slices == 0) {
        char *next = range->base + range->slices * SLICE_BYTES;
        if (range->slices > 0 && (!arn__has_tract(next) || arn__arena(next)->state != ARENA_FREE ||
                                  arn__arena(next)->dirtiness == DIRTY_NONE ||
                                  arn__arena(next)->region != arena->region))
            break;
        if (!arn__region_take_at(arena->region, next, 1, carved_bytes()))
            break;
        hold_span(next, 1);
        range->slices += arena->region->slices;
    }
}

bool arn__arena_take_oldest_dirty(struct dirty_range *range, size_t most_slices,
                                  uint32_t whole_age_ms, uint32_t part_age_ms)
{
    struct arena *arena;
    while ((arena = find_dirty(whole_age_ms, part_age_ms)) != NULL) {
        if (arena->state == ARENA_FREE) {
            take_dirty_span(arena, range, most_slices);
            if (range->slices > 0)
                return true;
        } else {
            unsigned first;
            unsigned run = purgeable_run(arena->free & arena->dirty, &first);
            if (run > 0) {
                range->base = arena->base + first * SLICE_BYTES;
                range->slices = run;
                hold(arena, mask_of(first, run));
                enter_bucket(arena);
                return true;
            }
        }
        leave_dirty(arena); /* less than a page of it is free: until more is */
    }
    return false;
}

void arn__arena_put_purged(const struct dirty_range *range, bool purged)
{
    size_t slices = range->slices;
    for (char *base = range->base; slices > 0;) {
        struct arena *arena = arn__arena(base);
        unsigned here = ARENA_SLICES - arn__slice_in_arena(base);
        if (here > slices)
            here = (unsigned)slices;
        unsigned mask = mask_of(arn__slice_in_arena(base), here);
        if (purged && (arena->dirty & mask) != 0) { /* of a huge page, some may have been clean */
            uint32_t now_ms = arn__os_now_ms();
            arena->dirty = (uint16_t)(arena->dirty & ~mask);
            arena->purged_ms = now_ms == 0 ? 1 : now_ms;
        }
        unhold(arena, mask, 0);
        settle(arena);
        base += (size_t)here * SLICE_BYTES;
        slices -= here;
    }
}

bool arn__arena_oldest_dirty_ms(uint32_t *since_ms)
{
    const struct arena *whole = dirty_lists[DIRTY_WHOLE].first,
                       *part = dirty_lists[DIRTY_PART].first;
    const struct arena *arena = whole;
    if (whole == NULL || (part != NULL && (int32_t)(part->dirty_ms - whole->dirty_ms) < 0))
        arena = part;
    if (arena != NULL)
        *since_ms = arena->dirty_ms;
    return arena != NULL;
}

static void forget(struct arena *arena)
{
    subtract(&arn__arena_totals.dirty_bytes,
             (size_t)count(arena->dirty & ALL_SLICES) * SLICE_BYTES * (arena->state == ARENA_FREE));
    leave_dirty(arena);
    memset(arena, 0, sizeof *arena);
}

size_t arn__arena_release_regions(void)
{
    arn__lock(&arn__arena_lock, RANK_ARENA);
    size_t bytes = arn__region_release_free(forget);
    arn__unlock(&arn__arena_lock, RANK_ARENA);
    return bytes;
}

/* ---- after fork ---- */

/* What the descriptors say of one arena; returns the arenas it tells of. Slices that no descriptor
 * claims were changing hands in a thread that is not here: free, and possibly written. */
static size_t rebuild_arena(struct region *region, size_t idx)
{
    char *base = region->base + idx * ARENA_BYTES;
    struct arena *arena = arn__arena(base);
    struct descriptor *d = arn__descriptor(base);
    if (arn__kind(d) == KIND_SPAN && !arn__has_flag(d, LARGE_SPARE) && d->units > 0) {
        size_t arenas = d->units;
        for (size_t i = 0; i < arenas; i++) {
            arena = arn__arena(base + i * ARENA_BYTES);
            memset(arena, 0, sizeof *arena);
            arena->base = base + i * ARENA_BYTES;
            arena->region = region;
            arena->slices = ARENA_SLICES;
            arena->state = ARENA_SPAN;
            arena->dirty = ALL_SLICES;
        }
        add(&arn__arena_totals.live_bytes, arenas * ARENA_BYTES);
        return arenas;
    }
    unsigned held = 0;
    for (unsigned i = 0; i < region->slices;) {
        unsigned slices = 1;
        if ((arn__kind(d + i) == KIND_POOL || arn__kind(d + i) == KIND_OBJECTS) &&
            arn__is_head(d + i)) {
            slices = arn__size_classes[d[i].class_idx].slices;
            held |= mask_of(i, slices);
            add(&arn__arena_totals.pool_bytes, arn__room_bytes(d + i));
            add(&arn__arena_totals.carved_bytes, arn__carved_bytes(d + i));
        } else if (arn__kind(d + i) == KIND_GUARD) {
            held |= mask_of(i, 1);
        } else if (arn__kind(d + i) == KIND_RUN && !arn__has_flag(d + i, LARGE_SPARE)) {
            slices = d[i].units;
            held |= mask_of(i, slices);
        } else {
            memset((void *)(d + i), 0, sizeof *d);
        }
        i += slices;
    }
    memset(arena, 0, sizeof *arena);
    arena->base = base;
    arena->region = region;
    arena->slices = (uint8_t)region->slices;
    arena->dirty = (uint16_t)whole(arena);
    arena->state = ARENA_SLICED;
    add(&arn__arena_totals.live_bytes, (size_t)region->slices * SLICE_BYTES);
    unhold(arena, whole(arena) & ~held, 0);
    if (arena->free == whole(arena)) {
        arena->state = ARENA_FREE;
        relist_dirty(arena, DIRTY_WHOLE);
    }
    enter_bucket(arena);
    return 1;
}

void arn__arena_rebuild(void)
{
    arn__lock_reset(&arn__arena_lock);
    memset(buckets, 0, sizeof buckets);
    memset(dirty_lists, 0, sizeof dirty_lists);
    memset((void *)&arn__arena_totals, 0, sizeof arn__arena_totals);
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        for (size_t i = 0; i < region->opened;)
            i += rebuild_arena(region, i);
    }
    arn__region_rebuild();
}

/* ---- checks ---- */

static size_t verify_arena(const struct arena *arena, size_t *part_bytes)
{
    unsigned free_dirty = arena->free & arena->dirty;
    if (arena->state == ARENA_SPAN || arena->state == ARENA_NONE)
        return 0;
    if (arena->state == ARENA_SLICED && arena->bucket != count(arena->free))
        arn__broken(__FILE__, __LINE__, "an arena is in the list of its free slices");
    if (arena->state == ARENA_FREE && arena->free != whole(arena))
        arn__broken(__FILE__, __LINE__, "a free arena holds nothing");
    if (arena->dirtiness != DIRTY_NONE && free_dirty == 0)
        arn__broken(__FILE__, __LINE__, "a listed arena has dirty free slices");
    if (arena->dirtiness != DIRTY_NONE &&
        (arena->dirtiness == DIRTY_WHOLE) != (arena->state == ARENA_FREE))
        arn__broken(__FILE__, __LINE__, "a free arena that is dirty is listed as such");
    if (arena->dirtiness == DIRTY_PART)
        *part_bytes += free_dirty_bytes(arena);
    return (size_t)count(free_dirty) * SLICE_BYTES;
}

void arn__arena_verify(void)
{
    arn__lock(&arn__arena_lock, RANK_ARENA);
    size_t dirty_bytes = 0, part_bytes = 0;
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        for (size_t i = 0; i < region->opened; i++)
            dirty_bytes += verify_arena(arn__region_arena(region, i), &part_bytes);
    }
    if (dirty_bytes != atomic_load(&arn__arena_totals.dirty_bytes) ||
        part_bytes != atomic_load(&arn__arena_totals.part_bytes))
        arn__broken(__FILE__, __LINE__, "dirty bytes are counted");
    arn__unlock(&arn__arena_lock, RANK_ARENA);
}
