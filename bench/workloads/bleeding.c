/* bleeding.c - one thread allocates and never frees; the others free, slower than it allocates.
 *
 *     bleeding [--threads N] [--scale F]
 *
 * After the asymmetric test of Lever and Boreham, "malloc() Performance in a Multithreaded Linux
 * Environment", 2000, where blocks bleed from one thread to the others. Each block is read before it
 * is freed, as often as there are threads that do so: a backlog of up to 256 Ki blocks stands
 * between the two sides.
 */
#include "ring.h"
#include "workload.h"

enum { BATCHES = 15000, MOST_BYTES = 256 };

static struct ring ring = {.lock = PTHREAD_MUTEX_INITIALIZER,
                           .filled = PTHREAD_COND_INITIALIZER,
                           .emptied = PTHREAD_COND_INITIALIZER,
                           .limit = RING_BATCHES};
static size_t batches;
static unsigned readers;

static void allocate(void)
{
    struct batch batch;
    uint64_t seed = 12;
    for (size_t left = batches; left > 0; left--) {
        for (size_t i = 0; i < BATCH; i++) {
            size_t bytes = 16 + random_below(&seed, MOST_BYTES - 15);
            char *block = malloc(bytes);
            CHECK(block != NULL);
            memset(block, (char)bytes, bytes);
            batch.blocks[i] = block_mark(block, bytes);
        }
        ring_put(&ring, &batch);
    }
    ring_close(&ring);
}

static void read_and_free(unsigned char *block)
{
    size_t bytes = block_check(block);
    for (unsigned reading = 0; reading < readers; reading++) {
        for (size_t i = 8; i < bytes - 8; i++)
            CHECK(((volatile unsigned char *)block)[i] == (unsigned char)bytes);
    }
    block_drop(block);
}

static void *body(void *idx)
{
    struct batch batch;
    if ((uintptr_t)idx == 0) {
        allocate();
        return NULL;
    }
    while (ring_take(&ring, &batch)) {
        for (size_t i = 0; i < BATCH; i++)
            read_and_free(batch.blocks[i]);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads();
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});

    batches = scaled(BATCHES, scale);
    readers = thread_count(threads, 2) - 1;
    run_threads(readers + 1, body);
    CHECK(ring.taken == batches);
    return 0;
}
