/* region.c - reservations and their frontiers. */
#include "region.h"

#include <string.h>

#include "edge.h"
#include "guard.h"
#include "hardened.h"
#include "lock.h"
#include "meta.h"
#include "options.h"
#include "os.h"

enum {
    WORD_BITS = 64,
    FIRST_ARENAS = 4,              /* of the first region: little for a small process */
    FIRST_RESERVE_BYTES = 8 << 20, /* the first after that */
    /* 512 small pages take 0.3 to 1 ms, a huge one that is at hand 0.1 to 0.3. */
    HUGE_SLOW_NS = 1000000,
    HUGE_SKIPS_MOST = 15,
};

/* Reservations grow with the heap up to this. */
static const size_t most_reserve_bytes = (size_t)8 << 30;

/* A process that may have no more than this is short of memory from the start. */
static const size_t tight_bytes = (size_t)256 << 20;

/* A heap of so much is large: it has no more guards among its arenas. */
static const size_t guarded_bytes = (size_t)16 << 20;

static bool limited; /* address space must not be reserved far ahead of need */
static _Atomic bool tight;

bool arn__memory_is_tight(void)
{
    return atomic_load_explicit(&tight, memory_order_relaxed);
}

static void note_refusal(void)
{
    atomic_store_explicit(&tight, true, memory_order_relaxed);
}

static void read_limits(void)
{
    size_t limit_bytes = arn__os_memory_limit();
    limited = limit_bytes != SIZE_MAX;
    if (limit_bytes <= tight_bytes)
        note_refusal();
}

/* ---- seeds ---- */

/* Of huge pages. The lock beside it, in one cache line, tells a forked child whether a thread that is not
 * there was growing it. Of small pages, where the kernel does not go by MAP_STACK: under the arena lock,
 * and not used in a child of threads. */
static _Alignas(64) struct {
    struct lock lock;
    struct os_seed seed;
} huge;
static struct os_seed small;

void *arn__huge_map(size_t bytes, size_t alignment)
{
    arn__lock(&huge.lock, RANK_SEED);
    void *start = arn__os_grow(&huge.seed, bytes, alignment);
    arn__unlock(&huge.lock, RANK_SEED);
    if (start != NULL && !arn__os_open(start, bytes)) {
        arn__os_unmap(start, bytes);
        start = NULL;
    }
    return start;
}

static enum os_grown make_huge_at(char *start, size_t bytes)
{
    arn__lock(&huge.lock, RANK_SEED);
    enum os_grown answer = arn__os_grow_at(&huge.seed, start, bytes);
    arn__unlock(&huge.lock, RANK_SEED);
    return answer;
}

void arn__huge_after_fork(void)
{
    if (atomic_load(&huge.lock.word) != 0)
        huge.seed.page = NULL;
    arn__lock_reset(&huge.lock);
}

struct region *arn__regions;
struct region_totals arn__region_totals;

static size_t stretches_of(size_t arenas)
{
    return (arenas + WORD_BITS - 1) / WORD_BITS;
}

static bool is_free(const struct region *region, size_t idx)
{
    return region->stretches[idx / WORD_BITS].free >> (idx % WORD_BITS) & 1;
}

/* ---- runs of free arenas ----
 *
 * First fit looks at one number per 64 arenas, not at every run that is too short. */

/* The next free arena at or after `idx`, or region->arenas. */
static size_t next_free(const struct region *region, size_t idx)
{
    while (idx < region->arenas) {
        uint64_t word = region->stretches[idx / WORD_BITS].free >> (idx % WORD_BITS);
        if (word != 0)
            return idx + (size_t)__builtin_ctzll(word);
        idx = (idx / WORD_BITS + 1) * WORD_BITS;
    }
    return region->arenas;
}

/* The next arena at or after `idx` that is not free, or region->arenas. */
static size_t run_end(const struct region *region, size_t idx)
{
    while (idx < region->arenas) {
        uint64_t taken = ~region->stretches[idx / WORD_BITS].free >> (idx % WORD_BITS);
        if (taken != 0) {
            idx += (size_t)__builtin_ctzll(taken);
            break;
        }
        idx = (idx / WORD_BITS + 1) * WORD_BITS;
    }
    return idx < region->arenas ? idx : region->arenas;
}

/* Where the run begins that the free arena `idx` is in. */
static size_t run_begin(const struct region *region, size_t idx)
{
    for (;;) {
        size_t above = WORD_BITS - 1 - idx % WORD_BITS;
        uint64_t taken = ~region->stretches[idx / WORD_BITS].free << above;
        if (taken != 0)
            return idx + 1 - (size_t)__builtin_clzll(taken);
        if (idx < WORD_BITS)
            return 0;
        idx = idx / WORD_BITS * WORD_BITS - 1;
    }
}

static void measure(struct region *region, size_t stretch)
{
    size_t idx = stretch * WORD_BITS, end = idx + WORD_BITS, longest = 0;
    if (idx > 0 && is_free(region, idx - 1))
        idx = run_end(region, idx); /* begins before */
    while ((idx = next_free(region, idx)) < end && idx < region->arenas) {
        size_t next = run_end(region, idx);
        if (next - idx > longest)
            longest = next - idx;
        idx = next;
    }
    region->stretches[stretch].longest = (uint32_t)longest;
}

/* After the arenas from `first` on changed. */
static void measure_around(struct region *region, size_t first, size_t arenas)
{
    size_t last = first + arenas < region->arenas ? first + arenas : region->arenas - 1;
    for (size_t i = first / WORD_BITS; i <= last / WORD_BITS; i++)
        measure(region, i);
    if (first > 0 && is_free(region, first - 1)) {
        size_t before = run_begin(region, first - 1) / WORD_BITS;
        if (before < first / WORD_BITS)
            measure(region, before);
    }
}

static void set_bits(struct region *region, size_t first, size_t arenas, bool free)
{
    for (size_t i = first; i < first + arenas; i++) {
        uint64_t bit = (uint64_t)1 << (i % WORD_BITS);
        if (free)
            region->stretches[i / WORD_BITS].free |= bit;
        else
            region->stretches[i / WORD_BITS].free &= ~bit;
    }
    if (free)
        region->free_arenas += (uint32_t)arenas;
    else
        region->free_arenas -= (uint32_t)arenas;
}

static void mark(struct region *region, size_t first, size_t arenas, bool free)
{
    set_bits(region, first, arenas, free);
    measure_around(region, first, arenas);
}

/* First fit: the lowest run of free arenas; region->arenas if there is none. */
static size_t find(const struct region *region, size_t arenas, size_t alignment_arenas)
{
    size_t unit = (uintptr_t)region->base / ARENA_BYTES % alignment_arenas;
    for (size_t i = 0; i < stretches_of(region->arenas); i++) {
        if (region->stretches[i].longest < arenas)
            continue;
        size_t idx = i * WORD_BITS, end = idx + WORD_BITS;
        while ((idx = next_free(region, idx)) < end && idx < region->arenas) {
            size_t next = run_end(region, idx);
            size_t skew = (unit + idx) % alignment_arenas;
            size_t fit = skew == 0 ? idx : idx + alignment_arenas - skew;
            if (fit + arenas <= next)
                return fit;
            idx = next;
        }
    }
    return region->arenas;
}

/* ---- records ---- */

/* Of regions that are gone, through `next`. Under the arena lock. */
static struct region *spare;

/* Zero but for its room; NULL: no memory. */
static struct region *take_record(size_t arenas)
{
    size_t room = stretches_of(arenas);
    struct region **link = &spare;
    while (*link != NULL && (*link)->room < room)
        link = &(*link)->next;
    struct region *record = *link;
    if (record != NULL) {
        *link = record->next;
        room = record->room;
        memset(record, 0, sizeof *record + room * sizeof(struct stretch));
    } else if ((record = arn__meta_alloc(sizeof *record + room * sizeof(struct stretch))) == NULL) {
        return NULL;
    }
    record->room = (uint32_t)room;
    return record;
}

static void keep_record(struct region *record)
{
    record->next = spare;
    spare = record;
}

/* The first region's: a small program needs no page for it. */
static _Alignas(struct region) char first_region[sizeof(struct region) + sizeof(struct stretch)];

/* What so many arenas of a region take. */
static size_t bytes_of(const struct region *region, size_t arenas)
{
    return arenas * region->slices * SLICE_BYTES;
}

/* Enters a new region in a zeroed record; `opened` arenas of it are accessible already. */
static void enter(struct region *region, char *base, size_t arenas, unsigned slices, size_t opened)
{
    region->base = base;
    region->arenas = (uint32_t)arenas;
    region->slices = slices;
    region->opened = (uint32_t)opened;
    mark(region, 0, arenas, true);
    /* Oldest first: a search fills low regions before it touches a newer one. */
    struct region **link = &arn__regions;
    while (*link != NULL)
        link = &(*link)->next;
    *link = region;
    arn__region_totals.reserved_bytes += bytes_of(region, arenas);
    arn__region_totals.opened_bytes += bytes_of(region, opened);
}

/* Slack that stays mapped costs address space, no more. */
static void give_back(char *start, char *end)
{
    if (start != end)
        arn__os_unmap(start, (size_t)(end - start));
}

/* No huge pages for a small heap, nor for tables, whatever the system's setting. */
static void sow(char *page, bool stacks_are_small)
{
    if (arn__options.huge != HUGE_OFF)
        arn__os_sow(&huge.seed, page, true);
    if (!stacks_are_small)
        arn__os_sow(&small, page + arn__os_page_bytes(), false);
}

/* From here to the end of the tract, whose table is there. */
static size_t arenas_in_tract(const char *base)
{
    return (TRACT_BYTES - ((uintptr_t)base & (TRACT_BYTES - 1))) / ARENA_BYTES;
}

/* Of the first region, which is small where memory is short. */
static size_t first_arenas(const char *base)
{
    if (arn__memory_is_tight() || !arn__directory_admits(base, FIRST_ARENAS * ARENA_BYTES))
        return 1;
    return FIRST_ARENAS;
}

/* The first region: opens what a table is there for. */
static bool start_at(char *base, size_t arenas)
{
    size_t covered = arenas_in_tract(base), opened = arenas < covered ? arenas : covered;
    if (GUARDED_ARENAS)
        opened = 1;
    if (!arn__os_open(base, opened * ARENA_BYTES))
        return false;
    /* There is a table if a start that failed was followed by map blocks: it stays. */
    arn__directory_enter(base, &arn__directory.first);
    if (!arn__directory_cover(base, 1))
        return false;
    if (arn__options.huge == HUGE_ALWAYS)
        arn__os_huge(base, arenas * ARENA_BYTES, true);
    struct region *region = (struct region *)first_region;
    region->guard_bytes = (uint32_t)arn__os_page_bytes();
    enter(region, base, arenas, ARENA_SLICES, opened);
    return true;
}

/* One reservation: the seeds, a guard, the arenas at multiples of their size wherever it lands, a guard. */
bool arn__region_start(void)
{
    size_t page_bytes = arn__os_page_bytes();
    read_limits();
    bool stacks_are_small = arn__os_stacks_are_small();
    size_t before = (stacks_are_small ? 2 : 3) * page_bytes;
    size_t most = arn__memory_is_tight() ? 1 : FIRST_ARENAS;
    size_t bytes = before + (most + 1) * ARENA_BYTES;
    /* Under a limit, what the kernel maps beside it needs no other table. */
    char *place = limited ? NULL : arn__guard_place(bytes, ARENA_BYTES);
    char *start = arn__os_reserve_near(place == NULL ? NULL : place - before, bytes);
    if (start == NULL)
        return false;
    char *base =
        (char *)(((uintptr_t)start + before + ARENA_BYTES - 1) & ~(uintptr_t)(ARENA_BYTES - 1));
    size_t arenas = first_arenas(base);
    if (!start_at(base, arenas)) {
        arn__os_unmap(start, bytes);
        return false;
    }
    sow(start, stacks_are_small);
    if (limited) {
        give_back(start + before - page_bytes, base - page_bytes);
        give_back(base + arenas * ARENA_BYTES + page_bytes, start + bytes);
    }
    arn__guard_anchor(start);
    if (GUARDED_ARENAS)
        arn__edges_close();
    return true;
}

/* Of the region that is being reserved; under the arena lock. */
static size_t guard_bytes;

/* With guards, grown from the seed of small pages where the kernel needs that. */
static char *grow_space(size_t bytes, size_t alignment)
{
    size_t room = arn__guard_room(bytes, alignment);
    char *start = arn__os_grow(&small, room, arn__os_page_bytes());
    return start == NULL ? NULL : arn__guard_cut(start, bytes, alignment);
}

/* Right below the region that was made last, whose table may be this one's, too; NULL: something lies there, or the
 * first could not be made. Below the first region are its guard and the seeds. */
static char *reserve_below(size_t bytes, size_t alignment)
{
    const struct region *last = arn__regions;
    if (last == NULL)
        return NULL;
    while (last->next != NULL)
        last = last->next;
    uintptr_t end = (uintptr_t)last->base - (last->guard_bytes > 0 ? ARENA_BYTES : 0);
    if (end / 2 < bytes)
        return NULL;
    char *wanted = (char *)((end - bytes) & ~(uintptr_t)(alignment - 1));
    char *base = arn__os_reserve_near(wanted, bytes);
    if (base != NULL && base != wanted) {
        arn__os_unmap(base, bytes);
        base = NULL;
    }
    return base;
}

static void *take_space(size_t bytes, size_t alignment)
{
    char *base;
    if (guard_bytes > 0) {
        base = grow_space(bytes, alignment);
        return base != NULL ? base : arn__guard_reserve(bytes, alignment);
    }
    base = arn__os_grow(&small, bytes, alignment);
    if (base == NULL)
        base = reserve_below(bytes, alignment);
    return base != NULL ? base : arn__os_reserve(bytes, alignment);
}

static bool give_space(void *base, size_t bytes)
{
    return arn__os_unmap((char *)base - guard_bytes, bytes + 2 * guard_bytes);
}

/* Reserves a region of `arenas`, of `slices` each, none of which is open; false: no memory. */
static bool reserve_exactly(size_t arenas, unsigned slices)
{
    size_t bytes = arenas * slices * SLICE_BYTES;
    size_t alignment = bytes % GROUP_BYTES == 0 ? GROUP_BYTES : ARENA_BYTES;
    struct region *region = take_record(arenas);
    if (region == NULL)
        return false;
    /* Where memory is short, it has no guards; and the tables come first: a region without them could not be
     * used. */
    bool is_tight = arn__memory_is_tight();
    guard_bytes = is_tight ? 0 : arn__os_page_bytes();
    char *base = arn__directory_place(take_space, give_space, bytes, alignment,
                                      is_tight ? arn__directory_cover : arn__directory_admits);
    if (base == NULL) {
        keep_record(region);
        return false;
    }
    if (arn__options.huge == HUGE_ALWAYS)
        arn__os_huge(base, bytes, true);
    region->guard_bytes = (uint32_t)guard_bytes;
    enter(region, base, arenas, slices, 0);
    /* Not at the start, where a small program would wait for four calls more. */
    if (!GUARDED_ARENAS && region == arn__regions->next)
        arn__edges_close();
    return true;
}

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* For at least `bytes`, which is a multiple of an arena: as large as all there are so far, or an eighth of
 * them where memory is limited or was refused. */
static size_t wanted_bytes(size_t bytes)
{
    bool is_tight = arn__memory_is_tight();
    size_t reserved = arn__region_totals.reserved_bytes, wanted = reserved;
    if (limited || is_tight)
        wanted /= 8;
    else if (wanted < FIRST_RESERVE_BYTES)
        wanted = FIRST_RESERVE_BYTES;
    if (wanted > most_reserve_bytes)
        wanted = most_reserve_bytes;
    if (wanted < bytes)
        wanted = bytes;
    return round_up(wanted, is_tight && reserved < FIRST_RESERVE_BYTES ? ARENA_BYTES : GROUP_BYTES);
}

/* While the OS refuses: half as much, and no more than is wanted where memory was refused. */
static bool reserve(size_t bytes)
{
    size_t wanted = wanted_bytes(bytes);
    while (!reserve_exactly(wanted / ARENA_BYTES, ARENA_SLICES)) {
        note_refusal();
        if (wanted == bytes)
            return false;
        size_t half = wanted / 2 / ARENA_BYTES * ARENA_BYTES, few = wanted_bytes(bytes);
        wanted = half < few ? half : few;
        size_t groups = wanted / GROUP_BYTES * GROUP_BYTES;
        if (wanted < bytes)
            wanted = bytes;
        else if (groups >= bytes)
            wanted = groups;
    }
    return true;
}

/* ---- huge pages ---- */

static uint8_t group_bit(size_t idx)
{
    return (uint8_t)(1u << (idx % WORD_BITS / GROUP_ARENAS));
}

struct huge_pace arn__huge_pace;

bool arn__huge_pace_asks(struct huge_pace *of)
{
    if (of->skips == 0)
        return true;
    of->skips--;
    return false;
}

void arn__huge_pace_took(struct huge_pace *of, uint64_t ns)
{
    if (ns <= HUGE_SLOW_NS)
        of->last_skips = 0;
    else if (of->last_skips < HUGE_SKIPS_MOST)
        of->last_skips = 2 * of->last_skips + 1;
    of->skips = of->last_skips;
}

static bool is_thick(size_t bytes)
{
    return bytes > GROUP_BYTES;
}

/* What is full of blocks wastes little of a huge page: that is what pools have carved, and large blocks of a program
 * that frees such, too. Another one's may be large and hardly touched, as may the pools of many threads. A small heap
 * pays nothing. Several groups at once, which only large blocks need, are counted apart, and not paced: a large block in
 * small pages takes more time, however slow huge pages are. */
static bool wants_huge(size_t bytes, size_t filled_bytes)
{
    size_t thick = arn__region_totals.thick_bytes;
    size_t has = is_thick(bytes) ? thick : arn__region_totals.huge_bytes - thick;
    return arn__options.huge == HUGE_AUTO && filled_bytes / 8 >= GROUP_BYTES &&
           has + bytes <= filled_bytes + filled_bytes / 8 &&
           (is_thick(bytes) || arn__huge_pace_asks(&arn__huge_pace));
}

/* Opens whole groups. */
static enum os_grown open_huge(struct region *region, char *base, size_t bytes)
{
    size_t first = (size_t)(base - region->base) / ARENA_BYTES;
    enum os_grown answer = make_huge_at(base, bytes);
    if (answer != OS_GROWN)
        return answer;
    uint64_t before = arn__os_now_ns();
    *(volatile char *)base = 0;
    arn__huge_pace_took(&arn__huge_pace, arn__os_now_ns() - before);
    for (size_t i = first; i < first + bytes / ARENA_BYTES; i += GROUP_ARENAS)
        region->stretches[i / WORD_BITS].huge |= group_bit(i);
    region->huge_groups += (uint32_t)(bytes / GROUP_BYTES);
    arn__region_totals.huge_bytes += bytes;
    arn__region_totals.thick_bytes += is_thick(bytes) ? bytes : 0;
    return OS_GROWN;
}

bool arn__region_thicken(char *base, size_t bytes, size_t filled_bytes)
{
    if (arn__memory_is_tight() || !wants_huge(bytes, filled_bytes))
        return true;
    enum os_grown answer = open_huge(arn__arena(base)->region, base, bytes);
    return answer == OS_GROWN || (answer == OS_REFUSED && arn__os_open(base, bytes));
}

/* ---- the frontier ---- */

/* A child that was forked between a region's end and that of its records has them still. */
static void forget_before(const struct region *region, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        struct arena *arena = arn__region_arena(region, i);
        if (arena->region != NULL)
            *arena = (struct arena){.region = NULL};
    }
}

/* What is behind the frontier is not to be touched any more, nor unmapped. */
static void give_up_rest(struct region *region)
{
    size_t arenas = region->arenas - region->opened;
    mark(region, region->opened, arenas, false);
    region->arenas = region->opened;
    region->guard_bytes = 0; /* the one behind is no longer where the region ends */
    arn__region_totals.reserved_bytes -= bytes_of(region, arenas);
}

/* To the arena `target`, from where it is. */
static bool open_up_to(struct region *region, size_t target, size_t filled_bytes)
{
    char *from = region->base + (size_t)region->opened * ARENA_BYTES;
    size_t bytes = bytes_of(region, target - region->opened);
    if (!arn__directory_cover(from, bytes))
        return false;
    bool whole = ((uintptr_t)from | bytes) % GROUP_BYTES == 0;
    enum os_grown answer =
        whole && wants_huge(bytes, filled_bytes) ? open_huge(region, from, bytes) : OS_REFUSED;
    if (answer == OS_LOST)
        give_up_rest(region);
    if (answer == OS_LOST || (answer == OS_REFUSED && !arn__os_open(from, bytes)))
        return false;
    forget_before(region, region->opened, target);
    region->opened = (uint32_t)target;
    arn__region_totals.opened_bytes += bytes;
    return true;
}

/* A small heap's is close behind its blocks where arenas are guarded: little is open that nothing is in. */
static size_t frontier_step(void)
{
    return GUARDED_ARENAS && arn__region_totals.opened_bytes < guarded_bytes ? 1 : GROUP_ARENAS;
}

bool arn__region_is_guarded(const struct arena *arena)
{
    return arn__region_totals.opened_bytes < guarded_bytes && !arn__memory_is_tight() &&
           !arn__region_group_is_huge(arena);
}

/* Moves it past `arenas`: by whole groups, or no farther where that is refused. */
static bool open_to(struct region *region, size_t arenas, size_t filled_bytes)
{
    if (arenas <= region->opened)
        return true;
    size_t target = round_up(arenas, frontier_step());
    if (target > region->arenas)
        target = region->arenas;
    if (open_up_to(region, target, filled_bytes))
        return true;
    note_refusal();
    return arenas < target && arenas <= region->arenas && open_up_to(region, arenas, filled_bytes);
}

static void take(struct region *region, size_t idx, size_t arenas)
{
    mark(region, idx, arenas, false);
    for (size_t i = idx; i < idx + arenas; i++) {
        struct arena *arena = arn__region_arena(region, i);
        arena->base = region->base + i * ARENA_BYTES;
        arena->region = region;
        arena->slices = (uint8_t)region->slices;
    }
}

/* `refused`: there is room, but the OS does not let it be opened; nor would it more of it. */
static char *take_existing(size_t arenas, size_t alignment_arenas, size_t filled_bytes,
                           enum growth growth, bool *refused)
{
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        if (region->free_arenas < arenas || region->slices < ARENA_SLICES)
            continue;
        size_t idx = find(region, arenas, alignment_arenas);
        if (idx == region->arenas || (growth == NO_GROWTH && idx + arenas > region->opened))
            continue;
        if (open_to(region, idx + arenas, filled_bytes)) {
            take(region, idx, arenas);
            return region->base + idx * ARENA_BYTES;
        }
        *refused = true;
    }
    return NULL;
}

char *arn__region_take(size_t arenas, size_t alignment_arenas, size_t filled_bytes,
                       enum growth growth)
{
    bool refused = false;
    char *base = take_existing(arenas, alignment_arenas, filled_bytes, growth, &refused);
    if (base == NULL && growth == MAY_GROW && !refused &&
        reserve((arenas + alignment_arenas - 1) * ARENA_BYTES))
        base = take_existing(arenas, alignment_arenas, filled_bytes, growth, &refused);
    return base;
}

/* ---- parts, and ends that go ---- */

/* The groups from `first` to `end` are huge no more. */
static void forget_huge(struct region *region, size_t first, size_t end)
{
    for (size_t i = first; i < end; i += GROUP_ARENAS) {
        if ((region->stretches[i / WORD_BITS].huge & group_bit(i)) == 0)
            continue;
        region->stretches[i / WORD_BITS].huge &= (uint8_t)~group_bit(i);
        region->huge_groups--;
        arn__region_totals.huge_bytes -= GROUP_BYTES;
        arn__region_totals.thick_bytes -= arn__region_totals.thick_bytes > 0 ? GROUP_BYTES : 0;
    }
}

/* The region ends after `kept` arenas: those behind are free. Returns the bytes that are the OS's again. The
 * region is shorter before they are unmapped: a child forked in between must not find them. Nor must it find more
 * arenas than were ever opened, for it would take those behind the frontier for zero: where unmapping is refused,
 * the frontier is set back first. */
static size_t cut(struct region *region, size_t kept, void (*forget)(struct arena *))
{
    size_t arenas = region->arenas, opened = region->opened;
    size_t bytes = bytes_of(region, arenas - kept);
    if (bytes == 0)
        return 0;
    mark(region, kept, arenas - kept, false);
    region->arenas = (uint32_t)kept;
    atomic_signal_fence(memory_order_seq_cst);
    region->opened = (uint32_t)(kept < opened ? kept : opened);
    size_t guards = region->guard_bytes, below = kept == 0 ? guards : 0;
    if (!arn__os_unmap(region->base + kept * ARENA_BYTES - below, below + bytes + guards)) {
        region->opened = (uint32_t)opened;
        atomic_signal_fence(memory_order_seq_cst);
        region->arenas = (uint32_t)arenas;
        mark(region, kept, arenas - kept, true);
        return 0;
    }
    region->guard_bytes = 0; /* where memory is short, as it is if any is kept */
    forget_huge(region, kept, opened);
    for (size_t i = kept; i < opened; i++)
        forget(arn__region_arena(region, i));
    arn__region_totals.reserved_bytes -= bytes;
    if (kept < opened)
        arn__region_totals.opened_bytes -= bytes_of(region, opened - kept);
    return bytes;
}

/* The whole region. It is no longer in the list before it is unmapped, as above. */
static size_t drop(struct region **link, void (*forget)(struct arena *))
{
    struct region *region = *link;
    *link = region->next;
    size_t released = cut(region, 0, forget);
    if (region->arenas == 0)
        keep_record(region);
    else
        *link = region;
    return released;
}

/* Parts lie open, for one that cannot be opened goes at once; but in a child that was forked in between. */
static char *take_existing_part(unsigned least)
{
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        if (region->slices < ARENA_SLICES && region->slices >= least && region->free_arenas == 1 &&
            region->opened == 1) {
            take(region, 0, 1);
            return region->base;
        }
    }
    return NULL;
}

static bool open_new_part(void)
{
    struct region **link = &arn__regions;
    while ((*link)->next != NULL)
        link = &(*link)->next;
    if (open_to(*link, 1, 0))
        return true;
    drop(link, NULL);
    return false;
}

/* Half an arena, or where that is refused half as much, and so on. */
char *arn__region_take_part(unsigned least, enum growth growth)
{
    char *base = take_existing_part(least);
    bool may = base == NULL && growth == MAY_GROW && arn__memory_is_tight();
    for (unsigned slices = ARENA_SLICES / 2; may && base == NULL && slices >= least; slices /= 2) {
        if (reserve_exactly(1, slices) && open_new_part())
            base = take_existing_part(least);
    }
    return base;
}

bool arn__region_take_at(struct region *region, char *base, size_t arenas, size_t filled_bytes)
{
    size_t idx = (size_t)(base - region->base) / ARENA_BYTES;
    if (idx + arenas > region->arenas)
        return false;
    for (size_t i = 0; i < arenas; i++) {
        if (!is_free(region, idx + i))
            return false;
    }
    if (!open_to(region, idx + arenas, filled_bytes))
        return false;
    take(region, idx, arenas);
    return true;
}

void arn__region_put(char *base, size_t arenas)
{
    struct region *region = arn__arena(base)->region;
    mark(region, (size_t)(base - region->base) / ARENA_BYTES, arenas, true);
}

static size_t idx_of(const struct arena *arena)
{
    return (size_t)(arena->base - arena->region->base) / ARENA_BYTES;
}

bool arn__region_group_is_huge(const struct arena *arena)
{
    size_t idx = idx_of(arena);
    return arn__options.huge == HUGE_ALWAYS ||
           (arena->region->stretches[idx / WORD_BITS].huge & group_bit(idx)) != 0;
}

bool arn__region_group_is_free(const struct arena *arena)
{
    size_t first = idx_of(arena) / GROUP_ARENAS * GROUP_ARENAS;
    uint64_t free = arena->region->stretches[first / WORD_BITS].free >> (first % WORD_BITS);
    return (free & ((1u << GROUP_ARENAS) - 1)) == (1u << GROUP_ARENAS) - 1;
}

/* The first is never given back: a small program would take it anew. */
static bool is_first(const struct region *region)
{
    return region == (struct region *)first_region;
}

/* A region that is wholly free goes; where memory is short, so do the free arenas at the end of one, and what
 * was never opened. Huge pages stay whole. */
static size_t arenas_to_keep(const struct region *region)
{
    size_t used = region->arenas;
    while (used > 0 && is_free(region, used - 1))
        used--;
    if (used == 0 && !is_first(region))
        return 0;
    if (!arn__memory_is_tight())
        return region->arenas;
    used = round_up(used + (used == 0), region->huge_groups > 0 ? GROUP_ARENAS : 1);
    return used < region->arenas ? used : region->arenas;
}

size_t arn__region_release_free(void (*forget)(struct arena *))
{
    size_t released = 0;
    for (struct region **link = &arn__regions; *link != NULL;) {
        struct region *region = *link;
        size_t kept = arenas_to_keep(region);
        released += kept == 0 ? drop(link, forget) : cut(region, kept, forget);
        if (*link == region)
            link = &region->next;
    }
    return released;
}

/* What is told twice may not agree: a fork came in between. */
static void count_anew(struct region *region)
{
    region->huge_groups = 0;
    for (size_t i = 0; i < region->opened; i += GROUP_ARENAS)
        region->huge_groups += (region->stretches[i / WORD_BITS].huge & group_bit(i)) != 0;
    arn__region_totals.reserved_bytes += bytes_of(region, region->arenas);
    arn__region_totals.opened_bytes += bytes_of(region, region->opened);
    arn__region_totals.huge_bytes += (size_t)region->huge_groups * GROUP_BYTES;
}

void arn__region_rebuild(void)
{
    /* Another thread may have been growing it as the process forked. */
    small.page = NULL;
    arn__region_totals = (struct region_totals){0};
    spare = NULL;
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        for (size_t i = 0; i < stretches_of(region->arenas); i++)
            region->stretches[i].free = 0;
        region->free_arenas = 0;
        count_anew(region);
        for (size_t i = 0; i < region->arenas; i++) {
            uint8_t state = i < region->opened ? arn__region_arena(region, i)->state : ARENA_NONE;
            if (state == ARENA_NONE || state == ARENA_FREE)
                set_bits(region, i, 1, true);
        }
        if (region->arenas > 0) /* none: it was about to go */
            measure_around(region, 0, region->arenas);
    }
}
