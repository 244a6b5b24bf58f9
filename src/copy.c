/* copy.c - memcpy and its like of the hardened build: where they write must be a block that is out and large enough.
 *
 * libc does the copying, by the names that it has for checked copies, which nothing replaces. In a static program these
 * call memcpy and its like, which are ours: there we copy ourselves, also before the program's relocations are done.
 *
 * snmalloc ("Guarding memcpy", in its documents) showed that the check is affordable.
 */
#include <stdbool.h>
#include <stdint.h>
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

/* ---- in a static program ---- */

/* Only the archive of libc has it. gcc leaves out that a weak name of another file is hidden. */
extern char libc_setup_tls[] __asm__("__libc_setup_tls") __attribute__((weak));
__asm__(".hidden __libc_setup_tls");

static inline bool is_static(void)
{
    const char *found = libc_setup_tls;
    __asm__("" : "+r"(found));
    return __builtin_expect(found != NULL, false);
}

typedef uint64_t words __attribute__((vector_size(16), aligned(1), may_alias));

/* Or compilers would make a call to memcpy or memset of the loop. */
#define NOT_A_CALL(pointer) __asm__("" : "+r"(pointer))

static void *copy_up(char *to, const char *from, size_t bytes)
{
    char *start = to;
    for (; bytes >= sizeof(words); bytes -= sizeof(words)) {
        *(words *)to = *(const words *)from;
        to += sizeof(words);
        from += sizeof(words);
        NOT_A_CALL(to);
    }
    for (; bytes > 0; bytes--) {
        *to++ = *from++;
        NOT_A_CALL(to);
    }
    return start;
}

static void *copy_down(char *to, const char *from, size_t bytes)
{
    while (bytes >= sizeof(words)) {
        bytes -= sizeof(words);
        *(words *)(to + bytes) = *(const words *)(from + bytes);
        NOT_A_CALL(to);
    }
    while (bytes > 0) {
        bytes--;
        to[bytes] = from[bytes];
        NOT_A_CALL(to);
    }
    return to;
}

static void *fill_up(char *to, int value, size_t bytes)
{
    char *start = to;
    uint64_t word = (unsigned char)value * UINT64_C(0x0101010101010101);
    const words right = {word, word};
    for (; bytes >= sizeof right; bytes -= sizeof right) {
        *(words *)to = right;
        to += sizeof right;
        NOT_A_CALL(to);
    }
    for (; bytes > 0; bytes--) {
        *to++ = (char)value;
        NOT_A_CALL(to);
    }
    return start;
}

/* ---- what programs call ---- */

EXPORT void *memcpy(void *restrict target, const void *restrict source, size_t bytes)
{
    arn__checked_write(target, bytes, "memcpy");
    return is_static() ? copy_up(target, source, bytes) : copy(target, source, bytes, any_room());
}

EXPORT void *memmove(void *target, const void *source, size_t bytes)
{
    arn__checked_write(target, bytes, "memmove");
    if (!is_static())
        return move(target, source, bytes, any_room());
    /* Upwards unless the target begins within the source. */
    bool within = (uintptr_t)target - (uintptr_t)source < bytes;
    return within ? copy_down(target, source, bytes) : copy_up(target, source, bytes);
}

EXPORT void *mempcpy(void *restrict target, const void *restrict source, size_t bytes)
{
    arn__checked_write(target, bytes, "mempcpy");
    if (is_static())
        return (char *)copy_up(target, source, bytes) + bytes;
    return copy_on(target, source, bytes, any_room());
}

EXPORT void *memset(void *target, int value, size_t bytes)
{
    arn__checked_write(target, bytes, "memset");
    return is_static() ? fill_up(target, value, bytes) : fill(target, value, bytes, any_room());
}
