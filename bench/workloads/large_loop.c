/* large_loop.c - blocks of 64 KiB to 8 MiB, a few alive, a part of each touched.
 *
 *     large_loop [--scale F]
 *
 * No paper: images, arrays and file buffers. Giving each back to the system costs a fault for every
 * page of the next; keeping them costs memory.
 */
#include "workload.h"

enum { REPLACEMENTS = 20000, BLOCKS = 16, LEAST_BYTES = 64 << 10, OCTAVES = 7, PART = 4 };

static char *blocks[BLOCKS];

/* Each octave as often as any other; the first part is written. */
static char *take_large(uint64_t *seed)
{
    size_t octave_bytes = (size_t)LEAST_BYTES << random_below(seed, OCTAVES);
    size_t bytes = octave_bytes + random_below(seed, (uint32_t)octave_bytes);
    char *block = block_mark(malloc(bytes), bytes);
    for (size_t i = PAGE_BYTES; i < bytes / PART; i += PAGE_BYTES)
        block[i] = (char)bytes;
    return block;
}

static void drop_large(char *block)
{
    if (block == NULL)
        return;
    size_t bytes = block_check(block);
    for (size_t i = PAGE_BYTES; i < bytes / PART; i += PAGE_BYTES)
        CHECK(block[i] == (char)bytes);
    block_drop(block);
}

int main(int argc, char **argv)
{
    double scale = 1;
    uint64_t seed = 8;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    for (size_t left = scaled(REPLACEMENTS, scale); left > 0; left--) {
        char **block = &blocks[random_below(&seed, BLOCKS)];
        drop_large(*block);
        *block = take_large(&seed);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        drop_large(blocks[i]);
    return 0;
}
