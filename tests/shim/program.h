/* program.h - for the programs of tests/preload, which do not know whose malloc they have.
 *
 * Exit status 0: passed. ARENITE_WAY in the environment is "preload", "hardened", "object" or
 * "archive": how the program came by arenite; "hardened" is the hardened library, preloaded, "archive" a static program.
 */
#ifndef ARENITE_PROGRAM_H
#define ARENITE_PROGRAM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ends the process, not only the thread, if the condition does not hold. Without stdio's buffers,
 * which would allocate. */
#define CHECK(condition_)                                                        \
    do {                                                                         \
        if (!(condition_)) {                                                     \
            dprintf(2, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition_); \
            _exit(1);                                                            \
        }                                                                        \
    } while (0)

#define SKIP(reason_)                \
    do {                             \
        dprintf(2, "%s\n", reason_); \
        _exit(77);                   \
    } while (0)

/* Compilers know of malloc and its like: pairs whose block nobody looks at may go, and whatever comes back
 * may be taken for a success. Of a block that comes through here they know nothing. */
static inline void *opaque(void *block)
{
    __asm__ volatile("" : "+r"(block));
    return block;
}

static inline int program_is_static(void)
{
    const char *way = getenv("ARENITE_WAY");
    return way != NULL && strcmp(way, "archive") == 0;
}

#endif
