/* trace.h - the file that arenite record writes and bench/replay reads.
 *
 * A header, then records. A record starts with a byte of
 *
 *     bits 0..2   the operation
 *     bits 3..6   the lowest 4 bits of the operand
 *     bit  7      the operand goes on: 7 bits in each further byte, low ones first, bit 7 as here
 *
 * and, where the operation has them, more numbers follow, coded 7 bits to a byte as the operand's
 * rest is. The operand is an address, as its distance from the one in the same thread's previous
 * record (from 0 in its first): divided by 8, the sign in bit 0 (trace_fold). Neighbours are near:
 *
 *     41 28       malloc(40), 32 bytes above the thread's previous block
 *     06          realloc of that block begins: distance 0
 *     8f 02 50    and ends: 80 bytes, 128 bytes further up
 *     04          free of that block
 *
 * Order. A record is of the thread that the last TRACE_THREAD before it names, 0 without one. What
 * gives a block up stands before the allocator learns of it, what obtains one after the allocator
 * has handed it out and before the program has it. So the records that name an address come in an
 * order that can have happened: a free never stands before its malloc, nor after the next malloc of
 * the same address. realloc does both, hence its two records: between them other threads may get
 * the old address.
 *
 * The file holds what happened from the library's start on, less what signal handlers did while
 * their thread was about to write a record. A forked child's begins with the fork: it frees blocks
 * that were never obtained. Who reads it must expect a free of an unknown address, and a malloc of
 * one in use.
 */
#ifndef ARENITE_RECORD_TRACE_H
#define ARENITE_RECORD_TRACE_H

#include <stdint.h>

#define TRACE_MAGIC "arntrace"

enum { TRACE_VERSION = 1, TRACE_UNIT_BYTES = 8 };

/* In the byte order of the machine: on another one the version is wrong. */
struct trace_header {
    char magic[8];       /* TRACE_MAGIC, without a NUL */
    uint32_t version;    /* TRACE_VERSION */
    uint32_t page_bytes; /* of the machine that recorded */
};

enum trace_op {
    TRACE_END,     /* no operand: nothing follows but zeros, of a process that did not exit */
    TRACE_MALLOC,  /* address; bytes */
    TRACE_CALLOC,  /* address; bytes in all */
    TRACE_ALIGNED, /* address; bytes; logarithm of the alignment */
    TRACE_FREE,    /* address */
    TRACE_THREAD,  /* the thread's number: 0, 1, … in order of their first record */
    TRACE_RESIZE,  /* address: realloc begins */
    TRACE_RESIZED, /* address; bytes: realloc ended. Address NULL: the block was freed if bytes is
                      0, else it stays as it was */
};

enum {
    TRACE_OP_BITS = 3,
    TRACE_FIRST_BITS = 4, /* of the operand, in the first byte */
    TRACE_MORE = 0x80,
    TRACE_RECORD_BYTES = 21, /* at most: operand 10, bytes 10, logarithm 1 */
};

static inline uint64_t trace_fold(uint64_t from, uint64_t to)
{
    int64_t units = (int64_t)(to - from) / TRACE_UNIT_BYTES;
    return ((uint64_t)units << 1) ^ (uint64_t)(units >> 63);
}

static inline uint64_t trace_unfold(uint64_t from, uint64_t folded)
{
    uint64_t units = (folded >> 1) ^ -(folded & 1);
    return from + units * TRACE_UNIT_BYTES;
}

#endif
