/* watcher.c - a preload of watched.c, as tools are that watch malloc, calloc, realloc and free: it counts them, and
 * what is freed that it has not seen made; and passes dlopen on. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1 << 16 };

size_t watcher_made, watcher_unknown, watcher_opened;
static void *seen[SLOTS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* Slots of what was freed are not used again: the test makes few. */
static void **slot_of(const void *block)
{
    size_t i = (size_t)((uintptr_t)block >> 4) % SLOTS;
    while (seen[i] != NULL && seen[i] != block)
        i = (i + 1) % SLOTS;
    return &seen[i];
}

static void *note(void *block)
{
    pthread_mutex_lock(&mutex);
    if (block != NULL) {
        watcher_made++;
        *slot_of(block) = block;
    }
    pthread_mutex_unlock(&mutex);
    return block;
}

static void forget(void *block)
{
    pthread_mutex_lock(&mutex);
    void **slot = slot_of(block);
    if (block != NULL && *slot != block)
        watcher_unknown++;
    else if (block != NULL)
        *slot = (void *)&watcher_made; /* of no block */
    pthread_mutex_unlock(&mutex);
}

void *malloc(size_t bytes)
{
    void *(*real)(size_t) = (void *(*)(size_t))next("malloc");
    return note(real(bytes));
}

void *calloc(size_t count, size_t bytes)
{
    void *(*real)(size_t, size_t) = (void *(*)(size_t, size_t))next("calloc");
    return note(real(count, bytes));
}

void *realloc(void *block, size_t bytes)
{
    void *(*real)(void *, size_t) = (void *(*)(void *, size_t))next("realloc");
    forget(block);
    return note(real(block, bytes));
}

void free(void *block)
{
    void (*real)(void *) = (void (*)(void *))next("free");
    forget(block);
    real(block);
}

void *dlopen(const char *file, int flags)
{
    void *(*real)(const char *, int) = (void *(*)(const char *, int))next("dlopen");
    watcher_opened++;
    return real(file, flags);
}
