/* exchange.c - all threads put blocks into shared slots and free what they find there.
 *
 *     exchange [--threads N] [--scale F]
 *
 * After the stress test of mimalloc (Leijen, 2019): with N threads, all but one block in N is freed
 * by another thread than its own, and any thread may have any block.
 */
#include "workload.h"

enum { EXCHANGES = 32000000, SLOTS = 4096, OCTAVES = 8 };

static _Atomic(void *) slots[SLOTS];
static size_t exchanges;

static void *body(void *idx)
{
    uint64_t seed = (uintptr_t)idx;
    for (size_t left = exchanges; left > 0; left--) {
        void *block = block_take(random_power_law(&seed, OCTAVES));
        /* Release: what is in ours, for the thread that finds it. Acquire: what is in theirs. */
        block_drop(atomic_exchange_explicit(&slots[random_below(&seed, SLOTS)], block,
                                            memory_order_acq_rel));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads();
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});
    unsigned count = thread_count(threads, 1);

    exchanges = scaled(EXCHANGES, scale / count);
    run_threads(count, body);
    for (size_t i = 0; i < SLOTS; i++)
        block_drop(atomic_load(&slots[i]));
    return 0;
}
