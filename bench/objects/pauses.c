/* pauses.c - rings of four nodes that come and go beside a large heap that lives: how long the program
 * stands still for the collector.
 *
 *     pauses [--scale F]
 *
 * Of the rings, WINDOW are alive, one of which is replaced at random each time. log2_ns_N is how many
 * pauses took from 2^N to 2^(N+1) ns; the first and the last have the shorter and the longer ones, too.
 */
#include "manager.h"

enum { LIVE = 2000000, RINGS = 5000000, RING = 4, WINDOW = 1000, FIRST = 10, LAST = 31 };

static ref ring_new(void)
{
    ref first = node_new(), last = first;
    for (int i = 1; i < RING; i++) {
        ref node = node_new();
        node_set(&node->right, &first);
        node_give(&last->left, node);
        last = node;
    }
    node_set(&last->left, &first);
    return first;
}

static void check_ring(ref ring)
{
    ref at = ring;
    for (int i = 0; i < RING; i++)
        at = at->left;
    CHECK(at == ring);
}

static void print_pauses(double total_ns)
{
    print_figure("pauses", (double)pauses.count);
    print_figure("longest_ns", pauses.longest_ns);
    print_figure("collector_share", pauses.total_ns / total_ns);
    for (int octave = FIRST; octave <= LAST; octave++) {
        size_t found = pauses.octaves[octave];
        for (int i = 0; octave == FIRST && i < FIRST; i++)
            found += pauses.octaves[i];
        for (int i = LAST + 1; octave == LAST && i < PAUSE_OCTAVES; i++)
            found += pauses.octaves[i];
        printf("log2_ns_%d %zu\n", octave, found);
    }
}

int main(int argc, char **argv)
{
    double scale = read_scale(argc, argv);
    size_t live = scaled(LIVE, scale);
    uint64_t random = 1;
    manager_start();
    ref tree = tree_new(live);
    ref *window = refs_new(WINDOW);
    manager_watch();
    double start_ns = now_ns();
    for (size_t left = scaled(RINGS, scale); left > 0; left--) {
        ref *place = &window[random_below(&random, WINDOW)];
        if (*place != NULL)
            check_ring(*place);
        node_drop(place);
        node_give(place, ring_new());
    }
    print_pauses(now_ns() - start_ns);
    for (int i = 0; i < WINDOW; i++)
        node_drop(&window[i]);
    CHECK(manager_collect() != 0 && manager_lives(live));
    CHECK(tree_count(&tree) == live);
    return 0;
}
