/* fuzz.c - bytes as operations on the public functions, against a model of what is held.
 *
 *     tests/fuzz/fuzz -runs=100000
 *
 * Four bytes are an operation: what, which slot, and two of size. Every block is filled to its
 * usable size; what changes meanwhile, overlaps or is misaligned aborts.
 */
#include <arenite/arenite.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "options.h"
#include "os.h"

enum { SLOTS = 32, MIB = 1 << 20 };

static struct slot {
    unsigned char *block;
    size_t asked, usable;
    unsigned char filler;
} slots[SLOTS];

static unsigned char next_filler;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz: not so: %s\n", what);
    abort();
}

/* Ends and a word of each page of what is large. */
static size_t step(size_t at, size_t bytes)
{
    return bytes > 65536 && at >= 256 && at + 4096 + 256 < bytes ? 4096 : 1;
}

static void fill(struct slot *slot)
{
    for (size_t at = 0; at < slot->usable; at += step(at, slot->usable))
        slot->block[at] = slot->filler;
}

static void check(const struct slot *slot, const unsigned char *block, size_t bytes)
{
    for (size_t at = 0; at < slot->usable && at < bytes; at += step(at, slot->usable))
        require(block[at] == slot->filler, "contents stay");
}

static void enter(struct slot *slot, void *block, size_t asked, size_t alignment)
{
    slot->block = block;
    if (block == NULL)
        return;
    slot->asked = asked;
    slot->usable = arn_malloc_usable_size(block);
    slot->filler = ++next_filler;
    require(slot->usable >= asked, "usable size is what was asked for");
    require((uintptr_t)block % alignment == 0, "alignment");
    for (struct slot *other = slots; other < slots + SLOTS; other++)
        require(other == slot || other->block == NULL ||
                    other->block + other->usable <= slot->block ||
                    slot->block + slot->usable <= other->block,
                "blocks lie apart");
    fill(slot);
}

static void leave(struct slot *slot)
{
    if (slot->block == NULL)
        return;
    check(slot, slot->block, slot->usable);
    require(arn_malloc_usable_size(slot->block) == slot->usable, "usable size stays");
    arn_free(slot->block);
    slot->block = NULL;
}

static void enter_zeroed(struct slot *slot, size_t bytes)
{
    unsigned char *block = arn_calloc(1, bytes);
    for (size_t at = 0; block != NULL && at < bytes; at++)
        require(block[at] == 0, "calloc is zero");
    enter(slot, block, bytes, 16);
}

static void resize(struct slot *slot, size_t bytes)
{
    if (slot->block != NULL)
        check(slot, slot->block, slot->usable);
    unsigned char *block = arn_realloc(slot->block, bytes);
    if (block == NULL && bytes != 0) { /* it stays as it was */
        return;
    }
    if (slot->block != NULL && block != NULL)
        check(slot, block, bytes);
    slot->block = NULL;
    enter(slot, block, bytes, 16);
}

/* Exponent and mantissa: every kind is a few bits away. */
static size_t size_of(uint8_t high, uint8_t low)
{
    return (((size_t)(high & 15) << 8) + low) << (high >> 4) % 12;
}

static void apply(const uint8_t *op)
{
    struct slot *slot = &slots[op[1] % SLOTS];
    size_t bytes = size_of(op[2], op[3]);
    unsigned what = op[0] % 16;
    if (what < 5) {
        leave(slot);
        enter(slot, arn_malloc(bytes), bytes, 16);
    } else if (what < 7) {
        leave(slot);
        enter_zeroed(slot, bytes);
    } else if (what < 10) {
        resize(slot, bytes);
    } else if (what < 12) {
        leave(slot);
    } else if (what < 14) {
        size_t alignment = (size_t)1 << (op[1] >> 5 | (op[0] >> 4 & 3) << 3) % 23;
        leave(slot);
        enter(slot, arn_aligned_alloc(alignment, bytes), bytes, alignment);
    } else if (what == 14) {
        arn_malloc_trim(bytes);
    } else {
        arn__os_fail_at(1 + op[2] % 8, 1 + op[2] % 8 + op[3] % 8);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    arn__options.map_threshold_bytes = 2 * MIB;
    arn__options.purge_budget_bytes = 1 * MIB;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    for (size_t at = 0; at + 4 <= bytes; at += 4)
        apply(data + at);
    arn__os_fail_at(0, 0);
    for (unsigned i = 0; i < SLOTS; i++)
        leave(&slots[i]);
    struct arn_stats stats;
    arn_stats(&stats);
    require(stats.used_blocks == 0, "nothing is in use at the end");
    arn__arena_verify();
    return 0;
}
