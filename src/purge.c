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
    RETRY_MS = 1000, /* after a purge that failed (locked pages) */
};

static struct {
    size_t raised_bytes; /* on top of the budget */
    uint32_t halved_ms;  /* when that was last halved */
    uint32_t failed_ms;  /* last failure; 0: none */
} state;

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
    size_t reused = load(&arn__arena_totals.reused_bytes);
    if (reused > 0) {
        atomic_store_explicit(&arn__arena_totals.reused_bytes, 0, memory_order_relaxed);
        state.raised_bytes += reused;
        state.halved_ms = now_ms;
    } else if (now_ms - state.halved_ms > RAISED_HALVES_MS) {
        state.raised_bytes /= 2;
        state.halved_ms = now_ms;
    }
    size_t most = raised_most_bytes();
    if (state.raised_bytes > most)
        state.raised_bytes = most;
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

static size_t slices_above(size_t keep_bytes)
{
    size_t dirty = load(&arn__arena_totals.dirty_bytes);
    size_t slices = dirty > keep_bytes ? (dirty - keep_bytes + SLICE_BYTES - 1) / SLICE_BYTES : 0;
    return slices < BATCH_SLICES ? slices : BATCH_SLICES;
}

static bool purge_down_to(size_t keep_bytes, uint32_t part_age_ms)
{
    bool any = false;
    size_t slices;
    while ((slices = slices_above(keep_bytes)) > 0 && purge_oldest(slices, 0, part_age_ms))
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

/* A part of an arena costs a call of its own, is the next to be used again, and where all is being freed it is an
 * arena soon: before that nothing is looked for. */
static uint32_t part_age_ms(void)
{
    uint32_t delay_ms = (uint32_t)arn__options.purge_delay_ms;
    return delay_ms < PART_AGE_MS ? delay_ms : PART_AGE_MS;
}

static size_t whole_dirty_bytes(void)
{
    size_t part = load(&arn__arena_totals.part_bytes), dirty = load(&arn__arena_totals.dirty_bytes);
    return dirty > part ? dirty - part : 0;
}

void arn__purge_settle(void)
{
    bool look = atomic_fetch_add_explicit(&settles, 1, memory_order_relaxed) % SETTLES_PER_LOOK ==
                SETTLES_PER_LOOK - 1;
    if (!look && whole_dirty_bytes() <= base_budget())
        return;
    arn__lock(&arn__arena_lock, RANK_ARENA);
    uint32_t now_ms = arn__os_now_ms();
    adapt(now_ms);
    if (state.failed_ms == 0 || now_ms - state.failed_ms > RETRY_MS) {
        state.failed_ms = 0;
        size_t budget = base_budget() + state.raised_bytes;
        if (load(&arn__arena_totals.dirty_bytes) > budget)
            purge_down_to(budget - budget / 4, part_age_ms());
        if (look)
            purge_old(now_ms);
    }
    arn__unlock(&arn__arena_lock, RANK_ARENA);
}

bool arn__purge_to(size_t keep_bytes)
{
    arn__lock(&arn__arena_lock, RANK_ARENA);
    bool any = purge_down_to(keep_bytes, 0);
    arn__unlock(&arn__arena_lock, RANK_ARENA);
    return any;
}

void arn__purge_after_fork(void)
{
    state.failed_ms = 0;
    state.raised_bytes = 0;
}
