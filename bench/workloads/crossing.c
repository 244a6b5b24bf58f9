/* crossing.c - blocks of up to 16,000 bytes, many of which the next thread frees.
 *
 *     crossing [--threads N] [--scale F]
 *
 * After the benchmark of rpmalloc (Jansson, 2017): each of N threads allocates blocks of random sizes in its own places,
 * drops some of them at strides that differ from time to time, and passes others on in chains, one for each of its loops,
 * which the next thread takes and frees.
 */
#include "workload.h"

enum {
    BLOCKS = 8000000, /* in all */
    PLACES = 8192,
    LOOP = 4096, /* blocks */
    PASSED_ONE_IN = 4,
    MOST_BYTES = 16000
};

/* Blocks that are passed on are linked through themselves, behind the stamp. */
struct passed {
    uint64_t stamp;
    struct passed *next;
};

static _Atomic(struct passed *) chains[MOST_THREADS]; /* for this thread to free */
static unsigned thread_total;
static size_t loops;

/* 32 bytes to 16,000, small ones more often: the least of three, as likely as any below it. */
static void *take(uint64_t *seed)
{
    size_t bytes = random_below(seed, MOST_BYTES - 31);
    for (unsigned i = 0; i < 2; i++) {
        size_t other = random_below(seed, MOST_BYTES - 31);
        bytes = other < bytes ? other : bytes;
    }
    return block_take(32 + bytes);
}

static void drop_chain(struct passed *chain)
{
    while (chain != NULL) {
        struct passed *next = chain->next;
        block_drop(chain);
        chain = next;
    }
}

/* Release: what is in ours, for the thread that takes it. Acquire: what is in theirs. */
static struct passed *exchange(unsigned thread, struct passed *chain)
{
    return atomic_exchange_explicit(&chains[thread], chain, memory_order_acq_rel);
}

static void fill(void **places, uint64_t *seed, unsigned idx)
{
    struct passed *first = NULL;
    for (size_t i = 0; i < LOOP; i++) {
        void *block = take(seed);
        if (random_below(seed, PASSED_ONE_IN) == 0) {
            struct passed *passed = block;
            passed->next = first;
            first = passed;
            continue;
        }
        void **place = &places[random_below(seed, PLACES)];
        block_drop(*place);
        *place = block;
    }
    /* What the next thread has not come to is freed here. */
    drop_chain(exchange((idx + 1) % thread_total, first));
}

static void *body(void *idx)
{
    unsigned own = (unsigned)(uintptr_t)idx;
    uint64_t seed = own;
    void **places = calloc(PLACES, sizeof *places);
    CHECK(places != NULL);
    for (size_t loop = 0; loop < loops; loop++) {
        fill(places, &seed, own);
        for (size_t i = random_below(&seed, 7), stride = 3 + loop % 11; i < PLACES; i += stride) {
            block_drop(places[i]);
            places[i] = NULL;
        }
        drop_chain(exchange(own, NULL));
    }
    for (size_t i = 0; i < PLACES; i++)
        block_drop(places[i]);
    free(places);
    return NULL;
}

int main(int argc, char **argv)
{
    double scale = 1, threads = default_threads();
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}});
    thread_total = thread_count(threads, 1);

    loops = scaled(BLOCKS / LOOP, scale / thread_total);
    run_threads(thread_total, body);
    for (unsigned i = 0; i < thread_total; i++)
        drop_chain(atomic_load(&chains[i]));
    return 0;
}
