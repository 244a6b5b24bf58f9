/* copy.c - memcpy and its like of the hardened build: where they write must be a block that is out and large enough.
 *
 * libc does the copying, by the names that it has for checked copies, which nothing replaces.
 *
 * snmalloc ("Guarding memcpy", in its documents) showed that the check is affordable.
 */
#include <string.h>

#include "checked.h"

#define EXPORT __attribute__((visibility("default")))

/* What _FORTIFY_SOURCE calls: the last argument is the room that there is, as far as is known. Compilers make them
 * the functions below where they see that it is not: gcc by the name in C, clang by that in assembly. */
static inline size_t any_room(void)
{
    size_t room = SIZE_MAX;
    __asm__("" : "+r"(room));
    return room;
}

#define LIBC(name, label) void *name(void *, const void *, size_t, size_t) __asm__(label)
LIBC(copy, "__memcpy_chk");
LIBC(move, "__memmove_chk");
LIBC(copy_on, "__mempcpy_chk");
void *fill(void *, int, size_t, size_t) __asm__("__memset_chk");

EXPORT void *memcpy(void *restrict target, const void *restrict source, size_t bytes)
{
    arn__checked_write(target, bytes, "memcpy");
    return copy(target, source, bytes, any_room());
}

EXPORT void *memmove(void *target, const void *source, size_t bytes)
{
    arn__checked_write(target, bytes, "memmove");
    return move(target, source, bytes, any_room());
}

EXPORT void *mempcpy(void *restrict target, const void *restrict source, size_t bytes)
{
    arn__checked_write(target, bytes, "mempcpy");
    return copy_on(target, source, bytes, any_room());
}

EXPORT void *memset(void *target, int value, size_t bytes)
{
    arn__checked_write(target, bytes, "memset");
    return fill(target, value, bytes, any_room());
}
