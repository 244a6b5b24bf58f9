/* snapshot.c - taking, filtering and grouping snapshots; each in a mapping of its own. */
#include "snapshot.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "table.h"
#include "thread.h"

/* ---- taking ---- */

static void **frames_behind(arn_snapshot *snapshot, size_t room)
{
    return (void **)(snapshot->from + room);
}

/* For so many sites and frames. */
static arn_snapshot *new_snapshot(size_t sites, size_t frames)
{
    size_t bytes =
        sizeof(arn_snapshot) + sites * sizeof(struct arn_trace_statistic) + frames * sizeof(void *);
    arn_snapshot *snapshot = arn__trace_map(bytes);
    if (snapshot == NULL)
        errno = ENOMEM;
    else
        snapshot->mapped_bytes = bytes;
    return snapshot;
}

/* Adds a copy, with its frames at `frames`; what is behind them. */
static void **add(arn_snapshot *snapshot, const struct arn_trace_statistic *from, void **frames)
{
    struct arn_trace_statistic *copy = &snapshot->from[snapshot->count++];
    *copy = *from;
    copy->frames = memcpy(frames, from->frames, from->frame_count * sizeof *frames);
    return frames + from->frame_count;
}

/* Of these sites and all that were made before. */
static arn_snapshot *take(struct site *newest)
{
    size_t sites = 0, frames_count = 0;
    for (const struct site *site = newest; site != NULL; site = site->older, sites++)
        frames_count += site->frame_count;
    arn_snapshot *snapshot = new_snapshot(sites, frames_count);
    void **frames = snapshot == NULL ? NULL : frames_behind(snapshot, sites);
    for (struct site *site = newest; snapshot != NULL && site != NULL; site = site->older) {
        struct arn_trace_statistic from = {
            .bytes = atomic_load(&site->bytes),
            .count = atomic_load(&site->count),
            .type = site->type,
            .frames = site->frames,
            .frame_count = site->frame_count,
        };
        if (from.count > 0)
            frames = add(snapshot, &from, frames);
    }
    return snapshot;
}

arn_snapshot *arn_trace_snapshot(void)
{
    arn_snapshot *snapshot = NULL;
    arn__thread_settle();
    arn__lock(&arn__trace_control, RANK_TRACE); /* sites stay */
    if (atomic_load(&arn__tracing) != 0)
        snapshot = take(arn__sites_newest());
    else
        errno = EINVAL;
    arn__unlock(&arn__trace_control, RANK_TRACE);
    return snapshot;
}

void arn_trace_release(arn_snapshot *snapshot)
{
    if (snapshot != NULL)
        arn__trace_unmap(snapshot, snapshot->mapped_bytes);
}

/* ---- filtering ---- */

static bool frame_matches(const struct arn_trace_filter *filter, const void *frame)
{
    Dl_info info;
    if (filter->end != NULL && (uintptr_t)frame >= (uintptr_t)filter->end)
        return false;
    if ((uintptr_t)frame < (uintptr_t)filter->start)
        return false;
    return filter->module == NULL || (arn__module_of(frame, &info) && info.dli_fname != NULL &&
                                      strstr(info.dli_fname, filter->module) != NULL);
}

static bool matches(const struct arn_trace_filter *filter, const struct arn_trace_statistic *from)
{
    if (filter->type != NULL && filter->type != from->type)
        return false;
    size_t looked_at = filter->all_frames ? from->frame_count : 1;
    for (size_t i = 0; i < looked_at; i++) {
        if (frame_matches(filter, from->frames[i]))
            return true;
    }
    return false;
}

static bool is_kept(const struct arn_trace_filter *filters, size_t count,
                    const struct arn_trace_statistic *from)
{
    bool keeps_some = false, kept = false;
    for (size_t i = 0; i < count; i++) {
        bool hit = matches(&filters[i], from);
        if (filters[i].exclude && hit)
            return false;
        keeps_some |= !filters[i].exclude;
        kept |= !filters[i].exclude && hit;
    }
    return kept || !keeps_some;
}

arn_snapshot *arn_trace_filter(const arn_snapshot *snapshot, const struct arn_trace_filter *filters,
                               size_t count)
{
    size_t frames_count = 0;
    for (size_t i = 0; i < snapshot->count; i++)
        frames_count += snapshot->from[i].frame_count;
    arn_snapshot *kept = new_snapshot(snapshot->count, frames_count);
    void **frames = kept == NULL ? NULL : frames_behind(kept, snapshot->count);
    for (size_t i = 0; kept != NULL && i < snapshot->count; i++) {
        if (is_kept(filters, count, &snapshot->from[i]))
            frames = add(kept, &snapshot->from[i], frames);
    }
    return kept;
}

/* ---- grouping ---- */

typedef int comparison(const struct item *left, const struct item *right);

static int compare_numbers(uintmax_t left, uintmax_t right)
{
    return (left > right) - (left < right);
}

static int compare_frames(const struct arn_trace_statistic *left,
                          const struct arn_trace_statistic *right)
{
    int order = compare_numbers(left->frame_count, right->frame_count);
    return order != 0
               ? order
               : memcmp(left->frames, right->frames, left->frame_count * sizeof *left->frames);
}

static int by_key(const struct item *left, const struct item *right)
{
    return compare_numbers(left->key, right->key);
}

static int by_frames(const struct item *left, const struct item *right)
{
    return compare_frames(&left->difference.now, &right->difference.now);
}

static uintmax_t magnitude(ptrdiff_t value)
{
    return value < 0 ? -(uintmax_t)value : (uintmax_t)value;
}

/* What is told first; the rest of it, for the order to be the same each time. */
static int by_bytes(const struct item *left, const struct item *right)
{
    const struct arn_trace_difference *l = &left->difference, *r = &right->difference;
    int order = compare_numbers(r->now.bytes, l->now.bytes);
    if (order == 0)
        order = compare_numbers(r->now.count, l->now.count);
    if (order == 0)
        order = compare_numbers(left->key, right->key);
    return order == 0 && l->now.frame_count > 0 ? compare_frames(&l->now, &r->now) : order;
}

static int by_change(const struct item *left, const struct item *right)
{
    const struct arn_trace_difference *l = &left->difference, *r = &right->difference;
    int order = compare_numbers(magnitude(r->bytes_more), magnitude(l->bytes_more));
    if (order == 0)
        order = compare_numbers(magnitude(r->count_more), magnitude(l->count_more));
    return order != 0 ? order : by_bytes(left, right);
}

static void sift(struct item *items, size_t root, size_t count, comparison *compare)
{
    struct item moving = items[root];
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && compare(&items[child], &items[child + 1]) < 0)
            child++;
        if (compare(&moving, &items[child]) >= 0)
            break;
        items[root] = items[child];
    }
    items[root] = moving;
}

/* Heapsort (Williams 1964): libc's qsort may allocate. */
static void sort(struct item *items, size_t count, comparison *compare)
{
    for (size_t root = count / 2; root-- > 0;)
        sift(items, root, count, compare);
    while (count-- > 1) {
        struct item last = items[count];
        items[count] = items[0];
        items[0] = last;
        sift(items, 0, count, compare);
    }
}

static uintptr_t key_of(const struct arn_trace_statistic *from, enum arn_trace_by by)
{
    Dl_info info;
    switch (by) {
    case ARN_TRACE_BY_SITE:
        return (uintptr_t)from->frames[0];
    case ARN_TRACE_BY_TYPE:
        return (uintptr_t)from->type;
    case ARN_TRACE_BY_MODULE:
        return arn__module_of(from->frames[0], &info) ? (uintptr_t)info.dli_fbase : 0;
    default:
        return 0;
    }
}

/* `sign`: 1 of the newer snapshot, -1 of the older. */
static void add_items(struct groups *groups, const arn_snapshot *snapshot, enum arn_trace_by by,
                      int sign)
{
    for (size_t i = 0; snapshot != NULL && i < snapshot->count; i++) {
        struct item *item = &groups->items[groups->count++];
        struct arn_trace_statistic *now = &item->difference.now;
        *now = snapshot->from[i];
        item->key = key_of(now, by);
        item->difference.bytes_more = sign * (ptrdiff_t)now->bytes;
        item->difference.count_more = sign * (ptrdiff_t)now->count;
        if (sign < 0)
            now->bytes = now->count = 0;
        if (by == ARN_TRACE_BY_TYPE)
            now->frames = NULL, now->frame_count = 0;
        else
            now->type = NULL;
        if (by == ARN_TRACE_BY_SITE || by == ARN_TRACE_BY_MODULE)
            now->frame_count = 1;
    }
}

/* Of items that are in order, those that are equal become one. */
static void merge(struct groups *groups, comparison *compare)
{
    size_t kept = 0;
    for (size_t i = 0; i < groups->count; i++) {
        const struct item *item = &groups->items[i];
        if (kept == 0 || compare(&groups->items[kept - 1], item) != 0) {
            groups->items[kept++] = *item;
            continue;
        }
        struct arn_trace_difference *sum = &groups->items[kept - 1].difference;
        sum->now.bytes += item->difference.now.bytes;
        sum->now.count += item->difference.now.count;
        sum->bytes_more += item->difference.bytes_more;
        sum->count_more += item->difference.count_more;
    }
    groups->count = kept;
}

int arn__groups(struct groups *groups, const arn_snapshot *older, const arn_snapshot *newer,
                enum arn_trace_by by)
{
    if ((unsigned)by > ARN_TRACE_BY_MODULE) {
        errno = EINVAL;
        return -1;
    }
    size_t most = newer->count + (older == NULL ? 0 : older->count);
    groups->count = 0;
    groups->mapped_bytes = (most + 1) * sizeof *groups->items;
    groups->items = arn__trace_map(groups->mapped_bytes);
    if (groups->items == NULL) {
        errno = ENOMEM;
        return -1;
    }
    add_items(groups, newer, by, 1);
    add_items(groups, older, by, -1);
    comparison *compare = by == ARN_TRACE_BY_TRACEBACK ? by_frames : by_key;
    sort(groups->items, groups->count, compare);
    merge(groups, compare);
    sort(groups->items, groups->count, older == NULL ? by_bytes : by_change);
    return 0;
}

void arn__groups_release(struct groups *groups)
{
    arn__trace_unmap(groups->items, groups->mapped_bytes);
}

long arn_trace_statistics(const arn_snapshot *snapshot, enum arn_trace_by by,
                          struct arn_trace_statistic *found, size_t most)
{
    struct groups groups;
    if (arn__groups(&groups, NULL, snapshot, by) != 0)
        return -1;
    for (size_t i = 0; i < groups.count && i < most; i++)
        found[i] = groups.items[i].difference.now;
    arn__groups_release(&groups);
    return (long)groups.count;
}

long arn_trace_compare(const arn_snapshot *older, const arn_snapshot *newer, enum arn_trace_by by,
                       struct arn_trace_difference *found, size_t most)
{
    struct groups groups;
    if (arn__groups(&groups, older, newer, by) != 0)
        return -1;
    for (size_t i = 0; i < groups.count && i < most; i++)
        found[i] = groups.items[i].difference;
    arn__groups_release(&groups);
    return (long)groups.count;
}
