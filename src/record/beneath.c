/* beneath.c - looks for the allocator under the recorder, once. */
#include "beneath.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>

static struct beneath found;
static atomic_bool complete;
static _Thread_local volatile bool looking;

static const struct {
    const char *name;
    void *function; /* its member of `found` */
} names[] = {
    {"malloc", &found.malloc},
    {"calloc", &found.calloc},
    {"realloc", &found.realloc},
    {"free", &found.free},
    {"memalign", &found.memalign},
    {"aligned_alloc", &found.aligned_alloc},
    {"posix_memalign", &found.posix_memalign},
    {"valloc", &found.valloc},
    {"pvalloc", &found.pvalloc},
};

/* Two threads may do it at a time: they store the same. */
static void look(void)
{
    looking = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        *(void **)names[i].function = dlsym(RTLD_NEXT, names[i].name);
    looking = false;
    /* release: pairs with the acquire in beneath. */
    atomic_store_explicit(&complete, true, memory_order_release);
}

const struct beneath *beneath(void)
{
    if (!atomic_load_explicit(&complete, memory_order_acquire)) {
        if (looking)
            return NULL;
        look();
    }
    return &found;
}

/* --- Memory for the search -------------------------------------------------------------------- */

/* dlsym asks for some dozens of bytes in old versions of glibc, for its error messages. */
enum { SPARE_BYTES = 4096, GRANULE = 16 };
static _Alignas(GRANULE) char spare[SPARE_BYTES];
static atomic_size_t spare_used;

void *beneath_spare(size_t bytes)
{
    if (bytes > SPARE_BYTES)
        return NULL;
    size_t at = atomic_fetch_add(&spare_used, (bytes + GRANULE - 1) & -(size_t)GRANULE);
    return at + bytes <= SPARE_BYTES ? spare + at : NULL;
}

bool beneath_is_spare(const void *block)
{
    return (uintptr_t)block - (uintptr_t)spare < SPARE_BYTES;
}

size_t beneath_spare_bytes(const void *block)
{
    return SPARE_BYTES - ((uintptr_t)block - (uintptr_t)spare);
}
