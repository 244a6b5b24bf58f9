/* options.c - every key, and what is said of what is wrong. */
#include "options.h"

#include <arenite/arenite.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "said.h"
#include "shim.h"

#define SAID(text_, ...)                                \
    do {                                                \
        struct said said_;                              \
        said_begin(&said_);                             \
        arn__options_apply(text_, "test");              \
        EXPECT_STREQ(said_end(&said_), "" __VA_ARGS__); \
    } while (0)

static const struct options before = {.purge_budget_bytes = (size_t)4 << 20,
                                      .purge_delay_ms = 1000,
                                      .huge = HUGE_AUTO,
                                      .map_threshold_bytes = (size_t)32 << 20};

static void restore(void)
{
    arn__options = before;
}

TEST(options, have_their_defaults)
{
    EXPECT_EQ(memcmp(&arn__options, &before, sizeof before), 0);
}

static void every_key(void)
{
    SAID("show=1,stats=exit,purge_budget=123,purge_delay_ms=7,huge_pages=always,misuse=ignore,"
         "map_threshold=2M,guard_rate=5000,perturb=165,deepbind=keep");
    EXPECT_EQ(arn__options.show, SWITCH_ON);
    EXPECT_EQ(arn__options.stats, STATS_EXIT);
    EXPECT_EQ(arn__options.purge_budget_bytes, 123);
    EXPECT_EQ(arn__options.purge_delay_ms, 7);
    EXPECT_EQ(arn__options.huge, HUGE_ALWAYS);
    EXPECT_EQ(arn__options.misuse, MISUSE_IGNORE);
    EXPECT_EQ(arn__options.map_threshold_bytes, (size_t)2 << 20);
    EXPECT_EQ(arn__options.guard_rate, 5000);
    EXPECT_EQ(arn__options.perturb, 165);
    EXPECT_EQ(arn__options.deepbind, DEEPBIND_KEEP);
    SAID("show=0,stats=off,huge_pages=off,misuse=abort,deepbind=drop");
    EXPECT_EQ(arn__options.deepbind, DEEPBIND_DROP);
    EXPECT_EQ(arn__options.show, SWITCH_OFF);
    EXPECT_EQ(arn__options.stats, STATS_OFF);
    EXPECT_EQ(arn__options.huge, HUGE_OFF);
    EXPECT_EQ(arn__options.misuse, MISUSE_ABORT);
    SAID("huge_pages=auto");
    EXPECT_EQ(arn__options.huge, HUGE_AUTO);
}

TEST(options, are_set_by_their_keys)
{
    IN_OWN_PROCESS(every_key());
}

TEST(options, sizes_take_k_m_g_and_t)
{
    static const struct {
        const char *text;
        size_t bytes;
    } cases[] = {
        {"purge_budget=0", 0},
        {"purge_budget=1", 1},
        {"purge_budget=64k", 64 << 10},
        {"purge_budget=64K", 64 << 10},
        {"purge_budget=3M", 3 << 20},
        {"purge_budget=3m", 3 << 20},
        {"purge_budget=5G", (size_t)5 << 30},
        {"purge_budget=5g", (size_t)5 << 30},
        {"purge_budget=1T", (size_t)1 << 40},
        {"purge_budget=2t", (size_t)2 << 40},
        {"purge_budget=4194303T", (size_t)4194303 << 40},
        {"purge_budget=1.5K", 1536},
        {"purge_budget=1.5M", 1536 << 10},
        {"purge_budget=0.25G", 256 << 20},
        {"purge_budget=1.75t", (size_t)1792 << 30},
        {"purge_budget=0.1K", 102}, /* of 102.4 */
        {"purge_budget=0.0009765625M",
         1023}, /* of 1024: what is behind the sixth digit is dropped */
        {"purge_budget=1.00000000000000000000000000001M", 1 << 20},
        {"purge_budget=007", 7},
        {"purge_budget=4294967296", (size_t)1 << 32},
        {"purge_budget=4611686018427387903", SIZE_MAX / 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SAID(cases[i].text);
        TRACE("%s", cases[i].text);
        EXPECT_EQ(arn__options.purge_budget_bytes, cases[i].bytes);
    }
    restore();
}

#define BUDGET_BAD(value_)                                                        \
    SAID("purge_budget=" value_, "arenite: test: bad value 'purge_budget=" value_ \
                                 "'; use 0 to 4194303T (bytes, K, M, G, T)\n")

TEST(options, what_is_no_size_is_told_and_changes_nothing)
{
    arn__options.purge_budget_bytes = 4242;
    BUDGET_BAD("");
    BUDGET_BAD("K");
    BUDGET_BAD("-1");
    BUDGET_BAD("+1");
    BUDGET_BAD("1P");
    BUDGET_BAD("1TB");
    BUDGET_BAD("1KB");
    BUDGET_BAD("1s");
    BUDGET_BAD("1ms");
    BUDGET_BAD("1 K");
    BUDGET_BAD("1.5");
    BUDGET_BAD("1.M");
    BUDGET_BAD(".5M");
    BUDGET_BAD(".");
    BUDGET_BAD("1.5.5M");
    BUDGET_BAD("1.-5M");
    BUDGET_BAD("0x10");
    BUDGET_BAD("many");
    BUDGET_BAD("4611686018427387904");
    BUDGET_BAD("18446744073709551615");
    BUDGET_BAD("18446744073709551616");
    BUDGET_BAD("99999999999999999999999");
    BUDGET_BAD("17179869184G"); /* 2^64: wraps to 0 */
    BUDGET_BAD("18014398509481985K");
    BUDGET_BAD("16777216T"); /* 2^64 */
    BUDGET_BAD("16777215.9999999T");
    BUDGET_BAD("4194303.99999999999999999999999T0");
    SAID("purge_budget",
         "arenite: test: bad value 'purge_budget'; use 0 to 4194303T (bytes, K, M, G, T)\n");
    EXPECT_EQ(arn__options.purge_budget_bytes, 4242);
    restore();
}

TEST(options, bounds_hold)
{
    SAID("map_threshold=1M");
    EXPECT_EQ(arn__options.map_threshold_bytes, (size_t)1 << 20);
    SAID("map_threshold=1G");
    EXPECT_EQ(arn__options.map_threshold_bytes, (size_t)1 << 30);
    SAID("map_threshold=1048575", "arenite: test: bad value 'map_threshold=1048575'; use 1M to 1G "
                                  "(bytes, K, M, G, T)\n");
    SAID("map_threshold=1025M", "arenite: test: bad value 'map_threshold=1025M'; use 1M to 1G "
                                "(bytes, K, M, G, T)\n");
    SAID("map_threshold=0.99M", "arenite: test: bad value 'map_threshold=0.99M'; use 1M to 1G "
                                "(bytes, K, M, G, T)\n");
    EXPECT_EQ(arn__options.map_threshold_bytes, (size_t)1 << 30);
    SAID("perturb=256", "arenite: test: bad value 'perturb=256'; use 0 to 255\n");
    restore();
}

TEST(options, times_take_ms_s_and_m)
{
    static const struct {
        const char *text;
        size_t ms;
    } cases[] = {
        {"purge_delay_ms=0", 0},
        {"purge_delay_ms=250", 250},
        {"purge_delay_ms=250ms", 250},
        {"purge_delay_ms=1s", 1000},
        {"purge_delay_ms=1.5s", 1500},
        {"purge_delay_ms=0.0015s", 1},
        {"purge_delay_ms=2m", 120000},
        {"purge_delay_ms=0.5m", 30000},
        {"purge_delay_ms=1073741824", 1u << 30},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SAID(cases[i].text);
        TRACE("%s", cases[i].text);
        EXPECT_EQ(arn__options.purge_delay_ms, cases[i].ms);
    }
    restore();
}

#define DELAY_BAD(value_)          \
    SAID("purge_delay_ms=" value_, \
         "arenite: test: bad value 'purge_delay_ms=" value_ "'; use 0 to 1073741824 (ms, s, m)\n")

TEST(options, what_is_no_time_is_told_and_changes_nothing)
{
    DELAY_BAD("1K");
    DELAY_BAD("1M"); /* mega, or minutes? */
    DELAY_BAD("1S");
    DELAY_BAD("1h");
    DELAY_BAD("1 s");
    DELAY_BAD("1.5");
    DELAY_BAD("1.5ms");
    DELAY_BAD("s");
    DELAY_BAD("1073741825");
    DELAY_BAD("17896m");
    EXPECT_EQ(arn__options.purge_delay_ms, 1000);
}

TEST(options, spaces_may_follow_commas)
{
    SAID(" purge_delay_ms=1s, purge_budget=2M,   misuse=ignore, , ");
    EXPECT_EQ(arn__options.purge_delay_ms, 1000);
    EXPECT_EQ(arn__options.purge_budget_bytes, 2 << 20);
    EXPECT_EQ(arn__options.misuse, MISUSE_IGNORE);
    restore();
    SAID("purge_budget=2M ,misuse=abort", "arenite: test: bad value 'purge_budget=2M '; use 0 to "
                                          "4194303T (bytes, K, M, G, T)\n");
    SAID("misuse= ignore", "arenite: test: bad value 'misuse= ignore'; use abort or ignore\n");
    restore();
}

TEST(options, tell_whether_all_were_right)
{
    struct said said;
    said_begin(&said);
    bool right = arn__options_apply("purge_budget=1M, misuse=abort", "test");
    bool empty = arn__options_apply("", "test");
    bool first = arn__options_apply("nonsense=1,misuse=abort", "test");
    bool last = arn__options_apply("misuse=abort,purge_budget=-1", "test");
    said_end(&said);
    EXPECT_TRUE(right && empty);
    EXPECT_FALSE(first);
    EXPECT_FALSE(last);
    restore();
}

TEST(options, a_bad_choice_names_the_good_ones)
{
    SAID("huge_pages=on", "arenite: test: bad value 'huge_pages=on'; use off or auto or always\n");
    SAID("misuse=Abort", "arenite: test: bad value 'misuse=Abort'; use abort or ignore\n");
    SAID("show=2", "arenite: test: bad value 'show=2'; use 0 or 1\n");
    SAID("stats=", "arenite: test: bad value 'stats='; use off or exit\n");
    SAID("stats=exits", "arenite: test: bad value 'stats=exits'; use off or exit\n");
    EXPECT_EQ(memcmp(&arn__options, &before, sizeof before), 0);
}

TEST(options, an_unknown_key_names_the_nearest)
{
    SAID("purge_buget=1", "arenite: test: unknown option 'purge_buget'; the nearest is "
                          "purge_budget\n");
    SAID("hugepages=off", "arenite: test: unknown option 'hugepages'; the nearest is huge_pages\n");
    SAID("stat=exit", "arenite: test: unknown option 'stat'; the nearest is stats\n");
    SAID("shwo=1", "arenite: test: unknown option 'shwo'; the nearest is show\n");
    SAID("mapthreshold=1M", "arenite: test: unknown option 'mapthreshold'; the nearest is "
                            "map_threshold\n");
    SAID("Misuse=ignore", "arenite: test: unknown option 'Misuse'; the nearest is misuse\n");
    SAID("purge_delay=1", "arenite: test: unknown option 'purge_delay'; the nearest is "
                          "purge_delay_ms\n");
    EXPECT_EQ(memcmp(&arn__options, &before, sizeof before), 0);
}

TEST(options, one_that_is_wrong_does_not_stop_the_others)
{
    SAID(",,purge_delay_ms=1,nonsense,=,purge_budget=5,",
         "arenite: test: unknown option 'nonsense'; the nearest is misuse\n"
         "arenite: test: unknown option ''; the nearest is show\n");
    EXPECT_EQ(arn__options.purge_delay_ms, 1);
    EXPECT_EQ(arn__options.purge_budget_bytes, 5);
    SAID("");
    restore();
}

TEST(options, the_last_of_two_counts)
{
    SAID("purge_delay_ms=1,purge_delay_ms=2");
    EXPECT_EQ(arn__options.purge_delay_ms, 2);
    restore();
}

TEST(options, a_very_long_text_is_cut_in_what_is_said)
{
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    struct said said;
    said_begin(&said);
    arn__options_apply(text, "test");
    const char *line = said_end(&said);
    EXPECT_LT(strlen(line), 200);
    EXPECT_CONTAINS(line, "unknown option 'xxxx");
    EXPECT_CONTAINS(line, "'; the nearest is ");
}

static void shows(void)
{
    struct said said;
    arn__options_apply("purge_budget=2M,misuse=ignore", "somewhere");
    said_begin(&said);
    arn__options_show(2);
    EXPECT_STREQ(said_end(&said), "arenite: option show=0 (default)\n"
                                  "arenite: option stats=off (default)\n"
                                  "arenite: option purge_budget=2097152 (somewhere)\n"
                                  "arenite: option purge_delay_ms=1000 (default)\n"
                                  "arenite: option huge_pages=auto (default)\n"
                                  "arenite: option misuse=ignore (somewhere)\n"
                                  "arenite: option map_threshold=33554432 (default)\n"
                                  "arenite: option guard_rate=0 (default)\n"
                                  "arenite: option perturb=0 (default)\n"
                                  "arenite: option deepbind=drop (default)\n");
}

TEST(options, show_their_values_and_where_from)
{
    IN_OWN_PROCESS(shows());
}

static void from_environment(void)
{
    struct said said;
    setenv("ARENITE_OPTIONS", "show=1,purge_delay_ms=9,bogus=1", 1);
    said_begin(&said);
    void *block = arn_malloc(1);
    const char *text = said_end(&said);
    EXPECT_CONTAINS(text, "arenite: ARENITE_OPTIONS: unknown option 'bogus'; the nearest is ");
    EXPECT_CONTAINS(text, "arenite: option purge_delay_ms=9 (ARENITE_OPTIONS)\n");
    EXPECT_EQ(arn__options.purge_delay_ms, 9);
    /* Once: not at every slow path. */
    setenv("ARENITE_OPTIONS", "purge_delay_ms=10", 1);
    arn_free(arn_malloc(100000));
    EXPECT_EQ(arn__options.purge_delay_ms, 9);
    arn_free(block);
}

TEST(options, are_read_from_the_environment_at_the_first_block)
{
    IN_OWN_PROCESS(from_environment());
}
