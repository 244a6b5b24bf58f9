/* blocks.h - random blocks whose contents are known.
 *
 * A block starts with its size and seed; the rest follows from these. Of a block above SPARSE_BYTES
 * only the edges and a word of every slice are written: enough to notice an overlap, and page faults take their
 * time. Above SPARSER_BYTES, where each is a map of its own, a word of every fourth.
 */
#ifndef ARENITE_BLOCKS_H
#define ARENITE_BLOCKS_H

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "program.h"

enum { SPARSE_BYTES = 32 << 10, SPARSER_BYTES = 8 << 20, EDGE_WORDS = 512, SLICE_WORDS = 2048 };

struct block_head {
    uint64_t bytes;
    uint64_t seed;
};

/* xorshift64 (Marsaglia 2003); the state must not be 0. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline uint64_t block_word(uint64_t seed, size_t idx)
{
    return (seed + idx) * 0x9e3779b97f4a7c15u;
}

static inline size_t block_next_word(size_t idx, size_t words)
{
    if (words <= SPARSE_BYTES / 8 || idx < EDGE_WORDS || idx + EDGE_WORDS >= words)
        return idx + 1;
    size_t stride = words <= SPARSER_BYTES / 8 ? SLICE_WORDS : 4 * SLICE_WORDS;
    size_t next = (idx / stride + 1) * stride;
    return next + EDGE_WORDS > words ? words - EDGE_WORDS : next;
}

static inline void block_fill(void *block, size_t bytes, uint64_t seed)
{
    uint64_t *words = block;
    CHECK(bytes >= sizeof(struct block_head));
    for (size_t i = 2; i < bytes / 8; i = block_next_word(i, bytes / 8))
        words[i] = block_word(seed, i);
    for (size_t i = bytes / 8 * 8; i < bytes; i++)
        ((unsigned char *)block)[i] = (unsigned char)seed;
    *(struct block_head *)block = (struct block_head){bytes, seed};
}

/* The contents of the first `bytes` are those of the block as it was filled. */
static inline void block_check_up_to(const void *block, size_t bytes)
{
    const struct block_head *head = block;
    const uint64_t *words = block;
    size_t filled_words = head->bytes / 8;
    for (size_t i = 2; i < bytes / 8 && i < filled_words; i = block_next_word(i, filled_words))
        CHECK(words[i] == block_word(head->seed, i));
    if (bytes >= head->bytes) {
        for (size_t i = filled_words * 8; i < head->bytes; i++)
            CHECK(((const unsigned char *)block)[i] == (unsigned char)head->seed);
    }
}

static inline void block_check(const void *block)
{
    const struct block_head *head = block;
    CHECK(malloc_usable_size((void *)block) >= head->bytes);
    block_check_up_to(block, head->bytes);
}

static inline void block_free(void *block)
{
    if (block == NULL)
        return;
    block_check(block);
    *(volatile uint64_t *)block = 0;
    free(block);
}

/* Mostly small, sometimes up to 32 KiB, 256 KiB, 4 MiB; one in 4096 of 32 to 40 MiB. */
static inline size_t random_bytes(uint64_t *state)
{
    uint64_t r = next_random(state);
    uint64_t kind = r % 4096;
    r >>= 16;
    if (kind == 0)
        return (32u << 20) + r % (8u << 20);
    if (kind < 8)
        return (256u << 10) + r % (4u << 20);
    if (kind < 100)
        return (32u << 10) + r % (224u << 10);
    if (kind < 600)
        return 1024 + r % (31u << 10);
    return 16 + r % 1008;
}

/* By malloc, calloc or memalign. Never NULL. */
static inline void *random_block(uint64_t *state)
{
    size_t bytes = random_bytes(state);
    uint64_t way = next_random(state) >> 8;
    unsigned char *block;
    switch (way % 8) {
    case 0:
        block = calloc(1, bytes);
        CHECK(block != NULL);
        for (size_t i = 0; i < bytes; i += i < 4096 ? 1 : i < SPARSER_BYTES ? 509 : 65521)
            CHECK(block[i] == 0);
        break;
    case 1: {
        size_t alignment = (size_t)16 << (way >> 3) % 9;
        block = memalign(alignment, bytes);
        CHECK((uintptr_t)block % alignment == 0);
        break;
    }
    default:
        block = malloc(bytes);
    }
    CHECK(block != NULL);
    block_fill(block, bytes, next_random(state));
    return block;
}

/* Another size, contents kept. */
static inline void *random_resized(void *block, uint64_t *state)
{
    size_t bytes = random_bytes(state);
    block_check(block);
    void *resized = realloc(block, bytes);
    CHECK(resized != NULL);
    block_check_up_to(resized, bytes);
    block_fill(resized, bytes, next_random(state));
    return resized;
}

#endif
