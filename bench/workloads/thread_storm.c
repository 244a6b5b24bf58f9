/* thread_storm.c - threads by the thousand, each of which allocates little.
 *
 *     thread_storm [--threads N] [--scale F]
 *
 * No paper: a server with a thread for each request. What counts is the cost of a thread's first
 * blocks and of its end. Each leaves a block, its result, to whoever joins it. --threads: at once.
 */
#include "workload.h"

enum { STARTS = 20000, BLOCKS = 40, OCTAVES = 8 };

static void *serve(void *number)
{
    void *blocks[BLOCKS];
    uint64_t seed = (uintptr_t)number;
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = block_take(random_power_law(&seed, OCTAVES));
    for (size_t i = 1; i < BLOCKS; i++)
        block_drop(blocks[i]);
    return blocks[0];
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads();
    pthread_t running[MOST_THREADS];
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});
    size_t at_once = thread_count(threads, 1);

    size_t starts = scaled(STARTS, scale);
    for (size_t i = 0; i < starts + at_once; i++) {
        void *result;
        if (i >= at_once) {
            CHECK(pthread_join(running[i % at_once], &result) == 0);
            block_drop(result);
        }
        if (i < starts)
            CHECK(pthread_create(&running[i % at_once], NULL, serve, (void *)i) == 0);
    }
    return 0;
}
