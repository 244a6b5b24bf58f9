/* graph.c - a random graph that is one cycle: each node is on a ring through all of them in random
 * order, and refers to a random other one.
 *
 *     graph [--scale F] [--live 0|1]
 *
 * collect_ns is a full collection's, for each node: of which all are garbage, or with --live 1 none.
 */
#include "manager.h"

/* The order of a ring, at random: Sattolo's shuffle. */
static uint32_t *ring_new(size_t count, uint64_t *random)
{
    uint32_t *order = (uint32_t *)malloc(count * sizeof *order);
    CHECK(order != NULL);
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count; i-- > 1;) {
        size_t other = random_below(random, (uint32_t)i);
        uint32_t moved = order[i];
        order[i] = order[other];
        order[other] = moved;
    }
    return order;
}

/* Made of nodes, or seen to be what was made. */
static __attribute__((noinline)) void build(ref *nodes, size_t count, bool is_built)
{
    uint64_t random = 1;
    uint32_t *ring = ring_new(count, &random);
    for (size_t i = 0; i < count; i++) {
        ref *left = &nodes[ring[i]], *right = &nodes[random_below(&random, (uint32_t)count)];
        if (is_built) {
            CHECK(nodes[i]->left == *left && nodes[i]->right == *right);
        } else {
            node_set(&nodes[i]->left, left);
            node_set(&nodes[i]->right, right);
        }
    }
    free(ring);
}

static __attribute__((noinline)) void drop(ref *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        node_drop(&nodes[i]);
    refs_delete(nodes);
}

int main(int argc, char **argv)
{
    double scale = 1, live = 0;
    struct option options[] = {{"--scale", &scale}, {"--live", &live}, {NULL, NULL}};
    read_options(argc, argv, options);
    size_t count = scaled(MANY, scale);
    manager_start();
    manager_still(count);
    ref *nodes = refs_new(count);
    for (size_t i = 0; i < count; i++)
        nodes[i] = node_new();
    build(nodes, count, false);
    if (live > 0) {
        double start_ns = now_ns();
        CHECK(manager_collect() <= 0);
        print_figure("collect_ns", (now_ns() - start_ns) / (double)count);
        CHECK(manager_lives(count));
        build(nodes, count, true);
        return 0;
    }
    build(nodes, count, true);
    drop(nodes, count);
    double start_ns = now_ns();
    long collected = manager_collect();
    print_figure("collect_ns", (now_ns() - start_ns) / (double)count);
    CHECK(collected == -1 || collected == (long)count);
    CHECK(manager_gone(count));
    return 0;
}
