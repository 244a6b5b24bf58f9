/* traffic.c - random blocks in four threads, which pass them to each other, and children forked in the midst: each
 * block holds what was written to it, and has zeros before if it should. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "way.h"

enum { THREADS = 4, SLOTS = 256, TURNS = 80000, FORKS = 8, MIB = 1 << 20 };

/* Each block begins with its size, where it has room for that; the rest are bytes that follow from the size. */
static _Atomic(unsigned char *) slots[SLOTS];
static _Atomic unsigned running;

static unsigned char mark_of(size_t bytes)
{
    return (unsigned char)(bytes * 37 | 1);
}

/* Of a large block, a part. */
static size_t step_of(size_t bytes)
{
    return bytes < 8192 ? 1 : 509;
}

static void write_marks(unsigned char *block, size_t bytes)
{
    for (size_t i = sizeof bytes; i < bytes; i += step_of(bytes))
        block[i] = mark_of(bytes);
    if (bytes > sizeof bytes)
        block[bytes - 1] = mark_of(bytes);
    memcpy(block, &bytes, sizeof bytes);
}

/* The first `kept` bytes are those of a block of so many. */
static void check_marks(const unsigned char *block, size_t bytes, size_t kept)
{
    for (size_t i = sizeof bytes; i < kept; i += step_of(bytes))
        CHECK(block[i] == mark_of(bytes));
    CHECK(kept < bytes || bytes == sizeof bytes || block[bytes - 1] == mark_of(bytes));
}

static size_t size_of(const unsigned char *block)
{
    size_t bytes;
    memcpy(&bytes, block, sizeof bytes);
    return bytes;
}

static void check_whole(unsigned char *block)
{
    size_t bytes = size_of(block), usable = malloc_usable_size(block);
    CHECK(is_hardened() ? usable == bytes : usable >= bytes);
    check_marks(block, bytes, bytes);
}

/* At least the size itself; mostly small. */
static size_t random_bytes(uint64_t *number)
{
    uint64_t r = next_number(number) >> 8;
    size_t most = r % 512 == 0 ? MIB : r % 64 == 0 ? 32768 : r % 8 == 0 ? 4096 : 256;
    return sizeof(size_t) + (size_t)((r >> 16) % most);
}

static void check_zeros(const unsigned char *block, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += step_of(bytes))
        CHECK(block[i] == 0);
}

static unsigned char *random_block(uint64_t *number)
{
    size_t bytes = random_bytes(number);
    uint64_t way = next_number(number) >> 32;
    unsigned char *block = way % 4 == 0   ? calloc(1, bytes)
                           : way % 8 == 1 ? aligned_alloc((size_t)16 << (way >> 8) % 8, bytes)
                                          : malloc(bytes);
    CHECK(block != NULL);
    if (is_hardened() || way % 4 == 0)
        check_zeros(block, bytes);
    write_marks(block, bytes);
    return block;
}

static unsigned char *resized(unsigned char *block, uint64_t *number)
{
    size_t old_bytes = size_of(block), bytes = random_bytes(number);
    CHECK((block = realloc(block, bytes)) != NULL);
    check_marks(block, old_bytes, old_bytes < bytes ? old_bytes : bytes);
    write_marks(block, bytes);
    return block;
}

/* Takes what is in a slot, perhaps another thread's, and leaves something else. */
static void turn(uint64_t *number)
{
    uint64_t r = next_number(number) >> 20;
    unsigned char *block = atomic_exchange(&slots[r % SLOTS], NULL), *mine = NULL;
    if (block != NULL)
        check_whole(block);
    if (block == NULL || r >> 10 & 1)
        mine = random_block(number);
    else if (r >> 11 & 1)
        mine = resized(block, number), block = NULL;
    free(block);
    free(atomic_exchange(&slots[(r >> 12) % SLOTS], mine));
    if (r % 16 == 0)
        free(opaque(malloc(0)));
}

static void *run(void *seed)
{
    uint64_t number = (uintptr_t)seed * 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < TURNS; i++)
        turn(&number);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

/* Other threads' blocks, too, are this one's to check and free. */
static void go_on_in_child(unsigned seed)
{
    uint64_t number = seed + 1;
    alarm(300);
    for (unsigned i = 0; i < SLOTS; i++) {
        unsigned char *block = atomic_exchange(&slots[i], NULL);
        if (block == NULL)
            continue;
        check_whole(block);
        free(block);
    }
    for (unsigned i = 0; i < 3000; i++)
        turn(&number);
    _exit(0);
}

int main(void)
{
    pthread_t threads[THREADS];
    atomic_store(&running, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, run, (void *)(i + 1)) == 0);
    for (unsigned i = 0; i < FORKS && atomic_load(&running) > 0; i++) {
        usleep(10000);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            go_on_in_child(i);
        expect_success(child, "a child");
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slots[i] != NULL)
            check_whole(slots[i]);
        free(slots[i]);
    }
    return 0;
}
