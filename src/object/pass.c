/* pass.c - the memory of the entries: kept between small passes, given back after large ones. */
#include "pass.h"

#include <string.h>

#include "arena.h"
#include "options.h"
#include "os.h"
#include "region.h"
#include "thread.h"

enum {
    POOLS_MOST = 1 << (31 - SLOT_BITS), /* 32 GiB of the smallest objects */
    FIRST_POOLS = 32,                   /* whose entries are mapped at least */
    KEPT_POOLS = 512,                   /* whose entries stay mapped, at most */
    HUGE_BYTES = 8 << 20,
};

static size_t map_bytes_for(uint32_t pools)
{
    return ((size_t)pools + 1) *
           (sizeof(char *) + POOL_SLOTS * sizeof(uint32_t) + 2 * POOL_WORDS * sizeof(uint64_t));
}

/* Objects refer to others all over the heap: with huge pages, their entries are found faster. */
static void *try_map(size_t bytes)
{
    void *map = NULL;
    if (bytes >= HUGE_BYTES && arn__options.huge != HUGE_OFF)
        map = arn__huge_map(bytes, GROUP_BYTES);
    return map != NULL ? map : arn__os_map(bytes);
}

/* Where address space has ended, that of free regions may do. Inside, for both take locks of the core: a signal
 * handler must not wait for them, and a forked child be mended before. In a handler it is a plain map. */
static void *map_entries(size_t bytes)
{
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return arn__os_map(bytes);
    void *map = try_map(bytes);
    if (map == NULL && arn__arena_release_regions() > 0)
        map = try_map(bytes);
    arn__thread_leave(heap);
    return map;
}

void arn__pass_give_back(struct collector *collector)
{
    if (collector->kept_map != NULL)
        arn__os_unmap(collector->kept_map, map_bytes_for(collector->kept_pools));
    collector->kept_map = NULL;
    collector->kept_pools = 0;
}

/* For small passes, which come again and again: as much as was needed so far. */
static void *keep_entries(struct collector *collector, uint32_t most)
{
    uint32_t room = FIRST_POOLS;
    while (room < most)
        room *= 2;
    if (room > collector->kept_pools) {
        void *map = map_entries(map_bytes_for(room));
        if (map == NULL)
            return NULL;
        arn__pass_give_back(collector);
        collector->kept_map = map;
        collector->kept_pools = room;
    }
    return collector->kept_map;
}

bool arn__pass_begin(struct pass *pass, struct arn_domain *domain, uint32_t most,
                     const char *function)
{
    struct collector *collector = &domain->collector;
    *pass = (struct pass){.domain = domain, .function = function, .is_kept = most <= KEPT_POOLS};
    if (most >= POOLS_MOST)
        return false;
    pass->map_bytes = map_bytes_for(most);
    pass->entries = pass->is_kept ? keep_entries(collector, most) : map_entries(pass->map_bytes);
    if (pass->entries == NULL)
        return false;
    size_t room = (size_t)(pass->is_kept ? collector->kept_pools : most) + 1;
    pass->candidates = (uint64_t *)(pass->entries + room * POOL_SLOTS);
    pass->garbage = pass->candidates + room * POOL_WORDS;
    pass->bases = (char **)(pass->garbage + room * POOL_WORDS);
    return true;
}

void arn__pass_join(struct pass *pass, struct descriptor *pool, char *base)
{
    __atomic_store_n(&pool->pass_idx, ++pass->pools, __ATOMIC_RELAXED);
    pass->bases[pass->pools] = base;
    pass->finalizes |= pool->bin->type->info.finalize != NULL;
}

/* Of what is kept, most was not touched: that is zero still. */
static void clear(struct pass *pass, uint32_t pass_idx)
{
    uint64_t *candidates = &pass->candidates[pass_idx * POOL_WORDS];
    uint64_t *garbage = &pass->garbage[pass_idx * POOL_WORDS];
    for (uint32_t word = 0; word < POOL_WORDS; word++) {
        if (candidates[word] == 0)
            continue;
        memset(&pass->entries[pass_idx * POOL_SLOTS + word * 64], 0, 64 * sizeof(uint32_t));
        candidates[word] = garbage[word] = 0;
    }
}

void arn__pass_end(struct pass *pass)
{
    for (uint32_t i = 1; i <= pass->pools; i++) {
        __atomic_store_n(&arn__descriptor(pass->bases[i])->pass_idx, 0, __ATOMIC_RELAXED);
        if (pass->is_kept)
            clear(pass, i);
    }
    if (!pass->is_kept)
        arn__os_unmap(pass->entries, pass->map_bytes);
}
