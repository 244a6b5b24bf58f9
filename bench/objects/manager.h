/* manager.h - what a workload sees of the memory manager that it is compiled with.
 *
 * MANAGER is the header of one, as "manager_libgc.h". Before this one, NODE_FIELDS may be defined: what
 * a node has beside its two references. A `ref` is a reference to a node that its variable owns, a
 * pointer or a class of C++: workloads are written in what C and C++ have in common. A manager has:
 *
 *     manager_start()             before all else
 *     node_new()                  a node, zero, with one reference, for the caller
 *     node_give(&field, value)    the field, NULL so far, gets the caller's own reference
 *     node_set(&field, &other)    the field refers to what `other` does, too
 *     node_drop(&reference)       makes it NULL; the last one releases the node
 *     node_pair(&reference)       one reference more and one less, that no compiler takes away
 *     refs_new(n), refs_delete    n references that are NULL, from outside of all nodes; and
 *     doubles_new(n), doubles_delete  (MANAGER_HAS_VECTORS: others than those below)
 *
 * NODE_RECURSES: to release a long chain takes stack for each node. MANAGER_COUNTS: the last reference
 * releases. MANAGER_COLLECTS: there is a collector, and
 *
 *     manager_collect()           a full collection; how many objects it released, or -1: it does not say
 *     manager_still(nodes)        no automatic ones from here on; so many nodes are going to be made
 *     manager_lives(nodes)        whether about so many are there (exactly, of those that count), just
 *                                 after a collection; manager_gone(nodes): that so many are not
 *     manager_watch()             pause_begins() and pause_ends() are called around each collection
 *     manager_collector_ns()      what collections have taken since then
 */
#ifndef ARENITE_BENCH_MANAGER_H
#define ARENITE_BENCH_MANAGER_H

#include "../workloads/workload.h"
#include <stdbool.h>

#ifndef NODE_FIELDS
#define NODE_FIELDS
#endif

enum { MANY = 10000000 }; /* nodes, at --scale 1 */

static inline double now_ns(void)
{
    return seconds_of(CLOCK_MONOTONIC) * 1e9;
}

/* ---- pauses: the collector's, in between the program's own work ---- */

enum { PAUSE_OCTAVES = 40 };
static struct {
    double start_ns, total_ns, longest_ns;
    size_t count, octaves[PAUSE_OCTAVES]; /* by the logarithm of base 2 of the ns */
} pauses;

__attribute__((unused)) static void pause_begins(void)
{
    pauses.start_ns = now_ns();
}

__attribute__((unused)) static void pause_ends(void)
{
    double ns = now_ns() - pauses.start_ns;
    pauses.total_ns += ns;
    pauses.count++;
    if (ns > pauses.longest_ns)
        pauses.longest_ns = ns;
    int octave = 63 - __builtin_clzll((uint64_t)ns | 1);
    pauses.octaves[octave < PAUSE_OCTAVES ? octave : PAUSE_OCTAVES - 1]++;
}

#include MANAGER

#ifndef MANAGER_HAS_VECTORS
static inline ref *refs_new(size_t count)
{
    ref *refs = calloc(count, sizeof *refs);
    CHECK(refs != NULL);
    return refs;
}

static inline void refs_delete(ref *refs)
{
    free(refs);
}

static inline double *doubles_new(size_t count)
{
    double *doubles = calloc(count, sizeof *doubles);
    CHECK(doubles != NULL);
    return doubles;
}

static inline void doubles_delete(double *doubles)
{
    free(doubles);
}
#endif

/* ---- what workloads share ---- */

static inline double read_scale(int argc, char **argv)
{
    double scale = 1;
    struct option options[] = {{"--scale", &scale}, {NULL, NULL}};
    read_options(argc, argv, options);
    return scale;
}

/* A height at which trees have `scale` times the nodes. */
static inline unsigned scaled_height(unsigned height, double scale)
{
    for (; scale >= 2; scale /= 2)
        height++;
    for (; scale < 1 && height > 4; scale *= 2)
        height--;
    return height;
}

/* A tree of `count` nodes, as level as can be, built from its leaves up, or NULL of none. */
static inline ref tree_new(size_t count)
{
    if (count == 0)
        return NULL;
    ref left = tree_new((count - 1) / 2), right = tree_new(count - 1 - (count - 1) / 2);
    ref node = node_new();
    node_give(&node->left, MOVED(left));
    node_give(&node->right, MOVED(right));
    return node;
}

static inline size_t tree_count(const ref *tree)
{
    return *tree == NULL ? 0 : 1 + tree_count(&(*tree)->left) + tree_count(&(*tree)->right);
}

#endif
