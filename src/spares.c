/* spares.c - large blocks that wait with a heap: what all heaps may keep. */
#include "spares.h"

#include <string.h>

#include "arena.h"
#include "purge.h"
#include "region.h"

/* relaxed, here and below: a bound. */
static size_t reserved_bytes(void)
{
    return atomic_load_explicit(&arn__arena_totals.spare_bytes, memory_order_relaxed);
}

static size_t most_bytes(void)
{
    size_t most = arn__purge_budget_bytes();
    if (arn__options.purge_budget_bytes == 0 || arn__memory_is_tight())
        return 0;
    return most < SPARES_MOST_BYTES ? most : SPARES_MOST_BYTES;
}

static bool reserve(struct spares *spares, size_t slices)
{
    size_t bytes = slices * SLICE_BYTES;
    if (reserved_bytes() + bytes > most_bytes())
        return false;
    atomic_fetch_add_explicit(&arn__arena_totals.spare_bytes, bytes, memory_order_relaxed);
    spares->reserved += slices;
    return true;
}

static struct spare leave(struct spares *spares, unsigned place)
{
    struct spare spare = spares->kept[place];
    spares->slices -= spare.slices;
    spares->count--;
    for (; place < spares->count; place++)
        spares->kept[place] = spares->kept[place + 1];
    return spare;
}

void *arn__spares_search(struct spares *spares, size_t bytes, size_t alignment)
{
    size_t slices = bytes <= arn__options.map_threshold_bytes
                        ? arn__large_slices_for(bytes, alignment)
                        : SIZE_MAX;
    for (unsigned place = spares->count; place-- > 0;) {
        if (spares->kept[place].slices != slices ||
            ((uintptr_t)spares->kept[place].block & (alignment - 1)) != 0)
            continue;
        struct spare spare = leave(spares, place);
        arn__large_reach(spare.descriptor, bytes);
        if (arn__large_take_again(spare.descriptor)) {
            arn__spares_count(spares);
            return spare.block;
        }
    }
    return NULL;
}

static void free_one(struct spares *spares, unsigned place)
{
    arn__large_free_spare(leave(spares, place).block);
}

bool arn__spares_offer(struct spares *spares, void *block)
{
    struct descriptor *d = arn__descriptor(block);
    size_t slices = arn__large_slices(d);
    if (slices == 0 || slices > SPARE_MOST_BYTES / SLICE_BYTES ||
        slices * SLICE_BYTES > most_bytes() ||
        (spares->worth == 0 && spares->tries++ % SPARES_TRY != 0))
        return false;
    if (spares->count == SPARES)
        free_one(spares, 0);
    while (spares->slices + slices > spares->reserved &&
           !reserve(spares, spares->slices + slices - spares->reserved)) {
        if (spares->count == 0)
            return false;
        free_one(spares, 0);
    }
    return arn__spares_keep(spares, d, block, slices);
}

void arn__spares_miss(struct spares *spares)
{
    spares->worth -= spares->worth > 0;
    arn__spares_free_all(spares);
}

void arn__spares_free_all(struct spares *spares)
{
    if (spares->reserved > 0) /* first: the purge budget has it, for what is freed here */
        atomic_fetch_sub_explicit(&arn__arena_totals.spare_bytes, spares->reserved * SLICE_BYTES,
                                  memory_order_relaxed);
    spares->reserved = 0;
    spares->passed = 0;
    while (spares->count > 0)
        free_one(spares, spares->count - 1);
}

void arn__spares_after_fork(struct spares *spares)
{
    if (spares != NULL)
        memset(spares, 0, sizeof *spares);
}
