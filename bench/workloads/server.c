/* server.c - threads that replace blocks at random, die, and leave their blocks to a successor.
 *
 *     server [--threads N] [--scale F]
 *
 * After Larson and Krishnan, "Memory Allocation for Long-Running Server Applications", 1998: a block
 * is mostly freed by another thread than the one that allocated it, which may be gone by then.
 */
#include <semaphore.h>

#include "workload.h"

enum { REPLACEMENTS = 28000000, PER_LIFE = 20000, BLOCKS = 1000, MOST_BYTES = 1000 };

/* What a thread and its successors have in common, one at a time. */
static struct line {
    void *blocks[BLOCKS];
    uint64_t seed;
    size_t lives_left;
} lines[MOST_THREADS];

static pthread_attr_t detached;
static sem_t line_ended;

static void *live(void *argument)
{
    struct line *line = argument;
    pthread_t successor;
    for (size_t i = 0; i < PER_LIFE; i++) {
        void **block = &line->blocks[random_below(&line->seed, BLOCKS)];
        block_drop(*block);
        *block = block_take(16 + random_below(&line->seed, MOST_BYTES - 15));
    }
    if (--line->lives_left > 0)
        CHECK(pthread_create(&successor, &detached, live, line) == 0);
    else
        sem_post(&line_ended);
    return NULL;
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads();
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});
    unsigned count = thread_count(threads, 1);

    sem_init(&line_ended, 0, 0);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (unsigned i = 0; i < count; i++) {
        pthread_t first;
        lines[i].seed = i;
        lines[i].lives_left = scaled(REPLACEMENTS / PER_LIFE / count, scale);
        CHECK(pthread_create(&first, &detached, live, &lines[i]) == 0);
    }
    for (unsigned i = 0; i < count; i++)
        sem_wait(&line_ended);
    for (unsigned i = 0; i < count * BLOCKS; i++)
        block_drop(lines[i / BLOCKS].blocks[i % BLOCKS]);
    return 0;
}
