/* size_class.h - which class serves a request: pure arithmetic.
 *
 * Classes 0..63 are the multiples of 16 up to 1 KiB. Above, 8 classes per doubling to 8 KiB and 4
 * to 32 KiB (64..95), all multiples of 128, so that one small table finds them.
 */
#ifndef ARENITE_SIZE_CLASS_H
#define ARENITE_SIZE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QUANTUM_SHIFT = 4,
    QUANTUM_BYTES = 1 << QUANTUM_SHIFT, /* every block's size and address is a multiple */
    SMALL_BYTES = 1024,                 /* up to here the class is (bytes - 1) >> QUANTUM_SHIFT */
    POOLED_BYTES = 32768,               /* up to here a pool serves it */
    MEDIUM_SHIFT = 7, /* above SMALL_BYTES, (bytes - 1) >> MEDIUM_SHIFT indexes the table */
    CLASSES = 64 + 32,
    NO_CLASS = CLASSES,
};

struct size_class {
    uint32_t block_bytes;
    uint16_t capacity; /* blocks of a pool */
    uint8_t slices;    /* of a pool: 1, 4 or 16 */
    uint8_t threshold; /* free blocks that make a full pool worth using again: an eighth */
    uint64_t inverse;  /* the first odd number above 2^64 / block_bytes: see arn__is_multiple_below */
};

extern const struct size_class arn__size_classes[CLASSES];

/* (bytes - 1) >> MEDIUM_SHIFT to class, for SMALL_BYTES < bytes <= POOLED_BYTES: a class whose step
 * is n * 128 bytes has n entries. The first 8 are not looked up. */
#define ARN__MEDIUM_CLASSES                                                           \
    {                                                                                 \
        0, 0, 0, 0, 0, 0, 0, 0, 64, 65, 66, 67, 68, 69, 70, 71,                       \
            ARN__EIGHT_CLASSES(ARN__TIMES2, 72), ARN__EIGHT_CLASSES(ARN__TIMES4, 80), \
            ARN__FOUR_CLASSES(ARN__TIMES16, 88), ARN__FOUR_CLASSES(ARN__TIMES32, 92), \
    }
#define ARN__TIMES2(c) (c), (c)
#define ARN__TIMES4(c) ARN__TIMES2(c), ARN__TIMES2(c)
#define ARN__TIMES16(c) ARN__TIMES4(c), ARN__TIMES4(c), ARN__TIMES4(c), ARN__TIMES4(c)
#define ARN__TIMES32(c) ARN__TIMES16(c), ARN__TIMES16(c)
#define ARN__FOUR_CLASSES(times, c) times(c), times((c) + 1), times((c) + 2), times((c) + 3)
#define ARN__EIGHT_CLASSES(times, c) ARN__FOUR_CLASSES(times, c), ARN__FOUR_CLASSES(times, (c) + 4)

extern const uint8_t arn__medium_classes[POOLED_BYTES >> MEDIUM_SHIFT];

/* Class of a request; NO_CLASS above POOLED_BYTES. A request of 0 bytes is one of 1. */
static inline unsigned arn__class_of(size_t bytes)
{
    size_t last = bytes == 0 ? 0 : bytes - 1;
    if (last < SMALL_BYTES)
        return (unsigned)(last >> QUANTUM_SHIFT);
    return last < POOLED_BYTES ? arn__medium_classes[last >> MEDIUM_SHIFT] : (unsigned)NO_CLASS;
}

/* The size whose class is the smallest of at least so many bytes with all blocks at multiples of `alignment`, a
 * power of two: classes are multiples of steps that are powers of two, so that either a step is a multiple of
 * the alignment or the rounded size one of the step. Both sizes are told less 1, and pools serve them. */
static inline size_t arn__aligned_last(size_t last, size_t alignment)
{
    return last | (alignment - 1);
}

/* Whether the offset is -n * block_bytes for a number n from 1 to as many blocks as a pool has, by one
 * multiplication modulo 2^64; the offset may be anything.
 *
 * After Lemire, Kaser, Kurz: "Faster Remainder by Direct Computation" (2019): block_bytes * inverse is 2^64 + e,
 * where e is at most 2 * block_bytes, so that the product is -n * e, which is at most 2^19 below 0. For other
 * offsets within a pool's length the product lies at least 2^64 / 2^15 away, or is 0 or above for those that are
 * not below 0.
 *
 * What is a multiple of 2^40 away from such an offset is none: times the inverse, which is odd, the multiple changes
 * the product's upper 24 bits. So neither a block with other bits from the 40th on, which leads to the same
 * descriptor, nor another heap's block, whose number is added at the 48th, is taken for a block of this heap. A
 * pointer into another heap's block, not to its start, may be: in one of block_bytes / 16 cases where the two numbers
 * are as far apart as the pointer happens to ask for. With an inverse of 0, as what is no pool has it, the product is 0. */
static inline bool arn__is_multiple_below(uint64_t offset, uint64_t inverse)
{
    return offset * inverse >= -((uint64_t)1 << 20);
}

#endif
