/* random_lives.c - blocks of random sizes, small ones more often, that live for random times.
 *
 *     random_lives [--threads N] [--scale F]
 *
 * No paper: objects and strings of a program that runs for long. Of 65,536 places of each thread some are replaced soon
 * again and others late: a place is drawn from a range that is itself drawn, each octave as often as any other. One block
 * in 256 has up to 64 KiB.
 */
#include "workload.h"

enum { REPLACEMENTS = 16000000, PLACE_OCTAVES = 16, LARGE_ONE_IN = 256, LARGE_BYTES = 64 << 10 };

static size_t replacements;

/* 16 to 1,000 bytes: the smaller of two. */
static size_t random_bytes(uint64_t *seed)
{
    size_t one = random_below(seed, 985), other = random_below(seed, 985);
    size_t bytes = 16 + (one < other ? one : other);
    return random_below(seed, LARGE_ONE_IN) > 0 ? bytes : bytes + random_below(seed, LARGE_BYTES);
}

static void *body(void *idx)
{
    uint64_t seed = (uintptr_t)idx;
    void **blocks = calloc((size_t)1 << PLACE_OCTAVES, sizeof *blocks);
    CHECK(blocks != NULL);
    for (size_t left = replacements; left > 0; left--) {
        uint32_t range = (uint32_t)2 << random_below(&seed, PLACE_OCTAVES);
        void **block = &blocks[random_below(&seed, range)];
        block_drop(*block);
        *block = block_take(random_bytes(&seed));
    }
    for (size_t i = 0; i < (size_t)1 << PLACE_OCTAVES; i++)
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
