/* stats.c - the census and its tellings. */
#include "stats.h"

#include <string.h>

#include "alloc.h"
#include "arena.h"
#include "diag.h"
#include "large.h"
#include "meta.h"
#include "options.h"
#include "os.h"
#include "region.h"
#include "sampled.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

/* Other threads' pools change while they are looked at; a figure may be off by what changed. */
#define LOOKS_AT_OTHERS __attribute__((no_sanitize("thread")))

/* Carved blocks without a free one's link: of a pool that a heap allocates from, whose list only that
 * heap's thread may walk. Blocks that are out may have pages that cannot be read. */
LOOKS_AT_OTHERS static size_t count_unlinked(const struct descriptor *pool, const char *base)
{
    size_t used = 0;
    size_t block_bytes = arn__size_classes[pool->class_idx].block_bytes;
    for (unsigned i = 0; i < pool->carved; i++) {
        const struct block *block = arn__pool_carved(base, pool->class_idx, i);
        used += arn__has_page_of_its_own(block, block_bytes)
                    ? !arn__pool_is_free_apart(pool, block)
                    : !arn__pool_links(pool, block->link);
    }
    return used;
}

LOOKS_AT_OTHERS static size_t count_used(const struct descriptor *pool, const char *base)
{
    uint64_t word = atomic_load_explicit(arn__remote(base), memory_order_relaxed);
    size_t remote = arn__remote_count(word);
    size_t out =
        arn__remote_state(word) == POOL_DETACHED ? pool->carved
        : arn__remote_state(word) == POOL_SHARED ? arn__remote_out(word)
        : arn__has_flag(pool, POOL_RESTING)
            ? pool->carved - (arn__size_classes[pool->class_idx].threshold - pool->local.needed)
            : pool->local.needed;
    if (out > pool->carved || arn__has_flag(pool, POOL_RECOVER))
        return count_unlinked(pool, base);
    return out > remote ? out - remote : 0;
}

LOOKS_AT_OTHERS static void count_large(struct census *census, const struct descriptor *d,
                                        size_t *blocks, size_t *bytes)
{
    if (arn__has_flag(d, LARGE_SPARE)) {
        census->dirty_bytes += d->block_bytes;
    } else {
        (*blocks)++;
        *bytes += d->block_bytes;
    }
}

LOOKS_AT_OTHERS static unsigned count_slice(struct census *census, const struct descriptor *d,
                                            const char *base)
{
    switch (arn__kind(d)) {
    case KIND_POOL: {
        const struct size_class *shape = &arn__size_classes[d->class_idx];
        if (!arn__is_head(d) || d->carved == 0)
            return 1;
        struct class_count *count = &census->classes[d->class_idx];
        size_t used = count_used(d, base);
        count->pools++;
        count->used += used;
        count->free += d->carved - used;
        count->left += shape->capacity - d->carved;
        return shape->slices;
    }
    case KIND_OBJECTS:
        census->object_bytes += (size_t)arn__size_classes[d->class_idx].slices * SLICE_BYTES;
        return arn__size_classes[d->class_idx].slices;
    case KIND_RUN:
        count_large(census, d, &census->runs, &census->run_bytes);
        return d->units;
    case KIND_SPAN:
        count_large(census, d, &census->spans, &census->span_bytes);
        return d->units * ARENA_SLICES;
    default:
        return 1;
    }
}

/* A descriptor per slice, a remote word per slice, a record per arena. */
static size_t descriptor_bytes(size_t opened_bytes)
{
    return opened_bytes / SLICE_BYTES * (sizeof(struct descriptor) + sizeof(uint64_t)) +
           opened_bytes / ARENA_BYTES * sizeof(struct arena);
}

bool arn__census(struct census *census)
{
    memset(census, 0, sizeof *census);
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return false;
    arn__thread_count_heaps(&census->heaps, &census->idle_heaps);
    /* The lock keeps regions and slices where they are; pools go on within them. */
    arn__lock(&arn__arena_lock, RANK_ARENA);
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        for (size_t i = 0; i < (size_t)region->opened * region->slices;) {
            const char *base = region->base + i * SLICE_BYTES;
            i += count_slice(census, arn__descriptor(base), base);
        }
    }
    census->opened_bytes = arn__region_totals.opened_bytes;
    census->reserved_bytes = arn__region_totals.reserved_bytes;
    arn__unlock(&arn__arena_lock, RANK_ARENA);
    census->maps = atomic_load(&arn__large_totals.maps);
    census->map_bytes = atomic_load(&arn__large_totals.map_bytes);
    arn__sampled_count(&census->sampled, &census->sampled_bytes);
    census->dirty_bytes += atomic_load(&arn__arena_totals.dirty_bytes) + arn__large_waiting();
    census->metadata_bytes = descriptor_bytes(census->opened_bytes) + arn__meta_bytes();
    arn__thread_leave(heap);
    return true;
}

static void sum(const struct census *census, struct arn_stats *stats)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct class_count *count = &census->classes[c];
        size_t block_bytes = arn__size_classes[c].block_bytes;
        stats->used_blocks += count->used;
        stats->used_bytes += count->used * block_bytes;
        stats->free_bytes += (count->free + count->left) * block_bytes;
    }
    stats->used_blocks += census->runs + census->spans + stats->map_blocks + census->sampled;
    stats->used_bytes +=
        census->run_bytes + census->span_bytes + stats->map_bytes + census->sampled_bytes;
}

void arn_stats(struct arn_stats *stats)
{
    struct census census;
    memset(stats, 0, sizeof *stats);
    arn__census(&census);
    stats->map_blocks = census.maps;
    stats->map_bytes = census.map_bytes;
    stats->dirty_bytes = census.dirty_bytes;
    stats->opened_bytes = census.opened_bytes;
    stats->reserved_bytes = census.reserved_bytes;
    stats->heaps = census.heaps;
    stats->idle_heaps = census.idle_heaps;
    stats->metadata_bytes = census.metadata_bytes;
    stats->object_bytes = census.object_bytes;
    sum(&census, stats);
}

static void add_figure(struct lines *lines, const char *name, size_t value)
{
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: ");
    arn__line_text(&line, name);
    arn__line_text(&line, " ");
    arn__line_decimal(&line, value);
    arn__lines_add(lines, &line);
}

static void add_figures(struct lines *lines)
{
    struct arn_stats stats;
    arn_stats(&stats);
    const struct {
        const char *name;
        size_t value;
    } figures[] = {
        {"used bytes", stats.used_bytes},
        {"used blocks", stats.used_blocks},
        {"free bytes", stats.free_bytes},
        {"dirty bytes", stats.dirty_bytes},
        {"map bytes", stats.map_bytes},
        {"map blocks", stats.map_blocks},
        {"opened bytes", stats.opened_bytes},
        {"reserved bytes", stats.reserved_bytes},
        {"metadata bytes", stats.metadata_bytes},
        {"object bytes", stats.object_bytes},
        {"heaps", stats.heaps},
        {"idle heaps", stats.idle_heaps},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        add_figure(lines, figures[i].name, figures[i].value);
}

void arn_stats_print(int fd)
{
    struct lines lines = {.length = 0};
    add_figures(&lines);
    arn__lines_write(&lines, fd);
}

const char *arn_version(void)
{
    return PACKAGE_VERSION;
}

/* Whose figures they are, for several processes may share a stderr. */
static void add_title(struct lines *lines)
{
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: statistics of ");
    arn__line_text(&line, arn__exit_program());
    arn__line_text(&line, ", process ");
    arn__line_decimal(&line, (uint64_t)arn__os_process());
    arn__lines_add(lines, &line);
}

void arn__stats_print_last(void)
{
    int fd = arn__exit_stderr();
    if (fd < 0)
        return;
    struct lines lines = {.length = 0};
    add_title(&lines);
    add_figures(&lines);
    arn__lines_write_quietly(&lines, fd);
}
