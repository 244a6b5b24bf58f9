/* links.c - links of free blocks: the secret, what is noticed when one is overwritten. */
#include "links.h"

#include <arenite/arenite.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "shim.h"

static void begin(void)
{
    arn_free(arn_malloc(1));
}

TEST(links, what_is_read_is_what_was_written)
{
    begin();
    static const uintptr_t addresses[] = {0, 16, 4096, 0x7fffffffff0, ARN__ADDRESS_SPACE_BYTES - 16};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct block *next;
        EXPECT_TRUE(arn__link_read(arn__link_to((struct block *)addresses[i]), &next));
        EXPECT_EQ((uintptr_t)next, addresses[i]);
    }
}

TEST(links, zero_and_small_numbers_and_addresses_are_none)
{
    begin();
    struct block *next;
    EXPECT_FALSE(arn__link_read(0, &next));
    EXPECT_FALSE(arn__link_read(arn__no_block.link, &next));
    unsigned links = 0;
    for (uint64_t i = 1; i <= 10000; i++)
        links += arn__link_read(i, &next) + arn__link_read((uintptr_t)&next + 16 * i, &next);
    EXPECT_LE(links, 10); /* one in 2^16 or so */
}

TEST(links, whichever_byte_changes_it_is_none)
{
    begin();
    void *block = arn_malloc(64);
    uint64_t link = arn__link_to(block);
    unsigned links = 0, tried = 0;
    for (unsigned byte = 0; byte < 8; byte++) {
        for (uint64_t with = 1; with < 256; with++, tried++) {
            struct block *next;
            links += arn__link_read(link ^ with << 8 * byte, &next);
        }
    }
    EXPECT_LE(links, tried / 200);
    arn_free(block);
}

TEST(links, the_factors_are_inverse)
{
    begin();
    EXPECT_EQ(arn__link_times % 2, 1);
    EXPECT_EQ(arn__link_times * arn__link_back, 1);
}

/* ---- overwriting: each in a process of its own, which must end with a line ---- */

enum { BYTES = 48 };

static char *blocks[3];
static void *volatile taken;

/* Two free blocks, one's link leads to the other. */
static void two_free(void)
{
    for (unsigned i = 0; i < 3; i++)
        blocks[i] = arn_malloc(BYTES);
    arn_free(blocks[0]);
    arn_free(blocks[1]);
}

static void take_some(void)
{
    for (unsigned i = 0; i < 4; i++)
        taken = arn_malloc(BYTES);
}

static void write_after_free(void)
{
    two_free();
    memset(blocks[1], 'A', 8);
    take_some();
}

static void write_one_byte_after_free(void)
{
    two_free();
    blocks[1][0] ^= 1;
    take_some();
}

static void write_zeros_after_free(void)
{
    two_free();
    memset(blocks[0], 0, BYTES);
    take_some();
}

static void write_an_address_after_free(void)
{
    two_free();
    char *address = blocks[2];
    memcpy(blocks[1], &address, sizeof address);
    take_some();
}

static void calloc_takes_it(void)
{
    two_free();
    memset(blocks[1], 'A', 8);
    for (unsigned i = 0; i < 4; i++)
        taken = arn_calloc(1, BYTES);
}

TEST(links, an_overwritten_one_is_noticed_when_it_is_used)
{
    static const char overwritten[] = "^arenite: (malloc|calloc)\\(0x[0-9a-f]+\\): overwritten after it was freed";
    EXPECT_DEATH(write_after_free(), overwritten);
    EXPECT_DEATH(write_one_byte_after_free(), overwritten);
    EXPECT_DEATH(write_zeros_after_free(), overwritten);
    EXPECT_DEATH(write_an_address_after_free(), overwritten);
    EXPECT_DEATH(calloc_takes_it(), overwritten);
}

/* ---- what programs find in blocks ---- */

static bool is_zero(const char *block, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (block[i] != 0)
            return false;
    }
    return true;
}

static void nothing_in_new_blocks(void)
{
    for (size_t bytes = 16; bytes <= POOLED_BYTES; bytes += bytes < 1024 ? 16 : bytes / 4) {
        for (unsigned i = 0; i < 100; i++)
            ASSERT_TRUE(is_zero(arn_malloc(bytes), bytes));
    }
}

TEST(links, a_block_that_was_never_used_holds_nothing)
{
    IN_OWN_PROCESS(nothing_in_new_blocks());
}

static void nothing_in_used_blocks(void)
{
    static char *many[1000];
    for (size_t bytes = 16; bytes <= 8192; bytes *= 2) {
        for (unsigned i = 0; i < 1000; i++)
            memset(many[i] = arn_malloc(bytes), 'u', bytes);
        for (unsigned i = 0; i < 1000; i++)
            arn_free(many[i]);
        for (unsigned i = 0; i < 1000; i++) {
            many[i] = arn_malloc(bytes);
            for (size_t j = 0; j < bytes; j++)
                ASSERT_TRUE(many[i][j] == 'u' || many[i][j] == 0);
        }
    }
}

TEST(links, a_block_that_was_used_holds_what_its_program_left_or_zeros)
{
    IN_OWN_PROCESS(nothing_in_used_blocks());
}

/* A live block that holds what any free block might: it is what it is. */
static void live_blocks_with_addresses(void)
{
    enum { LIVE = 256 };
    static uint64_t *live[LIVE];
    for (unsigned i = 0; i < LIVE; i++)
        live[i] = arn_malloc(BYTES);
    for (unsigned i = 0; i < LIVE; i++) {
        live[i][0] = (uintptr_t)live[(i + 1) % LIVE];
        live[i][1] = (uintptr_t)live[i] + 0x5a17e9b1u;
    }
    for (unsigned i = 0; i < LIVE; i++)
        arn_free(live[i]);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
}

TEST(links, what_a_live_block_holds_decides_nothing)
{
    IN_OWN_PROCESS(live_blocks_with_addresses());
}
