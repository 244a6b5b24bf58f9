/* batch.c - batches of blocks, freed in the order in which they came, in reverse, or in none.
 *
 *     batch fifo|lifo|random [--scale F]
 *
 * After bench-malloc-simple of the GNU C library (Dijkstra, 2019), which frees batches first in,
 * first out. The last in, first out is what a stack of temporaries does; the random order is the
 * hard one for free lists, whose order it becomes.
 */
#include "workload.h"

enum { BATCHES = 6000, BLOCKS = 4096, MOST_BYTES = 512 };

static uint64_t seed = 1;
static void *blocks[BLOCKS];
static size_t order[BLOCKS];

static void set_order(const char *name)
{
    for (size_t i = 0; i < BLOCKS; i++)
        order[i] = strcmp(name, "lifo") == 0 ? BLOCKS - 1 - i : i;
    if (strcmp(name, "random") != 0)
        return;
    for (uint32_t left = BLOCKS; left > 1; left--) { /* Fisher and Yates */
        size_t i = random_below(&seed, left), swapped = order[i];
        order[i] = order[left - 1];
        order[left - 1] = swapped;
    }
}

int main(int argc, char **argv)
{
    double scale = 1;
    if (argc < 2) {
        fprintf(stderr, "usage: batch fifo|lifo|random [--scale F]\n");
        return 2;
    }
    set_order(argv[1]);
    read_options(argc - 1, argv + 1, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    for (size_t batch = scaled(BATCHES, scale); batch > 0; batch--) {
        for (size_t i = 0; i < BLOCKS; i++)
            blocks[i] = block_take(16 + random_below(&seed, MOST_BYTES - 15));
        for (size_t i = 0; i < BLOCKS; i++)
            block_drop(blocks[order[i]]);
    }
    return 0;
}
