/* own.h - a malloc of a program's own: it hands out memory once, and ends the process when it is given what is
 * not its own. */
#ifndef ARENITE_OWN_H
#define ARENITE_OWN_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "program.h"

enum { OWN_BYTES = 64 << 20, OWN_MAGIC = 0x0123abcd };

struct own_head {
    size_t bytes;
    size_t magic;
};

static _Alignas(4096) char own_memory[OWN_BYTES];
static _Atomic size_t own_used;

static inline void *own_take(size_t alignment, size_t bytes)
{
    if (bytes > OWN_BYTES / 4 || alignment > OWN_BYTES / 4) {
        errno = ENOMEM;
        return NULL;
    }
    alignment = alignment < 16 ? 16 : alignment;
    size_t room = sizeof(struct own_head) + alignment + (bytes + 15) / 16 * 16;
    size_t start = atomic_fetch_add(&own_used, room);
    CHECK(start + room <= OWN_BYTES);
    uintptr_t at = (uintptr_t)own_memory + start + sizeof(struct own_head);
    at = (at + alignment - 1) & ~(alignment - 1);
    *((struct own_head *)at - 1) = (struct own_head){bytes, OWN_MAGIC};
    memset((void *)at, 0xd1, bytes);
    return (void *)at;
}

static inline bool own_is(const void *block)
{
    const char *at = opaque((void *)block);
    return at > own_memory && at < own_memory + OWN_BYTES &&
           ((const struct own_head *)at - 1)->magic == OWN_MAGIC;
}

static inline void own_give(void *block)
{
    CHECK(block == NULL || own_is(block));
}

static inline void *own_resize(void *block, size_t bytes)
{
    CHECK(block == NULL || own_is(block));
    void *target = own_take(16, bytes);
    if (block != NULL && target != NULL) {
        size_t old_bytes = ((struct own_head *)block - 1)->bytes;
        memcpy(target, block, old_bytes < bytes ? old_bytes : bytes);
    }
    return target;
}

#endif
