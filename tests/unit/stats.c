/* stats.c - the census against what is known. */
#include "stats.h"

#include <arenite/arenite.h>
#include <stdlib.h>
#include <string.h>

#include "diag.h"
#include "options.h"
#include "said.h"
#include "shim.h"

static void counts(void)
{
    static const size_t sizes[] = {1,     16,     17,     1000,    1025,    32768,
                                   40000, 262144, 300000, 5 << 20, 40 << 20};
    enum { SIZES = sizeof sizes / sizeof *sizes, EACH = 7 };
    void *blocks[SIZES][EACH];
    struct arn_stats stats;
    size_t bytes = 0, count = 0;
    for (unsigned i = 0; i < SIZES; i++) {
        for (unsigned j = 0; j < EACH; j++) {
            blocks[i][j] = arn_malloc(sizes[i]);
            bytes += arn_malloc_usable_size(blocks[i][j]);
            arn_stats(&stats);
            EXPECT_EQ(stats.used_bytes, bytes);
            EXPECT_EQ(stats.used_blocks, ++count);
        }
    }
    EXPECT_EQ(stats.map_blocks, EACH);
    EXPECT_EQ(stats.map_bytes, (size_t)EACH * 40 << 20);
    EXPECT_LE(stats.used_bytes - stats.map_bytes + stats.free_bytes, stats.opened_bytes);
    EXPECT_LE(stats.opened_bytes, stats.reserved_bytes);
    for (unsigned j = 0; j < EACH; j++) {
        for (unsigned i = 0; i < SIZES; i++) {
            bytes -= arn_malloc_usable_size(blocks[i][j]);
            arn_free(blocks[i][j]);
            arn_stats(&stats);
            EXPECT_EQ(stats.used_bytes, bytes);
            EXPECT_EQ(stats.used_blocks, --count);
        }
    }
    EXPECT_EQ(stats.map_bytes, 0);
    arn_malloc_trim(0);
    arn_stats(&stats);
    EXPECT_EQ(stats.free_bytes, 0);
    EXPECT_EQ(stats.dirty_bytes, 0);
    EXPECT_EQ(stats.heaps, 1);
    EXPECT_EQ(stats.idle_heaps, 0);
}

TEST(stats, count_every_block_and_byte)
{
    IN_OWN_PROCESS(counts());
}

static void prints(void)
{
    struct said said;
    void *block = arn_malloc(100);
    said_begin(&said);
    arn_stats_print(2);
    const char *text = said_end(&said);
    EXPECT_CONTAINS(text, "arenite: used bytes 112\narenite: used blocks 1\n");
    EXPECT_CONTAINS(text, "arenite: heaps 1\narenite: idle heaps 0\n");
    arn_free(block);
}

TEST(stats, are_printed_a_figure_a_line)
{
    IN_OWN_PROCESS(prints());
}

static void at_exit(void)
{
    struct said said;
    said_begin(&said);
    arn__stats_at_exit();
    EXPECT_STREQ(said_end(&said), "");
    arn__options.stats = STATS_EXIT;
    said_begin(&said);
    arn__exit_prepare();
    arn__stats_at_exit();
    const char *text = said_end(&said);
    EXPECT_CONTAINS(text, "arenite: statistics of ");
    EXPECT_CONTAINS(text, "\narenite: used bytes 0\n");
    close(arn__exit_stderr());
}

TEST(stats, are_printed_at_exit_if_asked_for)
{
    IN_OWN_PROCESS(at_exit());
}
