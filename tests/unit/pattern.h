/* pattern.h - what the tests write into blocks, to notice when somebody else writes there.
 *
 * The pattern depends on a seed and the offset in the block, not on the address, so that it can be
 * followed through realloc. Large blocks are written in part, for page faults take their time: both ends, and a
 * word in each slice; of very large ones, each of which is a map, a word in every fourth.
 */
#ifndef ARENITE_PATTERN_H
#define ARENITE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    PATTERN_WHOLE_BYTES = 65536, /* blocks up to here are written in whole */
    PATTERN_END_BYTES = 2048,
    PATTERN_STRIDE_BYTES = 16384,
    PATTERN_SPARSE_BYTES = 8 << 20, /* above, four times as far */
};

static inline uint64_t pattern_word(uint64_t seed, size_t idx)
{
    uint64_t word = (seed + idx) * 0x9e3779b97f4a7c15u;
    return word ^ word >> 29;
}

/* Calls nothing: visits the offsets that a block of so many bytes is written at, in words. */
static inline size_t pattern_next(size_t offset, size_t bytes)
{
    size_t end = bytes & ~(size_t)7;
    offset += 8;
    if (end > PATTERN_WHOLE_BYTES && offset >= PATTERN_END_BYTES &&
        offset < end - PATTERN_END_BYTES) {
        size_t stride = PATTERN_STRIDE_BYTES * (end > PATTERN_SPARSE_BYTES ? 4 : 1);
        offset = (offset + stride - 1) / stride * stride;
        if (offset > end - PATTERN_END_BYTES)
            offset = end - PATTERN_END_BYTES;
    }
    return offset;
}

static inline void pattern_fill(void *block, size_t bytes, uint64_t seed)
{
    char *bytes_of = block;
    for (size_t at = 0; at + 8 <= bytes; at = pattern_next(at, bytes)) {
        uint64_t word = pattern_word(seed, at / 8);
        memcpy(bytes_of + at, &word, 8);
    }
    for (size_t at = bytes & ~(size_t)7; at < bytes; at++)
        bytes_of[at] = (char)(seed + at);
}

/* The first `checked` bytes are as a fill of `filled` bytes left them. */
static inline bool pattern_holds(const void *block, size_t filled, size_t checked, uint64_t seed)
{
    const char *bytes_of = block;
    for (size_t at = 0; at + 8 <= filled && at + 8 <= checked; at = pattern_next(at, filled)) {
        uint64_t word;
        memcpy(&word, bytes_of + at, 8);
        if (word != pattern_word(seed, at / 8))
            return false;
    }
    for (size_t at = filled & ~(size_t)7; at < filled && at < checked; at++) {
        if (bytes_of[at] != (char)(seed + at))
            return false;
    }
    return true;
}

/* All of them are 0. */
static inline bool pattern_zero(const void *block, size_t bytes)
{
    const char *bytes_of = block;
    return bytes == 0 || (bytes_of[0] == 0 && memcmp(bytes_of, bytes_of + 1, bytes - 1) == 0);
}

/* A small generator (xorshift64*, Vigna 2016): the same numbers everywhere. */
static inline uint64_t pattern_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

#endif
