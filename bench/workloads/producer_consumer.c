/* producer_consumer.c - one thread allocates, the others free, through a bounded ring.
 *
 *     producer_consumer [--threads N] [--scale F]
 *
 * The pattern under which memory grows without bound if an allocator keeps freed blocks with the
 * thread that freed them: Berger, McKinley, Blumofe and Wilson, "Hoard: A Scalable Memory Allocator
 * for Multithreaded Applications", 2000.
 */
#include "ring.h"
#include "workload.h"

enum { BATCHES = 60000, MOST_BYTES = 512 };

static struct ring ring = {.lock = PTHREAD_MUTEX_INITIALIZER,
                           .filled = PTHREAD_COND_INITIALIZER,
                           .emptied = PTHREAD_COND_INITIALIZER,
                           .limit = 16};
static size_t batches;

static void produce(void)
{
    struct batch batch;
    uint64_t seed = 11;
    for (size_t left = batches; left > 0; left--) {
        for (size_t i = 0; i < BATCH; i++)
            batch.blocks[i] = block_take(16 + random_below(&seed, MOST_BYTES - 15));
        ring_put(&ring, &batch);
    }
    ring_close(&ring);
}

static void consume(void)
{
    struct batch batch;
    while (ring_take(&ring, &batch)) {
        for (size_t i = 0; i < BATCH; i++)
            block_drop(batch.blocks[i]);
    }
}

static void *body(void *idx)
{
    if ((uintptr_t)idx == 0)
        produce();
    else
        consume();
    return NULL;
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads();
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});
    unsigned count = thread_count(threads, 2);

    batches = scaled(BATCHES, scale);
    run_threads(count, body);
    CHECK(ring.taken == batches);
    return 0;
}
