/* size_class.h - which class serves a request: pure arithmetic.
 *
 * Classes 1..64 are the multiples of 16 up to 1 KiB. Above, 8 classes per doubling to 8 KiB and 4
 * to 32 KiB (65..96), all multiples of 128, so that one small table finds them. Class 0 serves
 * nothing: it is where a request of 0 bytes lands, whose list is always empty.
 */
#ifndef ARENITE_SIZE_CLASS_H
#define ARENITE_SIZE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QUANTUM_BYTES = 16,      /* every block's size and address is a multiple */
    SMALL_BYTES = 1024,      /* up to here the class is (bytes + 15) / 16 */
    POOLED_BYTES = 32768,    /* up to here a pool serves it */
    SMALL_CLASSES = 65,      /* 0..64 */
    CLASSES = 65 + 32,
    MEDIUM_SHIFT = 7,        /* above SMALL_BYTES: (bytes - 1) >> 7 indexes the table */
};

struct size_class {
    uint32_t block_bytes;
    uint16_t capacity; /* blocks of a pool */
    uint8_t slices;    /* of a pool: 1, 4 or 16 */
    uint8_t threshold; /* remote frees that make a detached pool worth claiming */
    uint64_t inverse;  /* ceil(2^64 / block_bytes): see arn__is_multiple */
};

extern const struct size_class arn__size_classes[CLASSES];

/* (bytes - 1) >> MEDIUM_SHIFT to class, for SMALL_BYTES < bytes <= POOLED_BYTES. */
extern const uint8_t arn__medium_classes[POOLED_BYTES >> MEDIUM_SHIFT];

/* Class of a request of at most POOLED_BYTES; 0 for 0 bytes. */
static inline unsigned arn__class_of(size_t bytes)
{
    if (bytes <= SMALL_BYTES)
        return (unsigned)((bytes + 15) / 16);
    return arn__medium_classes[(bytes - 1) >> MEDIUM_SHIFT];
}

/* The smallest class of at least `bytes` whose blocks all lie at multiples of `alignment`;
 * 0 if there is none. */
unsigned arn__class_aligned(size_t bytes, size_t alignment);

/* offset % block_bytes == 0, for offset below 2^32, by one multiplication.
 * Lemire, Kaser, Kurz: "Faster Remainder by Direct Computation" (2019). */
static inline bool arn__is_multiple(uint64_t offset, uint64_t inverse)
{
    return offset * inverse < inverse;
}

#endif
