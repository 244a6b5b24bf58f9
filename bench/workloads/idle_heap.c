/* idle_heap.c - a thread frees a heap of 100 MiB and sleeps; the others need as much.
 *
 *     idle_heap [--threads N] [--scale F]
 *
 * Blowup, after Berger, McKinley, Blumofe and Wilson, "Hoard", 2000: memory that is free with one
 * thread must be found by others, or go back to the system. An allocator that does neither ends
 * with twice what is alive.
 *
 * Prints live_bytes and rss_after_bytes, with the others' blocks still there.
 */
#include <semaphore.h>

#include "workload.h"

enum { HEAP_BYTES = 100 << 20, REPLACEMENTS = 2500000, OCTAVES = 8 };

/* The mean of random_power_law(OCTAVES) is 12 bytes an octave and 12 more for the last. */
enum { BLOCKS = HEAP_BYTES / (12 * (OCTAVES + 1)) };

static void *blocks[BLOCKS];
static unsigned workers;
static size_t replacements;
static sem_t freed, done;

static void fill(size_t first, size_t end, uint64_t *seed)
{
    for (size_t i = first; i < end; i++)
        blocks[i] = block_take(random_power_law(seed, OCTAVES));
}

static void *idle(void *unused)
{
    uint64_t seed = 13;
    fill(0, BLOCKS, &seed);
    for (size_t i = 0; i < BLOCKS; i++)
        block_drop(blocks[i]);
    sem_post(&freed);
    sem_wait(&done);
    return unused;
}

static void *work(void *idx)
{
    uint64_t seed = (uintptr_t)idx;
    size_t share = BLOCKS / workers, first = share * (uintptr_t)idx;
    fill(first, first + share, &seed);
    for (size_t left = replacements; left > 0; left--) {
        void **block = &blocks[first + random_below(&seed, (uint32_t)share)];
        block_drop(*block);
        *block = block_take(random_power_law(&seed, OCTAVES));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads(), live_bytes = 0;
    pthread_t idler;
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});

    workers = thread_count(threads, 2) - 1;
    replacements = scaled(REPLACEMENTS, scale / workers);
    sem_init(&freed, 0, 0);
    sem_init(&done, 0, 0);
    CHECK(pthread_create(&idler, NULL, idle, NULL) == 0);
    sem_wait(&freed);
    run_threads(workers, work);

    size_t count = BLOCKS / workers * workers;
    for (size_t i = 0; i < count; i++)
        live_bytes += (double)block_check(blocks[i]);
    print_figure("live_bytes", live_bytes);
    print_figure("rss_after_bytes", resident_bytes());
    sem_post(&done);
    pthread_join(idler, NULL);
    for (size_t i = 0; i < count; i++)
        block_drop(blocks[i]);
    return 0;
}
