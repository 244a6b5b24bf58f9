/* rounds.c - threads allocate, free and exchange blocks, end, and are followed by others.
 *
 *     rounds [--threads N] [--scale F]
 *
 * After the stress test of mimalloc (Leijen, 2019), which has rounds of threads: each of N threads builds up blocks, one
 * in eight of which it keeps until it ends, and exchanges one in four for a block in slots that all share. After each round
 * but every tenth, the slots keep what they hold for the next round's threads.
 */
#include "workload.h"

enum {
    BLOCKS = 24000000, /* in all */
    ROUNDS = 60,
    ROUNDS_PER_SWEEP = 10,
    SLOTS = 1024,
    OCTAVES = 6,
    KEPT_ONE_IN = 8,
    EXCHANGED_ONE_IN = 4,
    LARGE_ONE_IN = 4096,
    LARGE_BYTES = 100 << 10,
    HELD = 2048
};

static _Atomic(void *) slots[SLOTS];
static size_t blocks_each; /* of a thread in a round */

static void *take(uint64_t *seed)
{
    return block_take(random_below(seed, LARGE_ONE_IN) > 0 ? random_power_law(seed, OCTAVES)
                                                           : 16 + random_below(seed, LARGE_BYTES));
}

/* Release: what is in ours, for the thread that finds it. Acquire: what is in theirs. */
static void *exchange(void *block, uint64_t *seed)
{
    return atomic_exchange_explicit(&slots[random_below(seed, SLOTS)], block, memory_order_acq_rel);
}

static void *body(void *argument)
{
    uint64_t seed = *(const uint64_t *)argument;
    void *held[HELD] = {NULL};
    void **kept = malloc((blocks_each / KEPT_ONE_IN + 1) * sizeof *kept);
    size_t kept_count = 0;
    CHECK(kept != NULL);
    for (size_t i = 0; i < blocks_each; i++) {
        void *block = take(&seed);
        if (random_below(&seed, EXCHANGED_ONE_IN) == 0)
            block = exchange(block, &seed);
        if (i % KEPT_ONE_IN == 0) {
            kept[kept_count++] = block;
            continue;
        }
        void **place = &held[random_below(&seed, HELD)];
        block_drop(*place);
        *place = block;
    }
    for (size_t i = 0; i < HELD; i++)
        block_drop(held[i]);
    while (kept_count > 0)
        block_drop(kept[--kept_count]);
    free(kept);
    return NULL;
}

static void sweep(void)
{
    for (size_t i = 0; i < SLOTS; i++)
        block_drop(atomic_exchange(&slots[i], NULL));
}

static void run_round(unsigned round, unsigned count)
{
    pthread_t threads[MOST_THREADS];
    uint64_t seeds[MOST_THREADS];
    for (unsigned i = 0; i < count; i++) {
        seeds[i] = (uint64_t)round * MOST_THREADS + i;
        CHECK(pthread_create(&threads[i], NULL, body, &seeds[i]) == 0);
    }
    for (unsigned i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads();
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});
    unsigned count = thread_count(threads, 1);

    blocks_each = scaled(BLOCKS / ROUNDS, scale / count);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        run_round(round, count);
        if (round % ROUNDS_PER_SWEEP == 0)
            sweep();
    }
    sweep();
    return 0;
}
