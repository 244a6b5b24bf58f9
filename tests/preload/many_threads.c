/* many_threads.c - thousands of threads that each have little: a block of each of 40 sizes, which others free; and
 * workers that have done one large job and wait.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "blocks.h"
#include "self.h"

enum { MOST_THREADS = 10000, SIZES = 40, STACK_BYTES = 64 << 10 };

static pthread_t threads[MOST_THREADS];
static void *blocks[MOST_THREADS][SIZES];
static pthread_barrier_t gate;
static size_t step; /* from one size to the next */

static size_t bytes_of(size_t idx)
{
    return 16 + idx * step;
}

static uint64_t seed_of(size_t thread, size_t idx)
{
    return thread * SIZES + idx + 1;
}

static void take(size_t thread)
{
    for (size_t i = 0; i < SIZES; i++) {
        void *block = i % 8 == 7 ? calloc(1, bytes_of(i)) : malloc(bytes_of(i));
        CHECK(block != NULL);
        CHECK(i % 8 != 7 || (((char *)block)[0] == 0 && ((char *)block)[bytes_of(i) - 1] == 0));
        block_fill(block, bytes_of(i), seed_of(thread, i));
        blocks[thread][i] = block;
    }
}

/* Whoever's they are: the block of that thread, and nobody wrote to it. */
static void check(size_t thread)
{
    for (size_t i = 0; i < SIZES; i++) {
        const struct block_head *head = blocks[thread][i];
        CHECK(head->seed == seed_of(thread, i) && head->bytes == bytes_of(i));
        block_check(blocks[thread][i]);
    }
}

static size_t threads_wanted;

/* The blocks of a thread far away are freed by this one, when all are there. */
static void *live(void *argument)
{
    size_t thread = (size_t)argument, other = (thread * 7919 + 13) % threads_wanted;
    take(thread);
    pthread_barrier_wait(&gate);
    check(other);
    pthread_barrier_wait(&gate);
    for (size_t i = 0; i < SIZES; i++)
        block_free(blocks[other][i]);
    pthread_barrier_wait(&gate);
    return NULL;
}

static void make_threads(size_t count, void *(*function)(void *))
{
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0);
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&threads[i], &attributes, function, (void *)i) != 0)
            SKIP("the system does not allow so many threads");
    }
}

static void join_threads(size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static size_t used_bytes(void)
{
    struct mallinfo2 counts = mallinfo2();
    return counts.uordblks + counts.hblkhd;
}

static size_t resident_bytes(void)
{
    char text[128] = "";
    int file = open("/proc/self/statm", O_RDONLY);
    if (file < 0 || read(file, text, sizeof text - 1) <= 0)
        SKIP("no /proc/self/statm");
    close(file);
    return strtoul(strchr(text, ' '), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* What came back: nothing is used, little is resident, after a trim. */
static void expect_all_back(size_t used, size_t resident, size_t slack)
{
    malloc_trim(0);
    size_t used_now = used_bytes(), resident_now = resident_bytes();
    if (used_now <= used + (1 << 20) && resident_now <= resident + slack)
        return;
    dprintf(2, "used: %zu KiB became %zu; resident: %zu KiB became %zu\n", used >> 10,
            used_now >> 10, resident >> 10, resident_now >> 10);
    _exit(1);
}

static size_t available_bytes(void)
{
    return (size_t)sysconf(_SC_AVPHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Some hundreds first, so that what libc keeps of stacks is there before it is counted. */
static void many_live(size_t count)
{
    threads_wanted = 500;
    CHECK(pthread_barrier_init(&gate, NULL, 500) == 0);
    make_threads(500, live);
    join_threads(500);
    malloc_trim(0);
    size_t used = used_bytes(), resident = resident_bytes();
    threads_wanted = count;
    CHECK(pthread_barrier_init(&gate, NULL, (unsigned)count) == 0);
    make_threads(count, live);
    join_threads(count);
    /* Heaps stay, for the next threads: their metadata, a few KiB a thread; and libc's stacks, 40 MiB. */
    expect_all_back(used, resident, (48 << 20) + count * (16 << 10));
    /* As good as new. */
    take(0);
    check(0);
    for (size_t i = 0; i < SIZES; i++)
        block_free(blocks[0][i]);
}

static void many_with_small(void)
{
    step = 16;
    many_live(available_bytes() > (size_t)6 << 30 ? MOST_THREADS : MOST_THREADS / 5);
}

static void some_with_larger(void)
{
    step = 250;
    many_live(600);
}

/* ---- threads that worked, and sleep ---- */

enum { WORKERS = 60, JOB_BYTES = 6 << 20 };

static void *job(void *argument)
{
    uint64_t random = (size_t)argument + 1;
    size_t count = 0;
    void *chain = NULL;
    for (size_t sum = 0; sum < JOB_BYTES; count++) {
        size_t bytes = 32 + next_random(&random) % (count % 16 == 0 ? 1500 : 500);
        uint64_t *block = malloc(bytes);
        CHECK(block != NULL);
        block[0] = (uintptr_t)chain;
        block[1] = (uintptr_t)block;
        chain = block;
        sum += bytes;
    }
    while (chain != NULL) {
        uint64_t *block = chain;
        CHECK(block[1] == (uintptr_t)block);
        chain = (void *)(uintptr_t)block[0];
        free(block);
    }
    pthread_barrier_wait(&gate);
    pthread_barrier_wait(&gate);
    /* Once more, after the trim. */
    void *again[100];
    for (size_t i = 0; i < 100; i++) {
        CHECK((again[i] = malloc(16 + i * 10)) != NULL);
        block_fill(again[i], 16 + i * 10, i);
    }
    for (size_t i = 0; i < 100; i++)
        block_free(again[i]);
    return NULL;
}

static void workers_sleep(void)
{
    CHECK(pthread_barrier_init(&gate, NULL, WORKERS + 1) == 0);
    size_t used = used_bytes(), resident = resident_bytes();
    make_threads(WORKERS, job);
    pthread_barrier_wait(&gate);
    CHECK(used_bytes() <=
          used + WORKERS * (256 << 10)); /* libc's malloc counts what threads keep */
    malloc_trim(0);
    pthread_barrier_wait(&gate);
    join_threads(WORKERS);
    expect_all_back(used, resident, 16 << 20);
}

int main(void)
{
    if (emulated())
        SKIP("the emulator has memory of its own for each thread");
    run_apart(many_with_small, 120, "many threads");
    run_apart(some_with_larger, 120, "threads with larger blocks");
    run_apart(workers_sleep, 60, "workers that sleep");
    return 0;
}
