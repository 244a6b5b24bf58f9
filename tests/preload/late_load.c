/* late_load.c - a program with its own malloc loads the library late, with little static TLS left,
 * and uses it under its own names; and libraries come and go under the preloaded one. */
#include <dlfcn.h>
#include <pthread.h>

#include "blocks.h"
#include "self.h"

static void *(*their_malloc)(size_t bytes);
static void *(*their_realloc)(void *block, size_t bytes);
static void (*their_free)(void *block);
static size_t (*their_usable)(void *block);

static void *use(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument + 1;
    void *blocks[200] = {NULL};
    for (unsigned i = 0; i < 5000; i++) {
        size_t idx = next_random(&random) % 200;
        size_t bytes = random_bytes(&random);
        if (blocks[idx] != NULL) {
            struct block_head *head = blocks[idx];
            CHECK(their_usable(blocks[idx]) >= head->bytes);
            block_check_up_to(blocks[idx], head->bytes);
        }
        if (i % 3 == 0) {
            blocks[idx] = their_realloc(blocks[idx], bytes);
        } else {
            their_free(blocks[idx]);
            blocks[idx] = their_malloc(bytes);
        }
        CHECK(blocks[idx] != NULL);
        block_fill(blocks[idx], bytes, i);
        free(malloc(100)); /* the program's own, beside it */
    }
    for (size_t i = 0; i < 200; i++)
        their_free(blocks[i]);
    return NULL;
}

/* Loaded again and again, and closed while a thread still has a heap of it. */
static void load(const char *path)
{
    for (unsigned i = 0; i < 5; i++) {
        pthread_t threads[3];
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) {
            dprintf(2, "%s\n", dlerror());
            _exit(1);
        }
        their_malloc = (void *(*)(size_t))dlsym(library, "arn_malloc");
        their_realloc = (void *(*)(void *, size_t))dlsym(library, "arn_realloc");
        their_free = (void (*)(void *))dlsym(library, "arn_free");
        their_usable = (size_t(*)(void *))dlsym(library, "arn_malloc_usable_size");
        CHECK(their_malloc != NULL && their_realloc != NULL && their_free != NULL);
        CHECK(their_usable != NULL);
        for (size_t k = 0; k < 3; k++)
            CHECK(pthread_create(&threads[k], NULL, use, (void *)(i * 3 + k)) == 0);
        use((void *)99);
        CHECK(dlclose(library) == 0);
        for (size_t k = 0; k < 3; k++)
            CHECK(pthread_join(threads[k], NULL) == 0);
    }
}

/* Static TLS that later libraries may have: 512 bytes by default (glibc.rtld.optional_static_tls).
 * Libraries that are compiled for it take their part until 64 bytes are left. */
static void load_with_little_left(const char *path)
{
    struct said said;
    run_again(&said, path, "GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=64");
    if (said.status != 0) {
        dprintf(2, "with 64 bytes of static TLS: %s\n", said.text);
        _exit(1);
    }
}

static void libraries_come_and_go(void)
{
    for (unsigned i = 0; i < 2000; i++) {
        void *maths = dlopen("libm.so.6", RTLD_NOW | (i % 2 == 0 ? RTLD_LOCAL : RTLD_GLOBAL));
        CHECK(maths != NULL && dlsym(maths, "cos") != NULL);
        CHECK(dlopen("no such library", RTLD_NOW) == NULL && dlerror() != NULL);
        void *block = malloc(i * 10 + 1);
        CHECK(block != NULL);
        CHECK(dlclose(maths) == 0);
        free(block);
    }
}

int main(int count, char **arguments)
{
    if (count > 1) {
        unsetenv("LD_PRELOAD");
        load(arguments[1]);
        return 0;
    }
    if (program_is_static())
        SKIP("a static program loads nothing");
    libraries_come_and_go();
    if (!program_is_preloaded())
        return 0;
    const char *path = getenv("ARENITE_LIB");
    CHECK(path != NULL);
    CHECK(unsetenv("LD_PRELOAD") == 0);
    struct said said;
    run_again(&said, path, NULL, NULL);
    if (said.status != 0) {
        dprintf(2, "%s\n", said.text);
        return 1;
    }
    load_with_little_left(path);
    return 0;
}
