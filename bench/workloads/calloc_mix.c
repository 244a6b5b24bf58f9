/* calloc_mix.c - zeroed blocks of all sizes, each replaced at random, dirtied while they live.
 *
 *     calloc_mix [--scale F]
 *
 * No paper: power_law with calloc, to see what an allocator knows about memory that is zero already.
 */
#include "workload.h"

enum { REPLACEMENTS = 14000000, BLOCKS = 10000, OCTAVES = 15, WORDS_SEEN = 32 };

static void *blocks[BLOCKS];

/* Up to WORDS_SEEN words, spread evenly, must be zero and are not any more. */
static void *take_zeroed(size_t bytes)
{
    size_t words = bytes / sizeof(uint64_t);
    uint64_t *block = calloc(words, sizeof *block);
    CHECK(block != NULL);
    for (size_t i = 0; i < words; i += 1 + words / WORDS_SEEN) {
        CHECK(block[i] == 0);
        block[i] = ~(uint64_t)0;
    }
    return block_mark(block, words * sizeof *block);
}

int main(int argc, char **argv)
{
    double scale = 1;
    uint64_t seed = 4;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    for (size_t left = scaled(REPLACEMENTS, scale); left > 0; left--) {
        void **block = &blocks[random_below(&seed, BLOCKS)];
        block_drop(*block);
        *block = take_zeroed(random_power_law(&seed, OCTAVES));
    }
    for (size_t i = 0; i < BLOCKS; i++)
        block_drop(blocks[i]);
    return 0;
}
