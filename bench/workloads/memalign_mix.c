/* memalign_mix.c - aligned blocks of 32 bytes to a page among plain ones, each replaced at random.
 *
 *     memalign_mix [--scale F]
 *
 * No paper: vectors of numbers want 32 or 64 bytes, locks a cache line, buffers for devices a page.
 */
#include "workload.h"

enum { REPLACEMENTS = 10000000, BLOCKS = 10000, OCTAVES = 9 };

static void *blocks[BLOCKS];

int main(int argc, char **argv)
{
    double scale = 1;
    uint64_t seed = 5;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    for (size_t left = scaled(REPLACEMENTS, scale); left > 0; left--) {
        void **block = &blocks[random_below(&seed, BLOCKS)];
        block_drop(*block);
        size_t alignment = random_power_law(&seed, 8); /* 16 to 4096, small ones more often */
        alignment = (size_t)1 << (63 - __builtin_clzll(alignment));
        size_t bytes = (random_power_law(&seed, OCTAVES) + alignment - 1) & -alignment;
        *block = block_mark(aligned_alloc(alignment, bytes), bytes);
        CHECK((uintptr_t)*block % alignment == 0);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        block_drop(blocks[i]);
    return 0;
}
