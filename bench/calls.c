/* calls.c - one call of malloc and its like, or a few, COUNT times: for bench/instructions --calls.
 *
 *     calls NAME BYTES COUNT
 *
 * Without a name it prints those that there are, with the sizes to look at.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Compilers know what malloc returns, and what becomes of a block that nobody looks at. */
#define LOOK_AT(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

static size_t bytes;

static void pair(void)
{
    void *block = malloc(bytes);
    LOOK_AT(block);
    free(block);
}

static void free_null(void)
{
    free(NULL);
}

static void *kept(void)
{
    static void *block;
    if (block == NULL)
        block = malloc(bytes);
    return block;
}

static void usable_size(void)
{
    size_t usable = malloc_usable_size(kept());
    LOOK_AT(usable);
}

static void realloc_same(void)
{
    void *block = realloc(kept(), bytes);
    LOOK_AT(block);
}

static void aligned_pair(void)
{
    void *block = NULL;
    if (posix_memalign(&block, 4096, bytes) != 0)
        abort();
    LOOK_AT(block);
    free(block);
}

static void run_thread(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, argument) != 0)
        abort();
    pthread_join(thread, NULL);
}

static void *does_nothing(void *argument)
{
    return argument;
}

static void *allocates_once(void *argument)
{
    pair();
    return argument;
}

static void thread(void)
{
    run_thread(does_nothing, NULL);
}

static void thread_pair(void)
{
    run_thread(allocates_once, NULL);
}

enum { MANY = 100 };

static void *frees_many(void *argument)
{
    void **blocks = argument;
    for (unsigned i = 0; i < MANY; i++)
        free(blocks[i]);
    return NULL;
}

static void thread_frees_100(void)
{
    static void *blocks[MANY];
    for (unsigned i = 0; i < MANY; i++)
        blocks[i] = malloc(bytes);
    run_thread(frees_many, blocks);
}

static const struct call {
    const char *name;
    void (*function)(void);
    const char *sizes; /* to look at */
} calls[] = {
    {"pair", pair, "0 16 1024 32768 40000 262144 1000000 8000000"},
    {"free_null", free_null, "0"},
    {"usable_size", usable_size, "100 100000"},
    {"realloc_same", realloc_same, "100 100000"},
    {"aligned_pair", aligned_pair, "100 65536 1000000"},
    {"thread", thread, "0"},
    {"thread_pair", thread_pair, "100"},
    {"thread_frees_100", thread_frees_100, "64"},
};
enum { CALLS = sizeof calls / sizeof *calls };

int main(int argc, char **argv)
{
    if (argc == 1) {
        for (unsigned i = 0; i < CALLS; i++)
            printf("%s %s\n", calls[i].name, calls[i].sizes);
        return 0;
    }
    if (argc != 4)
        return 2;
    bytes = strtoul(argv[2], NULL, 0);
    for (unsigned i = 0; i < CALLS; i++) {
        if (strcmp(calls[i].name, argv[1]) != 0)
            continue;
        for (long left = strtol(argv[3], NULL, 0); left > 0; left--)
            calls[i].function();
        return 0;
    }
    return 2;
}
