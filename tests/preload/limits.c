/* limits.c - little address space, little data, locked memory: NULL and ENOMEM, then service again. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "blocks.h"
#include "self.h"

enum { MOST_BLOCKS = 1 << 20 };

static void limit(int resource, rlim_t bytes)
{
    struct rlimit old;
    CHECK(getrlimit(resource, &old) == 0);
    struct rlimit new = {bytes, old.rlim_max};
    if (setrlimit(resource, &new) != 0)
        SKIP("the limit cannot be set");
}

/* Allocates until there is no more; returns the chain of blocks. */
static void *exhaust(size_t bytes, size_t *count)
{
    void *chain = NULL;
    *count = 0;
    for (;;) {
        errno = 0;
        void **block = malloc(bytes);
        if (block == NULL) {
            CHECK(errno == ENOMEM);
            return chain;
        }
        memset(block, 0x77, bytes);
        *block = chain;
        chain = block;
        CHECK(++*count < MOST_BLOCKS * 16);
    }
}

static void free_chain(void *chain)
{
    while (chain != NULL) {
        void *next = *(void **)chain;
        free(chain);
        chain = next;
    }
}

static void work(void)
{
    uint64_t random = 5;
    void *blocks[300] = {NULL};
    for (unsigned i = 0; i < 20000; i++) {
        size_t idx = next_random(&random) % 300;
        block_free(blocks[idx]);
        size_t bytes = 16 + next_random(&random) % (i % 100 == 0 ? 200000 : 3000);
        CHECK((blocks[idx] = malloc(bytes)) != NULL);
        block_fill(blocks[idx], bytes, i);
    }
    for (size_t i = 0; i < 300; i++)
        block_free(blocks[i]);
}

/* A program that fills what it may have, frees it, and has as much the next time, in other sizes. */
static void exhaust_again_and_again(size_t least_bytes)
{
    static const size_t sizes[] = {64, 100000, 2048, 1 << 20, 24, 30000, 400000, 16};
    for (size_t round = 0; round < 2 * sizeof sizes / sizeof *sizes; round++) {
        size_t bytes = sizes[round % (sizeof sizes / sizeof *sizes)];
        size_t count;
        void *chain = exhaust(bytes, &count);
        if (count * bytes < least_bytes) {
            dprintf(2, "round %zu: %zu blocks of %zu bytes\n", round, count, bytes);
            _exit(1);
        }
        CHECK(calloc(1, 16 << 20) == NULL && errno == ENOMEM);
        CHECK(realloc(chain, 200 << 20) == NULL && errno == ENOMEM); /* still there */
        void *aligned = &aligned;
        CHECK(posix_memalign(&aligned, 4096, 300 << 20) == ENOMEM && aligned == &aligned);
        free_chain(chain);
        if (bytes < 1 << 20) { /* what small blocks held can be one large one */
            void *whole = malloc(32 << 20);
            CHECK(whole != NULL);
            free(whole);
        }
        work();
    }
}

static void address_space(void)
{
    limit(RLIMIT_AS, 64 << 20);
    work();
    exhaust_again_and_again(20 << 20);
}

static void data(void)
{
    limit(RLIMIT_DATA, 48 << 20);
    work();
    exhaust_again_and_again(20 << 20);
}

static void *worker(void *unused)
{
    work();
    return unused;
}

static void address_space_with_threads(void)
{
    limit(RLIMIT_AS, 128 << 20);
    limit(RLIMIT_STACK, 256 << 10);
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, 256 << 10) == 0);
    for (unsigned round = 0; round < 5; round++) {
        pthread_t threads[4];
        for (size_t i = 0; i < 4; i++)
            CHECK(pthread_create(&threads[i], &attributes, worker, NULL) == 0);
        for (size_t i = 0; i < 4; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void set_late(void)
{
    uint64_t random = 3;
    void *blocks[500];
    for (size_t i = 0; i < 500; i++)
        blocks[i] = random_block(&random);
    limit(RLIMIT_AS, 1 << 20); /* less than there is already: nothing new can be had */
    size_t count;
    free_chain(exhaust(5000, &count));
    free_chain(exhaust(500000, &count));
    for (size_t i = 0; i < 500; i++)
        block_check(blocks[i]);
    for (size_t i = 0; i < 500; i++)
        block_free(blocks[i]);
    limit(RLIMIT_AS, RLIM_INFINITY);
    work();
}

/* Unless the user may lock what this takes; root may, whatever the limit. */
static void locked(void)
{
    struct rlimit may;
    CHECK(getrlimit(RLIMIT_MEMLOCK, &may) == 0);
    if (geteuid() != 0 && may.rlim_cur < (size_t)1 << 30)
        return;
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        _exit(0);
    work();
    uint64_t random = 9;
    for (unsigned i = 0; i < 500; i++)
        block_free(random_block(&random));
    malloc_trim(0);
    for (unsigned i = 0; i < 100; i++) {
        unsigned char *zeros = calloc(1, 300000);
        CHECK(zeros != NULL);
        for (size_t k = 0; k < 300000; k++)
            CHECK(zeros[k] == 0);
        memset(zeros, 0xff, 300000);
        free(zeros);
        malloc_trim(0);
    }
    CHECK(munlockall() == 0);
}

/* Few megabytes may be locked, as most users have it: there must be enough for a start. */
static void locked_little(void)
{
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        return;
    limit(RLIMIT_MEMLOCK, 8 << 20);
    if (mlockall(MCL_FUTURE) != 0)
        return;
    size_t count;
    free_chain(exhaust(1000, &count));
    free_chain(exhaust(100000, &count));
}

int main(void)
{
    if (emulated())
        SKIP("the emulator's own memory is limited, too");
    run_apart(address_space, 60, "RLIMIT_AS");
    run_apart(data, 60, "RLIMIT_DATA");
    run_apart(address_space_with_threads, 60, "RLIMIT_AS with threads");
    run_apart(set_late, 60, "RLIMIT_AS set late");
    run_apart(locked, 60, "mlockall");
    run_apart(locked_little, 60, "mlockall, little");
    return 0;
}
