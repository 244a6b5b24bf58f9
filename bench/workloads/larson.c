/* larson.c - threads replace blocks at random, and hand all of them to a new thread as they end.
 *
 *     larson [--threads N] [--scale F]
 *
 * After Larson and Krishnan ("Memory allocation for long-running server applications", 1998): each of N
 * chains of threads holds 5,000 blocks of 8 to 1,000 bytes, which here are of 16 at least. A thread replaces so many at
 * random, starts its successor, which frees what it allocated, and ends.
 */
#include "workload.h"

enum {
    REPLACEMENTS = 24000000,
    HELD = 5000,
    GENERATIONS = 60,
    LEAST_BYTES = 16,
    MOST_BYTES = 1000
};

struct chain {
    void *blocks[HELD];
    uint64_t seed;
    size_t generations; /* that are still to come */
};

static struct chain chains[MOST_THREADS];
static size_t replacements; /* of a thread */

static void *take(uint64_t *seed)
{
    return block_take(LEAST_BYTES + random_below(seed, MOST_BYTES - LEAST_BYTES + 1));
}

/* The threads of a chain run one after the other: each has the blocks of the one before to itself. */
static void *replace(void *argument)
{
    struct chain *chain = argument;
    for (size_t left = replacements; left > 0; left--) {
        void **block = &chain->blocks[random_below(&chain->seed, HELD)];
        block_drop(*block);
        *block = take(&chain->seed);
    }
    return NULL;
}

static void *run_chain(void *idx)
{
    struct chain *chain = &chains[(uintptr_t)idx];
    chain->seed = (uintptr_t)idx;
    for (size_t i = 0; i < HELD; i++)
        chain->blocks[i] = take(&chain->seed);
    for (; chain->generations > 0; chain->generations--) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, replace, chain) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    for (size_t i = 0; i < HELD; i++)
        block_drop(chain->blocks[i]);
    return NULL;
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads();
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});
    unsigned count = thread_count(threads, 1);

    replacements = scaled(REPLACEMENTS / GENERATIONS, scale / count);
    for (unsigned i = 0; i < count; i++)
        chains[i].generations = GENERATIONS;
    run_threads(count, run_chain);
    return 0;
}
