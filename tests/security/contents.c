/* contents.c - what is in blocks, how large they are, and where they lie: what each of the two libraries promises. */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/resource.h>

#include "way.h"

extern void free_sized(void *, size_t) __attribute__((weak));
extern void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));

static const size_t sizes[] = {1,    7,     8,     23,    24,     25,     40,
                               100,  504,   505,   1000,  1017,   3000,   4096,
                               8191, 20000, 32760, 32761, 100000, 262144, 1 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

static bool holds(const void *block, size_t from, size_t to, unsigned byte)
{
    for (size_t i = from; i < to; i++) {
        if (((const volatile unsigned char *)block)[i] != (unsigned char)byte)
            return false;
    }
    return true;
}

static void free_full(void *block, size_t bytes)
{
    memset(block, 0x77, bytes);
    free(block);
}

/* Blocks come again that others were in. */
static void expect_zeros(void)
{
    for (unsigned round = 0; round < 40; round++) {
        for (size_t i = 0; i < SIZES; i++) {
            size_t bytes = sizes[i];
            if (bytes > 40000 && round > 3)
                continue;
            void *zeroed = calloc(1, bytes), *plain = malloc(bytes),
                 *aligned = memalign(256, bytes);
            CHECK(zeroed != NULL && plain != NULL && aligned != NULL);
            CHECK(holds(zeroed, 0, bytes, 0));
            CHECK(!is_hardened() || (holds(plain, 0, bytes, 0) && holds(aligned, 0, bytes, 0)));
            CHECK((uintptr_t)aligned % 256 == 0);
            free_full(zeroed, bytes);
            free_full(plain, bytes);
            free_full(aligned, bytes);
        }
    }
}

static void expect_sizes(void)
{
    for (size_t i = 0; i < SIZES; i++) {
        void *block = malloc(sizes[i]), *aligned = aligned_alloc(64, sizes[i]);
        CHECK(malloc_usable_size(block) >= sizes[i]);
        CHECK(malloc_usable_size(aligned) >= sizes[i]);
        if (is_hardened()) {
            CHECK(malloc_usable_size(block) == sizes[i]);
            CHECK(malloc_usable_size(aligned) == sizes[i]);
        }
        free_sized(block, sizes[i]);
        free_aligned_sized(aligned, 64, sizes[i]);
    }
}

/* From each size to each: what both hold stays; of pools, what is gained is zero. */
static void expect_kept(void)
{
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t k = 0; k < SIZES; k++) {
            size_t least = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
            unsigned char *block = malloc(sizes[i]);
            memset(block, (int)(i + 1), sizes[i]);
            CHECK((block = realloc(block, sizes[k])) != NULL);
            CHECK(holds(block, 0, least, (unsigned)(i + 1)));
            if (is_hardened()) {
                CHECK(malloc_usable_size(block) == sizes[k]);
                CHECK(sizes[k] > 32760 || holds(block, least, sizes[k], 0));
            }
            free_sized(block, sizes[k]);
        }
    }
}

/* Byte by byte, where the same class serves. */
static void expect_kept_in_steps(void)
{
    unsigned char *block = malloc(1);
    block[0] = 1;
    for (size_t bytes = 2; bytes < 3000; bytes++) {
        CHECK((block = realloc(block, bytes)) != NULL);
        CHECK(!is_hardened() || block[bytes - 1] == 0);
        block[bytes - 1] = (unsigned char)bytes;
    }
    for (size_t bytes = 2999; bytes > 1; bytes--) {
        CHECK(block[bytes - 1] == (unsigned char)bytes);
        CHECK((block = realloc(block, bytes - 1)) != NULL);
    }
    CHECK(block[0] == 1);
    free(block);
}

/* Each size is well above a half of the one before: large blocks stay where they are when they shrink. */
static void expect_kept_when_large(void)
{
    static const size_t steps[] = {300000, 299001, 299504, 280003, 299999,
                                   300001, 200005, 200007, 400001, 399997};
    unsigned char *block = malloc(350000);
    size_t bytes = 350000;
    for (unsigned round = 0; round < 10; round++) {
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            size_t least = bytes < steps[i] ? bytes : steps[i];
            memset(block, 0xf0 | (int)i, bytes);
            CHECK((block = realloc(block, steps[i])) != NULL);
            bytes = steps[i];
            CHECK(holds(block, 0, least, 0xf0 | (unsigned)i));
            CHECK(malloc_usable_size(block) >= bytes);
        }
    }
    free_sized(block, bytes);
}

/* A block that cannot be resized stays what it was. */
static void expect_kept_when_refused(void)
{
    for (size_t i = 0; i < SIZES; i++) {
        void *block = aligned_alloc(64, sizes[i]);
        memset(block, 5, sizes[i]);
        CHECK(opaque(realloc(block, PTRDIFF_MAX)) == NULL);
        CHECK(opaque(realloc(block, (size_t)1 << 46)) == NULL);
        CHECK(holds(block, 0, sizes[i], 5));
        free_aligned_sized(block, 64, sizes[i]);
    }
}

/* Where there is no memory for a smaller block, one that shrinks stays where it is, and its size is the new one. */
static void expect_shrunk_without_memory(void)
{
    enum { BYTES = 100 };
    static const size_t large[] = {300000, 40000, 20000, 3000};
    unsigned char *blocks[4];
    for (size_t i = 0; i < 4; i++) {
        CHECK((blocks[i] = malloc(large[i])) != NULL);
        memset(blocks[i], 7, large[i]);
    }
    CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){BYTES, BYTES}) == 0);
    while (opaque(malloc(BYTES)) != NULL) {
    }
    for (size_t i = 0; i < 4; i++) {
        errno = 0;
        CHECK((blocks[i] = realloc(blocks[i], BYTES)) != NULL && errno == 0);
        CHECK(holds(blocks[i], 0, BYTES, 7));
    }
    for (size_t i = 0; is_hardened() && i < 4; i++) {
        CHECK(malloc_usable_size(blocks[i]) == BYTES);
        free_sized(blocks[i], BYTES);
    }
}

/* C23: realloc's blocks are malloc's, whatever they were before. */
static void free_what_realloc_gave(void)
{
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t more = 0; more < 3; more++) {
            void *block = realloc(aligned_alloc(64, sizes[i]), sizes[i] + more);
            CHECK(block != NULL);
            free_sized(block, sizes[i] + more);
        }
    }
}

static void expect_perturbed(void)
{
    CHECK(mallopt(M_PERTURB, 0x5a) == 1);
    for (unsigned round = 0; round < 4; round++) {
        for (size_t i = 0; i < SIZES; i++) {
            size_t bytes = sizes[i];
            unsigned char *block = malloc(bytes), *kept = malloc(bytes);
            CHECK(holds(block, 0, bytes, 0xa5));
            memset(block, 0x33, bytes);
            free(block);
            if (bytes > 16 && bytes < 8192)
                CHECK(holds(block, 16, bytes, 0x5a));
            CHECK((block = calloc(bytes, 1)) != NULL && holds(block, 0, bytes, 0));
            memset(block, 0x44, bytes);
            CHECK((block = realloc(block, 2 * bytes)) != NULL);
            CHECK(holds(block, 0, bytes, 0x44));
            free(block);
            free(kept);
        }
    }
    CHECK(mallopt(M_PERTURB, 0) == 1);
}

/* More than there are places for. */
static void blocks_of_none(void)
{
    enum { BLOCKS = 300000 };
    void **blocks = malloc(BLOCKS * sizeof *blocks);
    uint64_t number = 88172645463325252;
    for (unsigned i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = opaque(malloc(0))) != NULL);
        CHECK((uintptr_t)blocks[i] % 16 == 0);
    }
    if (is_hardened()) {
        for (unsigned i = 0; i < BLOCKS; i += 1000)
            CHECK(malloc_usable_size(blocks[i]) == 0);
    }
    for (unsigned i = BLOCKS; i > 1; i--) { /* in any order */
        unsigned at = (unsigned)(next_number(&number) % i);
        void *swapped = blocks[at];
        blocks[at] = blocks[i - 1];
        blocks[i - 1] = swapped;
    }
    for (unsigned i = 0; i < 1000; i++) {
        CHECK((blocks[i] = realloc(blocks[i], 100)) != NULL);
        memset(blocks[i], 1, 100);
    }
    for (unsigned i = 1000; i < 2000; i++) {
        CHECK(realloc(blocks[i], 0) == NULL);
        blocks[i] = NULL;
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    free(blocks);
    for (unsigned i = 0; i < 1000; i++) {
        void *block = calloc(i % 2, 0), *aligned;
        CHECK(block != NULL);
        CHECK(posix_memalign(&aligned, 4096, 0) == 0 && (uintptr_t)aligned % 4096 == 0);
        free(aligned);
        free(block);
    }
}

/* ---- where they lie ---- */

enum { STARTS = 300 };

static unsigned count_different(const long *values, unsigned count)
{
    unsigned different = 0;
    for (unsigned i = 0; i < count; i++) {
        bool seen = false;
        for (unsigned k = 0; k < i && !seen; k++)
            seen = values[k] == values[i];
        different += !seen;
    }
    return different;
}

/* Of 127 blocks that a page has, the first two: with 300 distances drawn of 252, fewer than 80 are as good as
 * impossible. The default library hands them out in a row. */
static void expect_order_of_chance(void)
{
    static long distances[STARTS];
    if (emulated())
        return;
    for (unsigned i = 0; i < STARTS; i++) {
        struct said said;
        run_again(&said, "distance", "ARENITE_OPTIONS", NULL);
        CHECK(said.status == 0 && sscanf(said.text, "%ld", &distances[i]) == 1);
    }
    unsigned different = count_different(distances, STARTS);
    CHECK(is_hardened() ? different >= 80 : different <= 3);
}

static int say_distance(void)
{
    char *first = malloc(20), *second = malloc(20);
    dprintf(2, "%ld\n", (long)((uintptr_t)second - (uintptr_t)first));
    return 0;
}

/* How many blocks are freed and asked for until a block that was freed comes back: one of 64 places is chosen each
 * time. That 200 blocks have fewer than 20 different waits is as good as impossible. */
static void expect_waits_of_chance(void)
{
    enum { BLOCKS = 200, MOST = 3000 };
    static long waits[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        void *block = malloc(100), *other;
        void *seeker = malloc(100);
        free(block);
        while (waits[i] < MOST && (other = opaque(malloc(100))) != block) {
            free(seeker);
            seeker = other;
            waits[i]++;
        }
        CHECK(waits[i] < MOST);
        free(block);
        free(seeker);
    }
    unsigned different = count_different(waits, BLOCKS);
    CHECK(is_hardened() ? different >= 20 : different == 1);
}

int main(int count, char **arguments)
{
    if (count > 1)
        return strcmp(arguments[1], "distance") == 0 ? say_distance() : 1;
    CHECK(free_sized != NULL && free_aligned_sized != NULL);
    run_apart(expect_zeros, 10, "zeros");
    run_apart(expect_sizes, 10, "sizes");
    run_apart(expect_kept, 10, "resized");
    run_apart(expect_kept_in_steps, 10, "resized in steps");
    run_apart(expect_kept_when_large, 10, "resized when large");
    /* The emulator keeps tables of what is mapped, and its own memory is limited with the program's. */
    if (!emulated()) {
        run_apart(expect_kept_when_refused, 10, "resized in vain");
        run_apart(expect_shrunk_without_memory, 10, "shrunk without memory");
    }
    run_apart(free_what_realloc_gave, 10, "resized, then freed by size");
    run_apart(expect_perturbed, 10, "perturbed");
    run_apart(blocks_of_none, 30, "blocks of no bytes");
    run_apart(expect_waits_of_chance, 10, "waits");
    expect_order_of_chance();
    return 0;
}
