/* checked.h - blocks of the hardened build, made of those of the layers below.
 *
 * A block of a pool that is out:
 *
 *     | what was asked for | canary | zeros | tail |
 *
 * The tail, the block's last 8 bytes, says what was asked for and how, exclusive-ored with a key that depends on
 * the block's address and a secret. So a tail tells whether the block is out, whatever else is written in it; a
 * write past the end is noticed by the canary or the tail; and of what no tail is right for, nothing is believed.
 * A free block is filled with zeros, and its tail says that it is free. When a block is handed out again, what was
 * written to it since is noticed; so is what was written close to a block, as that is freed.
 *
 * A block that is freed waits in its heap's quarantine; one that is chosen by chance leaves that for its pool.
 *
 * A large block lies between two guards instead (large.c), a block of no bytes where nothing can be read (empty.h).
 *
 * The idea of a canary on the heap: Robertson, Kruegel, Mutz, Valeur, "Run-time Detection of Heap-based Overflows"
 * (2003). Quarantine and random order: Novark, Berger, "DieHarder: Securing the Heap" (2010).
 */
#ifndef ARENITE_CHECKED_H
#define ARENITE_CHECKED_H

#include <stddef.h>
#include <stdint.h>

#include "alloc.h"
#include "hardened.h"

/* By what a block was made, and is to be given back. Of malloc's and free's kind, nothing is demanded. */
enum origin { ORIGIN_MALLOC, ORIGIN_NEW, ORIGIN_NEW_ARRAY };

/* What whoever frees a block says about it. */
struct claim {
    enum origin origin;
    size_t bytes;     /* as it was asked for; SIZE_UNTOLD */
    size_t alignment; /* 1: none; ALIGNMENT_UNTOLD */
};

#define SIZE_UNTOLD SIZE_MAX
#define ALIGNMENT_UNTOLD ((size_t)0)

/* Each as its namesake in alloc.h. What they give holds zeros. */
void *arn__checked_malloc(size_t bytes, enum origin origin);
void *arn__checked_aligned(size_t alignment, size_t bytes, enum origin origin);
void *arn__checked_calloc(size_t count, size_t bytes);
void *arn__checked_realloc(void *block, size_t bytes, const char *function);
void arn__checked_free(void *block, const char *function);
void arn__checked_free_as(void *block, const char *function, struct claim claim);

/* As many bytes as were asked for. */
size_t arn__checked_usable(void *block, const char *function);

/* `bytes` from `start` on are about to be written, by a copy. A block that they begin in must be out and hold
 * them: says so, and aborts. Any address. */
void arn__checked_write(const void *start, size_t bytes, const char *function);

#endif
