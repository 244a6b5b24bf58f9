/* power_law.c - many small blocks and few large ones, each replaced at random.
 *
 *     power_law [--scale F]
 *
 * Sizes and lifetimes are drawn from distributions as in the synthetic models of Zorn and Grunwald,
 * "Evaluating Models of Memory Allocation", 1994: sizes by a power law from 16 bytes to 1 MiB,
 * lifetimes geometrically, for the block that dies is chosen at random.
 */
#include "workload.h"

enum { REPLACEMENTS = 24000000, BLOCKS = 20000, OCTAVES = 16 };

static void *blocks[BLOCKS];

int main(int argc, char **argv)
{
    double scale = 1;
    uint64_t seed = 2;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    for (size_t left = scaled(REPLACEMENTS, scale); left > 0; left--) {
        void **block = &blocks[random_below(&seed, BLOCKS)];
        block_drop(*block);
        *block = block_take(random_power_law(&seed, OCTAVES));
    }
    for (size_t i = 0; i < BLOCKS; i++)
        block_drop(blocks[i]);
    return 0;
}
