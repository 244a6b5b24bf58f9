/* pass.c - the memory of the entries: kept between small passes, given back after large ones. */
#include "pass.h"

#include <string.h>

#include "options.h"
#include "os.h"
#include "region.h"

enum {
    POOLS_MOST = 1 << (31 - SLOT_BITS), /* 32 GiB of the smallest objects */
    KEPT_POOLS = 64,                    /* whose entries stay mapped */
    HUGE_BYTES = 8 << 20,
};

static size_t map_bytes_for(uint32_t pools)
{
    return ((size_t)pools + 1) * (sizeof(char *) + POOL_SLOTS * sizeof(uint32_t));
}

/* Objects refer to others all over the heap: with huge pages, their entries are found faster. */
static void *map_entries(size_t bytes)
{
    if (bytes < HUGE_BYTES || arn__options.huge == HUGE_OFF)
        return arn__os_map(bytes);
    void *map = arn__os_map_aligned(bytes, GROUP_BYTES);
    if (map != NULL)
        arn__os_huge(map, bytes, true);
    return map;
}

bool arn__pass_begin(struct pass *pass, struct arn_domain *domain, uint32_t most,
                     const char *function)
{
    struct collector *collector = &domain->collector;
    *pass = (struct pass){.domain = domain, .function = function};
    pass->room = most <= KEPT_POOLS ? KEPT_POOLS : most;
    pass->map_bytes = map_bytes_for(pass->room);
    void *map = NULL;
    if (pass->room == KEPT_POOLS && collector->kept_map != NULL)
        map = collector->kept_map;
    else if (pass->room < POOLS_MOST)
        map = map_entries(pass->map_bytes);
    if (map == NULL)
        return false;
    if (pass->room == KEPT_POOLS)
        collector->kept_map = map;
    pass->entries = map;
    pass->bases = (char **)(pass->entries + ((size_t)pass->room + 1) * POOL_SLOTS);
    return true;
}

void arn__pass_join(struct pass *pass, struct descriptor *pool, char *base)
{
    pool->pass_idx = ++pass->pools;
    pass->bases[pool->pass_idx] = base;
}

void arn__pass_end(struct pass *pass)
{
    for (uint32_t i = 1; i <= pass->pools; i++) {
        struct descriptor *pool = arn__descriptor(pass->bases[i]);
        pool->pass_idx = 0;
        if (pass->room == KEPT_POOLS)
            memset(&pass->entries[(size_t)i << SLOT_BITS], 0,
                   pool->bin->capacity * sizeof(uint32_t));
    }
    if (pass->room != KEPT_POOLS)
        arn__os_unmap(pass->entries, pass->map_bytes);
}

void arn__pass_give_back(struct collector *collector)
{
    if (collector->kept_map != NULL)
        arn__os_unmap(collector->kept_map, map_bytes_for(KEPT_POOLS));
    collector->kept_map = NULL;
}
