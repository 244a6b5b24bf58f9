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
    uint64_t inverse;  /* the first odd number above 2^64 / block_bytes: see arn__is_multiple */
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

/* offset % block_bytes == 0, by one multiplication, for the offsets that a pool has (below 2^18).
 * After Lemire, Kaser, Kurz: "Faster Remainder by Direct Computation" (2019): the product's low 64
 * bits are below 2 * offset (2^19) for a multiple, and at least 2^64 / 2^15 otherwise; any bound in
 * between tells them apart, and a shift is the shortest comparison. Offsets below 0 give what is below
 * 2^64, by as little as those above 0 are above 0, or lies in the middle: no multiple either.
 *
 * Nor is what is a multiple of 2^41 away from an offset of the pool, however far: the inverse is odd, so
 * that the product is as far from a multiple's. So a pointer with other bits above the 41st, which leads to
 * the same descriptor, is told apart from the block. */
static inline bool arn__is_multiple(uint64_t offset, uint64_t inverse)
{
    return offset * inverse >> 40 == 0;
}

#endif
