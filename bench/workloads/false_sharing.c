/* false_sharing.c - threads that write to small blocks of their own, which may share a cache line.
 *
 *     false_sharing active|passive [--threads N] [--scale F]
 *
 * After cache-thrash and cache-scratch of Berger, McKinley, Blumofe and Wilson, "Hoard", 2000.
 * Active: the allocator gives two threads blocks of the same line. Passive: the main thread gives
 * each thread one of its own blocks, of the same line; the threads free them, and an allocator that
 * hands a freed block to the thread that freed it keeps the line shared.
 */
#include "workload.h"

enum { ROUNDS = 12000000, WRITES = 200, BYTES = 16 };

static size_t rounds;
static void *given[MOST_THREADS]; /* by the main thread, if passive */

static void *body(void *idx)
{
    free(given[(uintptr_t)idx]);
    for (size_t left = rounds; left > 0; left--) {
        volatile uint64_t *block = malloc(BYTES);
        CHECK(block != NULL);
        *block = left;
        for (unsigned i = 0; i < WRITES; i++)
            *block = *block + 1;
        CHECK(*block == left + WRITES);
        free((void *)block);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads();
    if (argc < 2) {
        fprintf(stderr, "usage: false_sharing active|passive [--threads N] [--scale F]\n");
        return 2;
    }
    read_options(argc - 1, argv + 1,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});
    unsigned count = thread_count(threads, 1);

    rounds = scaled(ROUNDS, scale / count);
    for (unsigned i = 0; strcmp(argv[1], "passive") == 0 && i < count; i++)
        given[i] = malloc(BYTES);
    run_threads(count, body);
    return 0;
}
