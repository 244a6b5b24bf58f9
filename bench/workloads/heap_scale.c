/* heap_scale.c - the same number of random replacements in a live heap of --live bytes.
 *
 *     heap_scale [--live BYTES] [--scale F]
 *
 * For time against the size of the heap, from 1 MiB to 8 GiB. No paper: what grows faster than cache
 * and TLB misses explain is an allocator that searches.
 *
 * Prints replacement_ns: processor time without the filling, which takes longer in a larger heap for
 * anybody; and live_bytes, rss_bytes.
 */
#include "workload.h"

enum { REPLACEMENTS = 4000000, MOST_BYTES = 512, MEAN_BYTES = 264 };

static void *take(uint64_t *seed)
{
    return block_take(16 + random_below(seed, MOST_BYTES - 15));
}

int main(int argc, char **argv)
{
    double scale = 1, live = 64 << 20, live_bytes = 0;
    uint64_t seed = 14;
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--live", &live}, {NULL, NULL}});

    uint32_t count = (uint32_t)(live / MEAN_BYTES) + 1;
    void **blocks = malloc(count * sizeof *blocks);
    CHECK(blocks != NULL);
    for (size_t i = 0; i < count; i++)
        blocks[i] = take(&seed);

    size_t replacements = scaled(REPLACEMENTS, scale);
    double start = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t left = replacements; left > 0; left--) {
        void **block = &blocks[random_below(&seed, count)];
        block_drop(*block);
        *block = take(&seed);
    }
    print_figure("replacement_ns",
                 (seconds_of(CLOCK_PROCESS_CPUTIME_ID) - start) * 1e9 / (double)replacements);

    for (size_t i = 0; i < count; i++)
        live_bytes += (double)block_check(blocks[i]);
    print_figure("live_bytes", live_bytes);
    print_figure("rss_bytes", resident_bytes());
    for (size_t i = 0; i < count; i++)
        block_drop(blocks[i]);
    free(blocks);
    return 0;
}
