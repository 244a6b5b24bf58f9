/* secret.h - what an attacker may not know: numbers that differ from start to start.
 *
 * The kernel gives every program 16 random bytes at its start. libc's stack canary and pointer guard are those
 * very bytes, so none of them is used as it is: a number here is a keyed hash (SipHash-2-4: Aumasson, Bernstein
 * 2012) with the bytes as the key. Whoever learns such a number learns neither the bytes nor the other numbers.
 */
#ifndef ARENITE_SECRET_H
#define ARENITE_SECRET_H

#include <stdint.h>

/* What a number is for. */
enum {
    SECRET_FIRST_SLICE,
    SECRET_LINKS,
    SECRET_POOLS,
    SECRET_TAILS,
    SECRET_CANARY,
    SECRET_EMPTIES,
    SECRET_SAMPLES,
    SECRET_HEAPS = 1 << 17,   /* and as many after it as there are heaps */
    SECRET_PLACES = 1 << 20,  /* and as many after it as there are places */
    SECRET_RECYCLE = 1 << 29, /* and as many after it as blocks wait */
    SECRET_ZONE = 1 << 30,    /* and as many after it as there are large blocks */
    SECRET_MAPS = 1u << 31,   /* and as many after it as there are maps */
};

/* The number for this purpose: the same in a process and its forked children. Needs nothing that is set up, and
 * takes no system call. The program can write over the kernel's bytes: whoever needs the same number twice keeps
 * it. */
uint64_t arn__secret(unsigned purpose);

#endif
