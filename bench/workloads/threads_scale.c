/* threads_scale.c - power_law in each of N threads: the same work in all, whatever N is.
 *
 *     threads_scale [--threads N] [--scale F]
 *
 * For time against the number of threads, as in threadtest of Berger, McKinley, Blumofe and Wilson,
 * "Hoard", 2000: threads that share nothing should not notice each other.
 */
#include "workload.h"

enum { REPLACEMENTS = 32000000, BLOCKS = 4000, OCTAVES = 12 };

static size_t replacements;

static void *body(void *idx)
{
    void **blocks = calloc(BLOCKS, sizeof *blocks);
    uint64_t seed = (uintptr_t)idx;
    CHECK(blocks != NULL);
    for (size_t left = replacements; left > 0; left--) {
        void **block = &blocks[random_below(&seed, BLOCKS)];
        block_drop(*block);
        *block = block_take(random_power_law(&seed, OCTAVES));
    }
    for (size_t i = 0; i < BLOCKS; i++)
        block_drop(blocks[i]);
    free(blocks);
    return NULL;
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads();
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});
    unsigned count = thread_count(threads, 1);

    replacements = scaled(REPLACEMENTS, scale / count);
    run_threads(count, body);
    return 0;
}
