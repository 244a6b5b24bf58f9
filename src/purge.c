/* purge.c - the budget. Its state is under the arena lock. */
#include "purge.h"

#include "arena.h"
#include "options.h"
#include "os.h"

enum {
    SETTLES_PER_LOOK = 64,   /* how often the clock is looked at */
    BATCH_SLICES = 512,      /* 8 MiB in one call at most */
    RAISED_BYTES = 64 << 20, /* at most, or half of what is alive */
    RAISED_HALVES_MS = 1000,
    PART_AGE_MS = 100,
    PART_BYTES = 16 << 20, /* of younger ones, at least */
    RETRY_MS = 1000,       /* after a purge that failed (locked pages) */
};

/* An age that nothing has. */
static const uint32_t NEVER_MS = UINT32_MAX;

static struct {
    uint32_t halved_ms; /* when what raises the budget was last halved */
    uint32_t failed_ms; /* last failure; 0: none */
} state;

/* On top of the budget. Written under the lock. relaxed: read without it to see whether there is something to do. */
static _Atomic size_t raised_bytes;

static _Atomic unsigned settles;

static size_t load(_Atomic size_t *total)
{
    return atomic_load_explicit(total, memory_order_relaxed);
}

static size_t base_budget(void)
{
    size_t share = load(&arn__arena_totals.live_bytes) / 8;
    size_t least = arn__options.purge_budget_bytes;
    return share > least ? share : least;
}

static size_t raised_most_bytes(void)
{
    size_t half = load(&arn__arena_totals.live_bytes) / 2;
    return half > RAISED_BYTES ? half : RAISED_BYTES;
}

/* Ranges that were needed again soon raise the budget; time lowers it. */
static void adapt(uint32_t now_ms)
{
    size_t reused = load(&arn__arena_totals.reused_bytes), raised = load(&raised_bytes);
    if (reused > 0) {
        atomic_store_explicit(&arn__arena_totals.reused_bytes, 0, memory_order_relaxed);
        raised += reused;
        state.halved_ms = now_ms;
    } else if (now_ms - state.halved_ms > RAISED_HALVES_MS) {
        raised /= 2;
        state.halved_ms = now_ms;
    }
    size_t most = raised_most_bytes();
    atomic_store_explicit(&raised_bytes, raised < most ? raised : most, memory_order_relaxed);
}

/* Purges a range that is about the oldest, see arn__arena_take_oldest_dirty; the lock is not held while
 * the kernel works. False: nothing was done. */
static bool purge_oldest(size_t most_slices, uint32_t whole_age_ms, uint32_t part_age_ms)
{
    struct dirty_range range;
    if (!arn__arena_take_oldest_dirty(&range, most_slices, whole_age_ms, part_age_ms))
        return false;
    arn__unlock(&arn__arena_lock, RANK_ARENA);
    bool purged = arn__os_purge(range.base, range.slices * SLICE_BYTES);
    arn__lock(&arn__arena_lock, RANK_ARENA);
    arn__arena_put_purged(&range, purged);
    if (!purged) {
        uint32_t now_ms = arn__os_now_ms();
        state.failed_ms = now_ms == 0 ? 1 : now_ms;
    }
    return purged;
}

static size_t dirty_bytes(void)
{
    return load(&arn__arena_totals.dirty_bytes);
}

static size_t part_bytes(void)
{
    return load(&arn__arena_totals.part_bytes);
}

static size_t whole_bytes(void)
{
    size_t part = part_bytes(), dirty = dirty_bytes();
    return dirty > part ? dirty - part : 0;
}

static size_t slices_above(size_t bytes, size_t keep_bytes)
{
    size_t slices = bytes > keep_bytes ? (bytes - keep_bytes + SLICE_BYTES - 1) / SLICE_BYTES : 0;
    return slices < BATCH_SLICES ? slices : BATCH_SLICES;
}

static bool purge_down_to(size_t (*bytes)(void), size_t keep_bytes, uint32_t whole_age_ms,
                          uint32_t part_age_ms)
{
    bool any = false;
    size_t slices;
    while ((slices = slices_above(bytes(), keep_bytes)) > 0 &&
           purge_oldest(slices, whole_age_ms, part_age_ms))
        any = true;
    return any;
}

static void purge_old(uint32_t now_ms)
{
    uint32_t since_ms;
    for (unsigned i = 0; i < SETTLES_PER_LOOK && arn__arena_oldest_dirty_ms(&since_ms); i++) {
        if (now_ms - since_ms < arn__options.purge_delay_ms ||
            !purge_oldest(BATCH_SLICES, (uint32_t)arn__options.purge_delay_ms,
                          (uint32_t)arn__options.purge_delay_ms))
            break;
    }
}

/* ---- parts of arenas ----
 *
 * A part costs a call of its own, is the next to be used again, and where all is being freed it is an arena soon. So
 * parts are not purged as soon as the budget is used up, unless memory is short. */

static bool spares_parts(void)
{
    return arn__options.purge_budget_bytes > 0 && !arn__memory_is_tight();
}

static uint32_t part_age_ms(void)
{
    uint32_t delay_ms = (uint32_t)arn__options.purge_delay_ms;
    if (!spares_parts())
        return 0;
    return delay_ms < PART_AGE_MS ? delay_ms : PART_AGE_MS;
}

static size_t most_part_bytes(size_t budget)
{
    return spares_parts() && budget < PART_BYTES ? PART_BYTES : budget;
}

/* ---- what the others call ---- */

size_t arn__purge_budget_bytes(void)
{
    return base_budget() + load(&raised_bytes);
}

/* Without what heaps keep of it, but for a quarter. */
static size_t budget_bytes(void)
{
    size_t budget = arn__purge_budget_bytes(), spares = load(&arn__arena_totals.spare_bytes);
    return budget - (spares < budget / 4 * 3 ? spares : budget / 4 * 3);
}

/* Without the lock: whether there may be something to do. */
static bool is_over(void)
{
    size_t budget = budget_bytes();
    return whole_bytes() > budget || part_bytes() > most_part_bytes(budget);
}

static void settle_to(size_t budget)
{
    size_t keep = budget - budget / 4, most = most_part_bytes(budget);
    if (whole_bytes() > budget)
        purge_down_to(whole_bytes, keep, 0, NEVER_MS);
    if (dirty_bytes() > budget)
        purge_down_to(dirty_bytes, keep, NEVER_MS, part_age_ms());
    if (part_bytes() > most)
        purge_down_to(part_bytes, most - most / 4, NEVER_MS, 0);
}

static void settle(bool look)
{
    if (!look && !is_over())
        return;
    arn__lock(&arn__arena_lock, RANK_ARENA);
    uint32_t now_ms = arn__os_now_ms();
    adapt(now_ms);
    if (state.failed_ms == 0 || now_ms - state.failed_ms > RETRY_MS) {
        state.failed_ms = 0;
        settle_to(budget_bytes());
        if (look)
            purge_old(now_ms);
    }
    arn__unlock(&arn__arena_lock, RANK_ARENA);
}

void arn__purge_settle(void)
{
    settle(atomic_fetch_add_explicit(&settles, 1, memory_order_relaxed) % SETTLES_PER_LOOK ==
           SETTLES_PER_LOOK - 1);
}

void arn__purge_look(void)
{
    settle(true);
}

/* Whole arenas first; where one of them is locked, the parts go all the same. */
bool arn__purge_to(size_t keep_bytes)
{
    arn__lock(&arn__arena_lock, RANK_ARENA);
    bool whole = purge_down_to(dirty_bytes, keep_bytes, 0, NEVER_MS);
    bool parts = purge_down_to(dirty_bytes, keep_bytes, NEVER_MS, 0);
    arn__unlock(&arn__arena_lock, RANK_ARENA);
    return whole || parts;
}

void arn__purge_after_fork(void)
{
    state.failed_ms = 0;
    atomic_store_explicit(&raised_bytes, 0, memory_order_relaxed);
}
