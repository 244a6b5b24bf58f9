/* spares.c - large blocks that wait with a heap. */
#include "spares.h"

#include <string.h>

#include "large.h"
#include "options.h"
#include "region.h"

/* Of all heaps. relaxed: a bound. */
static _Atomic size_t spare_bytes;

static size_t most_bytes(void)
{
    size_t half = arn__options.purge_budget_bytes / 2;
    return half < SPARES_MOST_BYTES ? half : SPARES_MOST_BYTES;
}

/* The place is free then; the block stays a spare. */
static void *leave(struct spares *spares, unsigned place)
{
    void *block = spares->blocks[place];
    atomic_fetch_sub_explicit(&spare_bytes, (size_t)spares->slices[place] * SLICE_BYTES,
                              memory_order_relaxed);
    spares->blocks[place] = NULL;
    return block;
}

static bool has_room(size_t bytes)
{
    return atomic_load_explicit(&spare_bytes, memory_order_relaxed) + bytes <= most_bytes();
}

/* The oldest, if there is one. */
static void *evict(struct spares *spares)
{
    for (unsigned i = 0; i < SPARES; i++) {
        unsigned place = spares->oldest++ % SPARES;
        if (spares->blocks[place] != NULL)
            return leave(spares, place);
    }
    return NULL;
}

static unsigned free_place(const struct spares *spares)
{
    unsigned place = 0;
    while (place < SPARES && spares->blocks[place] != NULL)
        place++;
    return place;
}

bool arn__spares_keep(struct spares *spares, struct descriptor *d, void *block, unsigned slices,
                      void **evicted)
{
    size_t bytes = (size_t)slices * SLICE_BYTES;
    *evicted = NULL;
    if (bytes > SPARE_MOST_BYTES || arn__memory_is_tight() ||
        (spares->worth == 0 && spares->tries++ % SPARES_TRY != 0))
        return false;
    unsigned place = free_place(spares);
    if (place == SPARES || !has_room(bytes)) {
        *evicted = evict(spares);
        place = free_place(spares);
        if (place == SPARES || !has_room(bytes))
            return false;
    }
    if (!arn__large_keep(d))
        return false;
    atomic_fetch_add_explicit(&spare_bytes, bytes, memory_order_relaxed);
    spares->slices[place] = slices;
    spares->blocks[place] = block;
    return true;
}

void *arn__spares_take(struct spares *spares, size_t bytes, size_t alignment)
{
    size_t slices = bytes <= arn__options.map_threshold_bytes
                        ? arn__large_slices_for(bytes, alignment)
                        : SIZE_MAX;
    for (unsigned place = 0; place < SPARES; place++) {
        void *block = spares->blocks[place];
        if (block == NULL || spares->slices[place] != slices ||
            ((uintptr_t)block & (alignment - 1)) != 0)
            continue;
        leave(spares, place);
        if (!arn__large_take_again(block, bytes))
            continue;
        spares->worth += spares->worth < SPARES_WORTH_MOST;
        return block;
    }
    return NULL;
}

bool arn__spares_missed(struct spares *spares)
{
    spares->worth -= spares->worth > 0;
    for (unsigned place = 0; place < SPARES; place++) {
        if (spares->blocks[place] != NULL)
            return true;
    }
    return false;
}

void arn__spares_free(void *block)
{
    arn__large_free_spare(block);
}

void arn__spares_free_all(struct spares *spares)
{
    for (unsigned place = 0; place < SPARES; place++) {
        if (spares->blocks[place] != NULL)
            arn__large_free_spare(leave(spares, place));
    }
}

void arn__spares_after_fork(struct spares *spares)
{
    if (spares != NULL)
        memset(spares, 0, sizeof *spares);
    atomic_store_explicit(&spare_bytes, 0, memory_order_relaxed);
}
