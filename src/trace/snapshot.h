/* snapshot.h - what was traced at one moment, and grouping that.
 */
#ifndef ARENITE_TRACE_SNAPSHOT_H
#define ARENITE_TRACE_SNAPSHOT_H

#include <arenite/trace.h>
#include <dlfcn.h>
#include <stdbool.h>

/* One mapping: what is from each site, then the frames. */
struct arn_snapshot {
    size_t mapped_bytes;
    size_t count;
    struct arn_trace_statistic from[]; /* frames: all of the site's */
};

/* The items of two snapshots by what they have in common: of `newer` alone if `older` is NULL. Those of a
 * statistic with most bytes first, those of a comparison with the largest difference. To be given back by
 * arn__groups_release. -1 with ENOMEM, EINVAL. */
struct groups {
    struct item *items;
    size_t count;
    size_t mapped_bytes;
};

struct item {
    struct arn_trace_difference difference;
    uintptr_t key; /* equal in all that is grouped; BY_TRACEBACK: 0, the frames decide */
};

int arn__groups(struct groups *groups, const arn_snapshot *older, const arn_snapshot *newer,
                enum arn_trace_by by);
void arn__groups_release(struct groups *groups);

#endif
