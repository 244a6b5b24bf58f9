/* tracing.c - blocks: what is traced, where from, and that nothing else is. */
#include <arenite/trace.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "alloc.h"
#include "nodes.h"
#include "said.h"
#include "shim.h"
#include "traced.h"

/* ---- on and off ---- */

static void limits(void)
{
    static const struct {
        unsigned frames, what;
    } wrong[] = {{0, BOTH}, {65, BOTH}, {1, 0}, {1, 4}, {1, BOTH | 8}, {UINT_MAX, 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        EXPECT_EQ(arn_trace_start(wrong[i].frames, wrong[i].what), -1);
        EXPECT_EQ(errno, EINVAL);
    }
    EXPECT_EQ(arn_trace_is_tracing(), 0);
    EXPECT_EQ(arn_trace_get_frames(), 0);
    errno = 0;
    EXPECT_EQ(arn_trace_snapshot(), NULL);
    EXPECT_EQ(errno, EINVAL);
    arn_trace_stop(); /* no harm */
    arn_trace_clear();
    arn_trace_reset_peak();
    EXPECT_EQ(arn_trace_get_tracer_memory(), 0);

    EXPECT_EQ(arn_trace_start(1, ARN_TRACE_BLOCKS), 0);
    EXPECT_EQ(arn_trace_is_tracing(), ARN_TRACE_BLOCKS);
    EXPECT_EQ(arn_trace_get_frames(), 1);
    void *block = here(64);
    errno = 0;
    EXPECT_EQ(arn_trace_start(5, BOTH), -1);
    EXPECT_EQ(errno, EALREADY);
    EXPECT_EQ(arn_trace_is_tracing(), ARN_TRACE_BLOCKS);
    EXPECT_EQ(arn_trace_get_frames(), 1);
    EXPECT_TRUE(is_traced(block));
    EXPECT_GT(arn_trace_get_tracer_memory(), 0);
    arn_trace_stop();
    EXPECT_EQ(arn_trace_is_tracing(), 0);
    EXPECT_FALSE(is_traced(block));
    EXPECT_EQ(current(), 0);
    EXPECT_EQ(peak(), 0);
    EXPECT_EQ(arn_trace_get_tracer_memory(), 0);
    arn_free(block);
}

/* What realloc leaves alone is whose it was: of pools, of runs, of mappings. */
static void left_alone(void)
{
    static const size_t sizes[] = {100, 5000, 300000, 50 << 20};
    ASSERT_EQ(arn_trace_start(1, ARN_TRACE_BLOCKS), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *block = here(sizes[i]), *before = NULL, *after = NULL;
        size_t bytes = arn_malloc_usable_size(block);
        arn_trace_traceback(block, &before, 1);
        EXPECT_EQ(arn_realloc(block, bytes), block);
        arn_trace_traceback(block, &after, 1);
        EXPECT_EQ(after, before);
        EXPECT_NE(before, NULL);
        EXPECT_EQ(current(), bytes);
        arn_free(block);
    }
    arn_trace_stop();
}

TEST(tracing, what_realloc_leaves_alone_keeps_its_site)
{
    IN_OWN_PROCESS(left_alone());
}

TEST(tracing, starts_within_its_limits_and_once)
{
    IN_OWN_PROCESS(limits());
}

static void again(void)
{
    void *before = here(100);
    for (unsigned round = 0; round < 5; round++) {
        ASSERT_EQ(arn_trace_start(round + 1, BOTH), 0);
        void *blocks[40];
        for (unsigned i = 0; i < 40; i++)
            blocks[i] = here(100);
        EXPECT_FALSE(is_traced(before));
        expect_sums((size_t)40 * 112, 40);
        for (unsigned i = 0; i < 20; i++)
            arn_free(blocks[i]);
        expect_sums((size_t)20 * 112, 20);
        arn_trace_stop();
        /* Freed and taken again meanwhile: nothing of it may be seen later. */
        for (unsigned i = 20; i < 40; i++)
            arn_free(blocks[i]);
        void *untraced[40];
        for (unsigned i = 0; i < 40; i++)
            untraced[i] = there(100);
        ASSERT_EQ(arn_trace_start(1, BOTH), 0);
        for (unsigned i = 0; i < 40; i++) {
            EXPECT_FALSE(is_traced(untraced[i]));
            arn_free(untraced[i]);
        }
        EXPECT_EQ(current(), 0);
        arn_trace_stop();
    }
    arn_free(before);
}

TEST(tracing, stops_and_starts_again_with_nothing)
{
    IN_OWN_PROCESS(again());
}

static bool takes_the_fast_path(void)
{
    return atomic_load(&arn__thread.heap) == arn__thread.own;
}

static void fast_path(void)
{
    arn_free(here(64));
    EXPECT_TRUE(takes_the_fast_path());
    ASSERT_EQ(arn_trace_start(1, ARN_TRACE_OBJECTS), 0);
    arn_free(here(64));
    EXPECT_TRUE(takes_the_fast_path());
    arn_trace_stop();
    ASSERT_EQ(arn_trace_start(1, ARN_TRACE_BLOCKS), 0);
    EXPECT_FALSE(takes_the_fast_path());
    arn_free(here(64));
    EXPECT_FALSE(takes_the_fast_path());
    arn_trace_stop();
    arn_free(here(64));
    EXPECT_TRUE(takes_the_fast_path());
}

TEST(tracing, takes_the_fast_path_away_only_while_blocks_are_traced)
{
    IN_OWN_PROCESS(fast_path());
}

/* ---- blocks ---- */

static void figures(void)
{
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    char *first = here(100), *second = here(1000);
    expect_sums(112 + 1008, 2);
    EXPECT_EQ(peak(), 112 + 1008);
    arn_free(first);
    expect_sums(1008, 1);
    EXPECT_EQ(peak(), 112 + 1008);
    arn_trace_reset_peak();
    EXPECT_EQ(peak(), 1008);
    first = here(50);
    EXPECT_EQ(peak(), 1008 + 64);
    arn_trace_clear();
    EXPECT_EQ(current(), 0);
    EXPECT_EQ(peak(), 0);
    EXPECT_FALSE(is_traced(first));
    arn_free(first); /* is no more in it */
    arn_free(second);
    expect_sums(0, 0);
    arn_free(here(16));
    EXPECT_EQ(peak(), 16);
    EXPECT_EQ(arn_trace_get_lost(), 0);
    arn_trace_stop();
}

TEST(tracing, current_and_peak_are_exact)
{
    IN_OWN_PROCESS(figures());
}

static const size_t sizes[] = {1, 24, 1000, 20000, 32769, 100000, 1000000, 40000000};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void every_way(void)
{
    static void *blocks[WAYS][SIZES];
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    for (unsigned way = 0; way < WAYS; way++) {
        for (unsigned i = 0; i < SIZES; i++) {
            TRACE("way %u, %zu bytes", way, sizes[i]);
            blocks[way][i] = take(way, sizes[i]);
            ASSERT_TRUE(is_traced(blocks[way][i]));
        }
        expect_all_of_the_allocator();
    }
    for (unsigned i = 0; i < SIZES; i++) {
        for (unsigned way = 0; way < WAYS; way++) {
            arn_free(blocks[way][i]);
            EXPECT_FALSE(is_traced(blocks[way][i]));
        }
        expect_all_of_the_allocator();
    }
    expect_sums(0, 0);
    arn_trace_stop();
}

TEST(tracing, a_block_of_any_size_is_traced_however_it_is_asked_for)
{
    IN_OWN_PROCESS(every_way());
}

static void resized(void)
{
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    char *block = arn_malloc(10);
    for (size_t bytes = 10; bytes < (size_t)200 << 20; bytes += bytes / 3 + 1) {
        block = arn_realloc(block, bytes);
        ASSERT_EQ(current(), arn_malloc_usable_size(block));
        ASSERT_TRUE(is_traced(block));
    }
    while (arn_malloc_usable_size(block) > 64) {
        block = arn_realloc(block, arn_malloc_usable_size(block) / 3);
        ASSERT_EQ(current(), arn_malloc_usable_size(block));
    }
    expect_all_of_the_allocator();
    EXPECT_EQ(sum(ARN_TRACE_BY_TRACEBACK).count, 1);

    /* Where it is refused, all is as it was. */
    errno = 0;
    EXPECT_EQ(arn_realloc(block, PTRDIFF_MAX), NULL);
    char *large = arn_malloc((size_t)50 << 20);
    EXPECT_EQ(arn_realloc(large, PTRDIFF_MAX / 4), NULL);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_TRUE(is_traced(block));
    EXPECT_TRUE(is_traced(large));
    expect_all_of_the_allocator();
    EXPECT_EQ(arn_realloc(block, 0), NULL);
    arn_free(large);
    expect_sums(0, 0);
    arn_trace_stop();
}

TEST(tracing, a_block_that_is_resized_counts_as_what_it_is)
{
    IN_OWN_PROCESS(resized());
}

/* ---- sites ---- */

static void sites(void)
{
    void *frames[64];
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    void *blocks[10];
    for (unsigned i = 0; i < 10; i++)
        blocks[i] = i % 5 == 0 ? there(300) : here(100);
    EXPECT_EQ(arn_trace_traceback(blocks[0], frames, 64), FEW);
    EXPECT_TRUE(is_of(frames[0], there));
    EXPECT_GT(arn_trace_traceback(blocks[1], frames, 1), 1);
    EXPECT_TRUE(is_of(frames[0], here));
    EXPECT_EQ(arn_trace_traceback((char *)blocks[1] + 16, frames, 64), 0);
    EXPECT_EQ(arn_trace_traceback(NULL, frames, 64), 0);

    struct arn_trace_statistic found[3];
    arn_snapshot *snapshot = arn_trace_snapshot();
    EXPECT_EQ(arn_trace_statistics(snapshot, ARN_TRACE_BY_SITE, found, 3), 2);
    EXPECT_EQ(found[0].bytes, 8 * 112);
    EXPECT_EQ(found[0].count, 8);
    EXPECT_EQ(found[0].frame_count, 1);
    EXPECT_EQ(found[0].type, NULL);
    EXPECT_TRUE(is_of(found[0].frames[0], here));
    EXPECT_EQ(found[1].bytes, 2 * 304);
    EXPECT_EQ(found[1].count, 2);
    EXPECT_TRUE(is_of(found[1].frames[0], there));
    EXPECT_EQ(arn_trace_statistics(snapshot, ARN_TRACE_BY_TRACEBACK, found, 1), 2);
    EXPECT_EQ(found[0].frame_count, FEW);
    EXPECT_EQ(arn_trace_statistics(snapshot, ARN_TRACE_BY_MODULE, found, 3), 1);
    EXPECT_EQ(found[0].count, 10);
    errno = 0;
    EXPECT_EQ(arn_trace_statistics(snapshot, (enum arn_trace_by)4, found, 3), -1);
    EXPECT_EQ(errno, EINVAL);

    for (unsigned i = 0; i < 10; i++)
        arn_free(blocks[i]);
    arn_trace_stop();
    EXPECT_EQ(arn_trace_statistics(snapshot, ARN_TRACE_BY_SITE, found, 3), 2); /* it stays */
    EXPECT_TRUE(is_of(found[1].frames[0], there));
    arn_trace_release(snapshot);
    arn_trace_release(NULL);
    EXPECT_EQ(arn_trace_get_tracer_memory(), 0);
}

TEST(tracing, tells_the_call_sites)
{
    IN_OWN_PROCESS(sites());
}

static void frames_are_limited(void)
{
    static const unsigned limits_tried[] = {1, 2, 10, 63, 64};
    for (size_t i = 0; i < sizeof limits_tried / sizeof *limits_tried; i++) {
        unsigned limit = limits_tried[i];
        void *frames[64] = {NULL};
        ASSERT_EQ(arn_trace_start(limit, BOTH), 0);
        void *block = deep(100);
        EXPECT_EQ(arn_trace_traceback(block, frames, 64), limit);
        EXPECT_NE(frames[limit - 1], NULL);
        /* All but the first are where it called itself. */
        for (unsigned j = 2; j < limit; j++)
            EXPECT_EQ(frames[j], frames[1]);
        arn_free(block);
        arn_trace_stop();
    }
}

TEST(tracing, keeps_as_many_frames_as_it_is_told)
{
    IN_OWN_PROCESS(frames_are_limited());
}

static void growth(void)
{
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    void *gone[3], *grown[6], *kept = deep(0);
    for (unsigned i = 0; i < 3; i++)
        gone[i] = there(1000);
    grown[0] = here(64);
    arn_snapshot *older = arn_trace_snapshot();
    for (unsigned i = 0; i < 3; i++)
        arn_free(gone[i]);
    for (unsigned i = 1; i < 6; i++)
        grown[i] = here(64);
    arn_snapshot *newer = arn_trace_snapshot();

    struct arn_trace_difference found[4];
    EXPECT_EQ(arn_trace_compare(older, newer, ARN_TRACE_BY_SITE, found, 4), 3);
    EXPECT_EQ(found[0].bytes_more, -3 * 1008);
    EXPECT_EQ(found[0].count_more, -3);
    EXPECT_EQ(found[0].now.bytes, 0);
    EXPECT_TRUE(is_of(found[0].now.frames[0], there));
    EXPECT_EQ(found[1].bytes_more, 5 * 64);
    EXPECT_EQ(found[1].count_more, 5);
    EXPECT_EQ(found[1].now.bytes, 6 * 64);
    EXPECT_EQ(found[1].now.count, 6);
    EXPECT_TRUE(is_of(found[1].now.frames[0], here));
    EXPECT_EQ(found[2].bytes_more, 0);
    EXPECT_EQ(found[2].now.count, 1);

    /* What is asked for goes by the same order, however much that is. */
    EXPECT_EQ(arn_trace_compare(older, newer, ARN_TRACE_BY_SITE, found, 1), 3);
    EXPECT_EQ(found[0].count_more, -3);
    EXPECT_EQ(arn_trace_compare(newer, older, ARN_TRACE_BY_TYPE, found, 4), 1);
    EXPECT_EQ(found[0].count_more, -2);
    EXPECT_EQ(found[0].bytes_more, 3 * 1008 - 5 * 64);
    arn_trace_release(older);
    arn_trace_release(newer);
    for (unsigned i = 0; i < 6; i++)
        arn_free(grown[i]);
    arn_free(kept);
    expect_sums(0, 0);
    arn_trace_stop();
}

TEST(tracing, comparing_shows_what_grew_and_what_went)
{
    IN_OWN_PROCESS(growth());
}

static size_t count_in(const arn_snapshot *snapshot, const struct arn_trace_filter *filters,
                       size_t count)
{
    struct arn_trace_statistic found[8];
    arn_snapshot *kept = arn_trace_filter(snapshot, filters, count);
    long groups = arn_trace_statistics(kept, ARN_TRACE_BY_TYPE, found, 8);
    size_t sum_of_counts = 0;
    for (long i = 0; i < groups; i++)
        sum_of_counts += found[i].count;
    arn_trace_release(kept);
    return sum_of_counts;
}

static void filtered(void)
{
    arn_type *type = nodes_begin(NULL);
    arn_decref(arn_new(type)); /* the domain */
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    void *blocks[] = {here(1), here(1), here(1), there(1), there(1)};
    void *object = arn_new(type), *frame, *frame_there;
    arn_trace_traceback(blocks[0], &frame, 1);
    arn_trace_traceback(blocks[4], &frame_there, 1);
    arn_snapshot *snapshot = arn_trace_snapshot();
    struct arn_trace_filter of_here = {.start = frame, .end = (char *)frame + 1};
    struct arn_trace_filter of_there = {.start = frame_there, .end = (char *)frame_there + 1};
    struct arn_trace_filter filters[2] = {of_here, of_there};
    EXPECT_EQ(count_in(snapshot, NULL, 0), 6);
    EXPECT_EQ(count_in(snapshot, filters, 1), 3);
    EXPECT_EQ(count_in(snapshot, filters, 2), 5);
    filters[1].exclude = true;
    EXPECT_EQ(count_in(snapshot, filters, 2), 3);
    EXPECT_EQ(count_in(snapshot, filters + 1, 1), 4);
    filters[0] = (struct arn_trace_filter){.type = type};
    EXPECT_EQ(count_in(snapshot, filters, 1), 1);
    filters[0].exclude = true;
    EXPECT_EQ(count_in(snapshot, filters, 1), 5);
    if (!SANITIZED && !EMULATED) {
        filters[0] = (struct arn_trace_filter){.module = "libc.so"};
        EXPECT_EQ(count_in(snapshot, filters, 1), 0);
        filters[0].all_frames = true; /* main was called from there */
        filters[1] = (struct arn_trace_filter){.module = "unit", .exclude = true};
        EXPECT_EQ(count_in(snapshot, filters + 1, 1), 0);
        EXPECT_EQ(count_in(snapshot, filters, 2), 0);
        filters[1].exclude = false;
        EXPECT_EQ(count_in(snapshot, filters + 1, 1), 6);
    }
    arn_trace_release(snapshot);
    for (unsigned i = 0; i < 5; i++)
        arn_free(blocks[i]);
    arn_decref(object);
    arn_trace_stop();
}

TEST(tracing, a_filter_keeps_what_it_says)
{
    IN_OWN_PROCESS(filtered());
}

static void printed(void)
{
    struct said said;
    arn_type *type = nodes_begin(NULL);
    arn_decref(arn_new(type));
    ASSERT_EQ(arn_trace_start(2, BOTH), 0);
    arn_snapshot *older = arn_trace_snapshot();
    void *block = here(100), *object = arn_new(type);
    arn_snapshot *newer = arn_trace_snapshot();
    said_begin(&said);
    EXPECT_EQ(arn_trace_print(newer, ARN_TRACE_BY_TYPE, 10, 2), 0);
    const char *text = said_end(&said);
    EXPECT_CONTAINS(text, "arenite: traced 144 bytes in 2 blocks and objects, 2 types\n");
    EXPECT_CONTAINS(text, "arenite: 112 bytes in 1 blocks\n");
    EXPECT_CONTAINS(text, "arenite: 32 bytes in 1 objects of type node\n");
    said_begin(&said);
    EXPECT_EQ(arn_trace_print_compare(older, newer, ARN_TRACE_BY_TRACEBACK, 1, 2), 0);
    text = said_end(&said);
    EXPECT_CONTAINS(text, "arenite: traced 144 bytes in 2 blocks and objects, +144 bytes, +2; "
                          "2 tracebacks\n");
    EXPECT_CONTAINS(text, "arenite: +112 bytes, +1: 112 bytes in 1 from ");
    EXPECT_CONTAINS(text, "arenite:   called from ");
    EXPECT_EQ(strstr(text, "32 bytes"), NULL); /* one was asked for */
    said_begin(&said);
    EXPECT_EQ(arn_trace_print_compare(newer, older, ARN_TRACE_BY_MODULE, 5, 2), 0);
    EXPECT_CONTAINS(said_end(&said), "arenite: -144 bytes, -2: 0 bytes in 0 from ");
    arn_trace_release(older);
    arn_trace_release(newer);
    arn_free(block);
    arn_decref(object);
    arn_trace_stop();
}

TEST(tracing, is_printed_a_group_a_line)
{
    IN_OWN_PROCESS(printed());
}
