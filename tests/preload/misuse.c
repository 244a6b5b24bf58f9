/* misuse.c - one line that names the function, the pointer and the reason; then abort, or not. */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "self.h"

/* Volatile: compilers see through some of what is done here. */
static void *volatile pointer;

static void announce(void)
{
    dprintf(2, "pointer %p\n", pointer);
}

static char on_data[64];

static void *take(void *bytes)
{
    return malloc((size_t)bytes);
}

static void free_foreign_stack(void)
{
    char here[64];
    pointer = here + 16 - (uintptr_t)here % 16;
    announce();
    free(pointer);
}

static void free_foreign_data(void)
{
    pointer = on_data + 16;
    announce();
    free(pointer);
}

static void free_foreign_map(void)
{
    pointer = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    announce();
    free(pointer);
}

static void free_wild(void)
{
    pointer = (void *)0xdeadbeefdeadbef0u;
    announce();
    free(pointer);
}

static void free_small_number(void)
{
    pointer = (void *)0x30;
    announce();
    free(pointer);
}

static void free_inside_small(void)
{
    pointer = (char *)malloc(100) + 16;
    announce();
    free(pointer);
}

static void free_inside_pool_of_others(void)
{
    pthread_t thread;
    void *block;
    CHECK(pthread_create(&thread, NULL, take, (void *)(uintptr_t)5000) == 0);
    CHECK(pthread_join(thread, &block) == 0);
    pointer = (char *)block + 48;
    announce();
    free(pointer);
}

static void free_inside_run(void)
{
    pointer = (char *)malloc(200000) + 70000;
    announce();
    free(pointer);
}

static void free_inside_span(void)
{
    pointer = (char *)malloc(2000000) + 1000000;
    announce();
    free(pointer);
}

static void free_inside_map(void)
{
    pointer = (char *)malloc(50 << 20) + 64;
    announce();
    free(pointer);
}

static void free_twice_small(void)
{
    pointer = malloc(100);
    announce();
    free(pointer);
    free(pointer);
}

static void free_twice_after_others(void)
{
    void *blocks[50];
    for (size_t i = 0; i < 50; i++)
        blocks[i] = malloc(100);
    pointer = blocks[20];
    announce();
    for (size_t i = 0; i < 50; i++)
        free(blocks[i]);
    free(pointer);
}

static void free_twice_elsewhere(void)
{
    pthread_t thread;
    void *block;
    CHECK(pthread_create(&thread, NULL, take, (void *)100) == 0);
    CHECK(pthread_join(thread, &block) == 0);
    pointer = block;
    announce();
    free(pointer);
    free(pointer);
}

static void free_twice_run(void)
{
    pointer = malloc(200000);
    announce();
    free(pointer);
    free(pointer);
}

static void free_twice_span(void)
{
    pointer = malloc(2000000);
    announce();
    free(pointer);
    free(pointer);
}

static void free_twice_map(void)
{
    pointer = malloc(50 << 20);
    announce();
    free(pointer);
    free(pointer);
}

static void realloc_freed(void)
{
    pointer = malloc(100);
    announce();
    free(pointer);
    pointer = realloc(pointer, 200);
}

static void realloc_foreign(void)
{
    pointer = on_data + 16;
    announce();
    pointer = realloc(pointer, 200);
}

static void size_of_freed(void)
{
    pointer = malloc(3000);
    announce();
    free(pointer);
    malloc_usable_size(pointer);
}

static void realloc_inside(void)
{
    pointer = (char *)malloc(3000) + 1;
    announce();
    pointer = reallocarray(pointer, 2, 200);
}

static const struct {
    const char *name;
    void (*commit)(void);
    const char *function;
    const char *reasons[3]; /* any of these */
} misuses[] = {
    {"stack", free_foreign_stack, "free", {"not allocated by arenite"}},
    {"data", free_foreign_data, "free", {"not allocated by arenite"}},
    {"mapping", free_foreign_map, "free", {"not allocated by arenite"}},
    {"wild", free_wild, "free", {"wild pointer: no such address in user space"}},
    {"number", free_small_number, "free", {"not allocated by arenite"}},
    {"inside a block", free_inside_small, "free", {"not the start of a block"}},
    {"inside another's", free_inside_pool_of_others, "free", {"not the start of a block"}},
    {"inside a run", free_inside_run, "free", {"inside a large block, not its start"}},
    {"inside a span", free_inside_span, "free", {"inside a large block, not its start"}},
    {"inside a map", free_inside_map, "free", {"not the start of a block"}},
    {"twice", free_twice_small, "free", {"double free"}},
    {"twice after others",
     free_twice_after_others,
     "free",
     {"double free", "already freed: nothing is allocated here any more"}},
    {"twice elsewhere",
     free_twice_elsewhere,
     "free",
     {"double free", "already freed: nothing is allocated here any more"}},
    {"twice, run", free_twice_run, "free", {"already freed: nothing is allocated here any more"}},
    {"twice, span", free_twice_span, "free", {"already freed: nothing is allocated here any more"}},
    {"twice, map",
     free_twice_map,
     "free",
     {"not allocated by arenite", "already freed: nothing is allocated here any more"}},
    {"realloc freed", realloc_freed, "realloc", {"already freed"}},
    {"realloc foreign", realloc_foreign, "realloc", {"not allocated by arenite"}},
    {"realloc inside", realloc_inside, "realloc", {"not the start of a block"}},
    {"size of freed", size_of_freed, "malloc_usable_size", {"already freed"}},
};
enum { MISUSES = sizeof misuses / sizeof *misuses };

static struct said said;

static int has_line(size_t idx, const char *address)
{
    char line[200];
    for (size_t i = 0; i < 3 && misuses[idx].reasons[i] != NULL; i++) {
        snprintf(line, sizeof line, "arenite: %s(%s): %s\n", misuses[idx].function, address,
                 misuses[idx].reasons[i]);
        if (strcmp(said.text, line) == 0)
            return 1;
    }
    return 0;
}

/* "pointer 0x…\n" and one line of arenite's; leaves the latter. */
static void check_text(size_t idx, const char *options)
{
    char address[40] = "";
    char *line = strchr(said.text, '\n');
    CHECK(line != NULL && sscanf(said.text, "pointer %39s", address) == 1);
    memmove(said.text, line + 1, strlen(line + 1) + 1);
    if (has_line(idx, address))
        return;
    dprintf(2, "%s, ARENITE_OPTIONS=%s, pointer %s:\n%s", misuses[idx].name, options, address,
            said.text);
    _exit(1);
}

static int again(const char *name)
{
    for (size_t i = 0; i < MISUSES; i++) {
        if (strcmp(misuses[i].name, name) != 0)
            continue;
        misuses[i].commit();
        for (size_t n = 0; n < 1000; n++) /* runs on: nothing was damaged */
            free(malloc(n * 50));
        return 0;
    }
    return 1;
}

int main(int count, char **arguments)
{
    if (count > 1)
        return again(arguments[1]);
    for (size_t i = 0; i < MISUSES; i++) {
        run_again(&said, misuses[i].name, "ARENITE_OPTIONS", NULL);
        check_text(i, "");
        CHECK(WIFSIGNALED(said.status) && WTERMSIG(said.status) == SIGABRT);
        run_again(&said, misuses[i].name, "ARENITE_OPTIONS", "misuse=ignore");
        check_text(i, "misuse=ignore");
        CHECK(WIFEXITED(said.status) && WEXITSTATUS(said.status) == 0);
    }
    return 0;
}
