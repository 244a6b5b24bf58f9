/* remote_free.c - blocks of one thread, checked and then freed by another, a batch at a time.
 *
 *     remote_free [--scale F]
 *
 * No paper: what freeing another thread's block costs by itself. The other side waits meanwhile, and
 * the check before has brought the blocks near.
 *
 * Prints remote_free_ns: processor time of the freeing thread, per block.
 */
#include <semaphore.h>

#include "workload.h"

enum { ROUNDS = 3000, BATCH = 2048, MOST_BYTES = 128 };

static void *blocks[BATCH];
static sem_t filled, emptied;
static size_t rounds;

static void *free_all(void *unused)
{
    double seconds = 0;
    for (size_t left = rounds; left > 0; left--) {
        sem_wait(&filled);
        for (size_t i = 0; i < BATCH; i++)
            block_check(blocks[i]);
        double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
        for (size_t i = 0; i < BATCH; i++)
            free(blocks[i]);
        seconds += seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
        sem_post(&emptied);
    }
    print_figure("remote_free_ns", seconds * 1e9 / (double)(rounds * BATCH));
    return unused;
}

int main(int argc, char **argv)
{
    double scale = 1;
    uint64_t seed = 15;
    pthread_t other;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    rounds = scaled(ROUNDS, scale);
    sem_init(&filled, 0, 0);
    sem_init(&emptied, 0, 0);
    CHECK(pthread_create(&other, NULL, free_all, NULL) == 0);
    for (size_t left = rounds; left > 0; left--) {
        for (size_t i = 0; i < BATCH; i++)
            blocks[i] = block_take(16 + random_below(&seed, MOST_BYTES - 15));
        sem_post(&filled);
        sem_wait(&emptied);
    }
    CHECK(pthread_join(other, NULL) == 0);
    return 0;
}
