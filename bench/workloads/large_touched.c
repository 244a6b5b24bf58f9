/* large_touched.c - twenty blocks of 5 to 25 MiB, replaced at random, each page written.
 *
 *     large_touched [--scale F]
 *
 * No paper: a server that holds images or columns. Whoever gives back what is freed pays for each page again.
 */
#include "workload.h"

enum { REPLACEMENTS = 1000, BLOCKS = 20, LEAST_MIB = 5, MOST_MIB = 25 };

static void *blocks[BLOCKS];

int main(int argc, char **argv)
{
    double scale = 1;
    uint64_t seed = 20;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    for (size_t left = scaled(REPLACEMENTS, scale); left > 0; left--) {
        void **block = &blocks[random_below(&seed, BLOCKS)];
        block_drop(*block);
        size_t mibs = LEAST_MIB + random_below(&seed, MOST_MIB - LEAST_MIB + 1);
        *block = block_take(mibs << 20);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        block_drop(blocks[i]);
    return 0;
}
