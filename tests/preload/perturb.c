/* perturb.c - M_PERTURB, its variable, its tunable and the option: what is allocated and freed is overwritten, and
 * what has to be zero is zero; without them, nothing is. */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "self.h"

/* The first two words of a free block are the allocator's. */
enum { FREE_HEAD_BYTES = 16 };

static const size_t sizes[] = {1, 24, 100, 1000, 1025, 5000, 32768, 32769, 200000, 1000000};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Compilers know that memory which was just allocated holds nothing, and that freed memory is gone. */
static __thread unsigned char *volatile seen;

static int holds(const void *block, size_t from, size_t bytes, unsigned byte)
{
    const volatile unsigned char *at = block;
    for (size_t i = from; i < bytes; i++) {
        if (at[i] != (byte & 0xff))
            return 0;
    }
    return 1;
}

static void expect_taken(void *block, size_t bytes, unsigned byte)
{
    CHECK(block != NULL);
    seen = block;
    CHECK(holds(seen, 0, bytes, ~byte));
    memset(seen, 0x33, bytes);
}

/* What is left in memory that stays: of blocks of pools, whose page is another block's, too. */
static void expect_freed(size_t bytes, unsigned byte)
{
    unsigned char *kept = malloc(bytes);
    seen = malloc(bytes);
    CHECK(kept != NULL && seen != NULL);
    memset(seen, 0x33, bytes);
    free(seen);
    CHECK(holds(seen, FREE_HEAD_BYTES, bytes, byte));
    free(kept);
}

static void every_way(unsigned byte)
{
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < SIZES; i++) {
            size_t bytes = sizes[i];
            void *block = malloc(bytes);
            expect_taken(block, bytes, byte);
            free(block);
            CHECK(posix_memalign(&block, 64, bytes) == 0);
            expect_taken(block, bytes, byte);
            free(block);
            expect_taken(block = memalign(4096, bytes), bytes, byte);
            free(block);
            CHECK((seen = calloc(1, bytes)) != NULL);
            CHECK(holds(seen, 0, bytes, 0));
            memset(seen, 0x44, bytes);
            CHECK((seen = realloc(seen, 3 * bytes)) != NULL);
            CHECK(holds(seen, 0, bytes, 0x44));
            free(seen);
            if (bytes <= 5000)
                expect_freed(bytes, byte);
        }
    }
}

static void *every_way_in_thread(void *byte)
{
    every_way((unsigned)(uintptr_t)byte);
    return NULL;
}

static void in_threads(unsigned byte)
{
    pthread_t thread;
    every_way(byte);
    CHECK(pthread_create(&thread, NULL, every_way_in_thread, (void *)(uintptr_t)byte) == 0);
    every_way(byte);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* A block that is used again as it was left: nobody writes to it but for the two words. */
static void expect_left_alone(void)
{
    for (size_t i = 2; i < 6; i++) {
        unsigned char *kept = malloc(sizes[i]);
        seen = malloc(sizes[i]);
        CHECK(kept != NULL && seen != NULL);
        memset(seen, 0x33, sizes[i]);
        unsigned char *was = seen;
        free(seen);
        CHECK(holds(was, FREE_HEAD_BYTES, sizes[i], 0x33));
        seen = malloc(sizes[i]);
        CHECK(seen == was && holds(was, FREE_HEAD_BYTES, sizes[i], 0x33));
        free(seen);
        free(kept);
    }
}

static pthread_barrier_t barrier;

/* Has a heap already when it is turned on, and when it is turned off. */
static void *goes_along(void *unused)
{
    free(malloc(100));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    every_way(0x5a);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    free(malloc(100));
    expect_left_alone();
    return unused;
}

static void by_mallopt(void)
{
    pthread_t thread;
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, goes_along, NULL) == 0);
    pthread_barrier_wait(&barrier);
    expect_left_alone();
    CHECK(mallopt(M_PERTURB, 0x5a) == 1);
    pthread_barrier_wait(&barrier);
    in_threads(0x5a);
    pthread_barrier_wait(&barrier);
    CHECK(mallopt(M_PERTURB, 0) == 1);
    pthread_barrier_wait(&barrier);
    free(malloc(100));
    expect_left_alone();
    CHECK(pthread_join(thread, NULL) == 0);
}

static void expect_in_force(const char *variable, const char *value, const char *byte)
{
    struct said said;
    run_again(&said, byte, variable, value);
    if (said.status != 0 || said.text[0] != '\0') {
        dprintf(2, "%s=%s: status %x: %s\n", variable, value, said.status, said.text);
        _exit(1);
    }
}

int main(int count, char **arguments)
{
    if (count > 1) {
        unsigned byte = (unsigned)strtoul(arguments[1], NULL, 0);
        if (byte == 0)
            expect_left_alone();
        else
            in_threads(byte);
        return 0;
    }
    by_mallopt();
    expect_in_force("ARENITE_OPTIONS", "perturb=1", "1");
    expect_in_force("ARENITE_OPTIONS", "perturb=255", "255");
    expect_in_force("ARENITE_OPTIONS", "perturb=0", "0");
    expect_in_force("MALLOC_PERTURB_", "0", "0");
    expect_in_force("MALLOC_PERTURB_", "165", "165");
    expect_in_force("MALLOC_PERTURB_", "0xA5", "165");
    expect_in_force("MALLOC_PERTURB_", "010", "8");
    expect_in_force("MALLOC_PERTURB_", "256", "0");
    expect_in_force("MALLOC_PERTURB_", "99999999999999999999", "0");
    expect_in_force("MALLOC_PERTURB_", "", "0");
    expect_in_force("GLIBC_TUNABLES", "glibc.malloc.perturb=17", "17");
    expect_in_force("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=8:glibc.malloc.perturb=0x11",
                    "17");
    CHECK(setenv("MALLOC_PERTURB_", "5", 1) == 0);
    expect_in_force("ARENITE_OPTIONS", "perturb=6", "6"); /* ours is the one that is meant */
    expect_in_force("ARENITE_OPTIONS", "perturb=0", "0");
    return 0;
}
