/* tracing.c - what is traced, where from, and that nothing else is.
 *
 * Each in a process of its own, where nothing but the test takes blocks: sums are exact.
 */
#include <arenite/object.h>
#include <arenite/trace.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "nodes.h"
#include "os.h"
#include "pattern.h"
#include "said.h"
#include "sanitized.h"
#include "shim.h"

enum { BOTH = ARN_TRACE_OBJECTS | ARN_TRACE_BLOCKS, FEW = 8 };

static size_t current(void)
{
    size_t bytes;
    arn_trace_get_traced(&bytes, NULL);
    return bytes;
}

static size_t peak(void)
{
    size_t bytes;
    arn_trace_get_traced(NULL, &bytes);
    return bytes;
}

static bool is_traced(const void *pointer)
{
    return arn_trace_traceback(pointer, NULL, 0) > 0;
}

/* Sums of what a snapshot says, grouped in any way. */
static struct arn_trace_statistic sum(enum arn_trace_by by)
{
    static struct arn_trace_statistic found[20000];
    struct arn_trace_statistic all = {.bytes = 0};
    arn_snapshot *snapshot = arn_trace_snapshot();
    if (snapshot == NULL) {
        ADD_FAILURE("no snapshot");
        return all;
    }
    long count = arn_trace_statistics(snapshot, by, found, 20000);
    for (long i = 0; i < count; i++) {
        all.bytes += found[i].bytes;
        all.count += found[i].count;
    }
    arn_trace_release(snapshot);
    return all;
}

/* T2: in all ways it is the same, and what the totals say; and it is what the allocator says. */
static void expect_sums(size_t bytes, size_t count)
{
    EXPECT_EQ(current(), bytes);
    for (enum arn_trace_by by = ARN_TRACE_BY_SITE; by <= ARN_TRACE_BY_MODULE; by++) {
        EXPECT_EQ(sum(by).bytes, bytes);
        EXPECT_EQ(sum(by).count, count);
    }
}

static void expect_all_of_the_allocator(void)
{
    struct arn_stats stats;
    arn_stats(&stats);
    expect_sums(stats.used_bytes, stats.used_blocks);
}

/* Two call sites. Not inline, and nothing after the call that it could be left out for. */
__attribute__((noinline)) static void *here(size_t bytes)
{
    void *block = arn_malloc(bytes);
    __asm__ volatile("" : "+r"(block));
    return block;
}

__attribute__((noinline)) static void *there(size_t bytes)
{
    void *block = arn_malloc(bytes);
    __asm__ volatile("" : "+r"(block));
    return block;
}

/* A return address into this function: within its first bytes. */
static bool is_of(const void *frame, void *(*function)(size_t))
{
    enum { FUNCTION_BYTES = SANITIZED ? 400 : 100 };
    uintptr_t offset = (uintptr_t)frame - (uintptr_t)function;
    return offset > 0 && offset < FUNCTION_BYTES;
}

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

enum { WAYS = 12 };

/* Every way to a block. */
static void *take(unsigned way, size_t bytes)
{
    void *block = NULL;
    switch (way % WAYS) {
    case 0:
        return arn_malloc(bytes);
    case 1:
        return arn_calloc(1, bytes);
    case 2:
        return arn_realloc(NULL, bytes);
    case 3:
        return arn_reallocarray(NULL, 1, bytes);
    case 4:
        return arn_aligned_alloc(64, bytes);
    case 5:
        return arn_posix_memalign(&block, 256, bytes) == 0 ? block : NULL;
    case 6:
        return arn_memalign(32768, bytes);
    case 7:
        return arn_valloc(bytes);
    case 8:
        return arn_pvalloc(bytes);
    case 9:
        return arn_realloc(arn_malloc(24), bytes);
    case 10:
        return arn_realloc(arn_malloc(50000), bytes);
    default:
        return arn_realloc(arn_malloc((size_t)1 << 20), bytes);
    }
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

/* So many calls deep. */
__attribute__((noinline)) static void *deep(unsigned calls)
{
    void *block = calls == 0 ? arn_malloc(40) : deep(calls - 1);
    __asm__ volatile("" : "+r"(block));
    return block;
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

/* ---- objects ---- */

static size_t bytes_of_type(const arn_type *type, size_t *count)
{
    struct arn_trace_statistic found[20];
    arn_snapshot *snapshot = arn_trace_snapshot();
    long groups = arn_trace_statistics(snapshot, ARN_TRACE_BY_TYPE, found, 20);
    size_t bytes = 0;
    *count = 0;
    for (long i = 0; i < groups; i++) {
        if (found[i].type == type) {
            bytes = found[i].bytes;
            *count = found[i].count;
        }
    }
    arn_trace_release(snapshot);
    return bytes;
}

/* Objects alone are traced, and they are what the domain has. */
static void expect_all_of_the_domain(void)
{
    struct arn_domain_stats stats;
    arn_domain_stats(NULL, &stats);
    expect_sums(stats.object_bytes, stats.objects);
}

static void objects(void)
{
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_OBJECTS), 0);
    arn_type *type = nodes_begin(NULL); /* registered while it is on */
    arn_type *array = arn_type_register(
        &(struct arn_type_info){.name = "array", .bytes = sizeof(size_t), .shape = ARN_REFARRAY});
    arn_type *text = arn_type_register(
        &(struct arn_type_info){.name = "text", .shape = ARN_LEAF, .item_bytes = 1});
    void *nodes[300], *arrays[5], *texts[5];
    for (unsigned i = 0; i < 300; i++)
        nodes[i] = arn_new(type);
    for (unsigned i = 0; i < 5; i++) {
        arrays[i] = arn_new_array(array, (size_t)1 << (4 * i)); /* the last is large */
        texts[i] = arn_new_array(text, (size_t)100000 * i);
        EXPECT_TRUE(is_traced(arrays[i]));
    }
    expect_all_of_the_domain();
    size_t count;
    EXPECT_EQ(bytes_of_type(type, &count), 300 * 32);
    EXPECT_EQ(count, 300);
    EXPECT_GT(bytes_of_type(text, &count), 1000000);
    EXPECT_EQ(count, 5);
    EXPECT_EQ(bytes_of_type(NULL, &count), 0); /* no blocks */
    for (unsigned i = 0; i < 300; i++)
        arn_decref(nodes[i]);
    EXPECT_FALSE(is_traced(nodes[0]));
    EXPECT_EQ(bytes_of_type(type, &count), 0);
    expect_all_of_the_domain();
    for (unsigned i = 0; i < 5; i++) {
        arn_decref(arrays[i]);
        arn_decref(texts[i]);
    }
    expect_sums(0, 0);
    EXPECT_EQ(arn_trace_get_lost(), 0);
    arn_trace_stop();
}

TEST(tracing, objects_of_any_size_are_traced_by_type)
{
    IN_OWN_PROCESS(objects());
}

static void *saved;

static void resurrect(void *object)
{
    if (((struct node *)object)->number == 7) {
        arn_incref(object);
        saved = object;
    }
}

static void released(void)
{
    arn_type *type = nodes_begin(resurrect);
    arn_type *plain = node_type("plain", NULL);
    struct node *before = arn_new(plain); /* not traced, nor taken for it when it goes */
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_OBJECTS), 0);
    arn_decref(before);
    EXPECT_EQ(current(), 0);

    /* By the collector, and a chain by its first reference. */
    struct node *ring = node_ring(plain, 50);
    arn_decref(ring);
    EXPECT_EQ(current(), 50 * 32);
    EXPECT_EQ(arn_gc_collect(2), 50);
    EXPECT_EQ(current(), 0);
    struct node *chain = node_ring(plain, 1000);
    arn_clear(&chain->left->left->left);
    arn_decref(chain);
    EXPECT_EQ(current(), 0);

    /* What lives again stays, until it goes. */
    struct node *node = arn_new(type);
    node->number = 7;
    arn_decref(node);
    EXPECT_EQ(saved, node);
    EXPECT_TRUE(is_traced(node));
    EXPECT_EQ(current(), 32);
    arn_decref(node);
    EXPECT_FALSE(is_traced(node));
    expect_sums(0, 0);

    /* In a cycle, too. */
    ring = node_ring(type, 3);
    ring->number = 7;
    arn_decref(ring);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(current(), 3 * 32);
    arn_decref(ring);
    EXPECT_EQ(arn_gc_collect(2), 3);
    expect_sums(0, 0);

    /* With weak references; shared. */
    node = arn_new(plain);
    arn_weak *weak = arn_weak_new(node, NULL, NULL);
    arn_decref(node);
    EXPECT_EQ(arn_weak_get(weak), NULL);
    arn_weak_release(weak);
    node = arn_new(plain);
    arn_share(node);
    arn_decref(node);
    expect_sums(0, 0);

    /* Made while it was on, released when it was off, and on again. */
    node = arn_new(plain);
    arn_trace_stop();
    struct node *untraced = arn_new(plain);
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_OBJECTS), 0);
    EXPECT_FALSE(is_traced(node));
    EXPECT_FALSE(is_traced(untraced));
    arn_decref(node);
    arn_decref(untraced);
    expect_sums(0, 0);
    arn_trace_stop();
}

TEST(tracing, an_object_is_traced_until_it_is_gone_however_it_goes)
{
    IN_OWN_PROCESS(released());
}

static void domains(void)
{
    arn_type *type = nodes_begin(NULL);
    arn_type *text = arn_type_register(
        &(struct arn_type_info){.name = "text", .shape = ARN_LEAF, .item_bytes = 1});
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_OBJECTS), 0);
    arn_domain *domain = arn_domain_create();
    void *outside = arn_new(type), *last = NULL;
    arn_domain_bind(domain);
    for (unsigned i = 0; i < 500; i++) {
        last = arn_new(type);
        arn_new_array(text, (size_t)100 * i);
    }
    EXPECT_TRUE(is_traced(last));
    EXPECT_EQ(sum(ARN_TRACE_BY_SITE).count, 1001);
    arn_domain_bind(NULL);
    arn_domain_destroy(domain);
    EXPECT_FALSE(is_traced(last));
    EXPECT_TRUE(is_traced(outside));
    expect_all_of_the_domain();
    arn_decref(outside);
    expect_sums(0, 0);
    arn_trace_stop();
}

TEST(tracing, a_domain_that_ends_takes_its_traces_with_it)
{
    IN_OWN_PROCESS(domains());
}

/* ---- threads ---- */

static void *frees(void *blocks)
{
    for (void **block = blocks; *block != NULL; block++)
        arn_free(*block);
    return NULL;
}

static void freed_elsewhere(void)
{
    static void *blocks[1001];
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    for (unsigned i = 0; i < 1000; i++)
        blocks[i] = here(10 * i);
    EXPECT_EQ(sum(ARN_TRACE_BY_SITE).count, 1000);
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, NULL, frees, blocks), 0);
    pthread_join(thread, NULL);
    expect_sums(0, 0);
    arn_trace_stop();
}

TEST(tracing, a_block_may_be_freed_by_another_thread)
{
    IN_OWN_PROCESS(freed_elsewhere());
}

/* A thread with blocks in its lists that waits without a call of the library's while tracing starts. */
static _Atomic int turn;
static void *its_block, *its_other_block;
static arn_type *its_type;

static void wait_for(int wanted)
{
    while (atomic_load(&turn) != wanted)
        usleep(100);
}

static void *awaits(void *unused)
{
    void *first = here(64), *second = here(64);
    arn_decref(arn_new(its_type));
    arn_free(first);
    atomic_store(&turn, 1);
    wait_for(2); /* tracing is on */
    its_block = here(64);
    void *object = arn_new(its_type);
    EXPECT_TRUE(is_traced(object));
    arn_decref(object);
    arn_free(second);
    atomic_store(&turn, 3);
    wait_for(4); /* it is off */
    arn_free(its_block);
    its_other_block = here(64);
    atomic_store(&turn, 5);
    wait_for(6); /* on again */
    arn_free(its_other_block);
    its_block = here(64);
    atomic_store(&turn, 7);
    wait_for(8);
    return unused;
}

static void joins_at_once(void)
{
    pthread_t thread;
    its_type = nodes_begin(NULL);
    ASSERT_EQ(pthread_create(&thread, NULL, awaits, NULL), 0);
    wait_for(1);
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    atomic_store(&turn, 2);
    wait_for(3);
    EXPECT_TRUE(is_traced(its_block));
    expect_sums(64, 1);
    arn_trace_stop();
    atomic_store(&turn, 4);
    wait_for(5);
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    EXPECT_FALSE(is_traced(its_other_block));
    atomic_store(&turn, 6);
    wait_for(7);
    EXPECT_TRUE(is_traced(its_block));
    expect_sums(64, 1);
    arn_free(its_block);
    expect_sums(0, 0);
    atomic_store(&turn, 8);
    pthread_join(thread, NULL);
    arn_trace_stop();
}

TEST(tracing, takes_in_threads_that_are_there_when_it_starts)
{
    IN_OWN_PROCESS(joins_at_once());
}

static void joins_without_barrier(void)
{
    pthread_t thread;
    its_type = nodes_begin(NULL);
    ASSERT_EQ(pthread_create(&thread, NULL, awaits, NULL), 0);
    wait_for(1);
    arn__os_fail_at(2, 2); /* the first is the mapping of sites */
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    arn__os_fail_at(0, 0);
    atomic_store(&turn, 2);
    wait_for(3);
    void *block = here(64);
    EXPECT_TRUE(is_traced(block));
    arn_free(block);
    arn_trace_stop();
    atomic_store(&turn, 4);
    wait_for(5);
    ASSERT_EQ(arn_trace_start(FEW, BOTH), 0);
    atomic_store(&turn, 6);
    wait_for(7);
    EXPECT_TRUE(is_traced(its_block));
    arn_free(its_block);
    atomic_store(&turn, 8);
    pthread_join(thread, NULL);
    arn_trace_stop();
}

TEST(tracing, goes_without_the_barrier_where_it_is_refused)
{
    IN_OWN_PROCESS(joins_without_barrier());
}

/* What another thread was about to enter as tracing ended belongs to no later tracing: its block may be freed
 * with nobody looking. */
static void late(void)
{
    struct traceback traceback;
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    ASSERT_TRUE(arn__thread_take_traceback(&traceback));
    arn_trace_stop();
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    static char block[16];
    struct heap *heap = arn__thread_enter();
    arn__trace_put(block, sizeof block, NULL, &traceback);
    arn__thread_leave(heap);
    EXPECT_FALSE(is_traced(block));
    expect_sums(0, 0);
    arn_trace_stop();
}

TEST(tracing, what_was_begun_before_it_stopped_is_not_traced_after)
{
    IN_OWN_PROCESS(late());
}

/* ---- stress: blocks that wander between threads ---- */

enum { THREADS = 4, SHARED = 256 };

static void *_Atomic shared[SHARED];
static _Atomic bool stop;

/* Takes a block's place; frees what was there. Some are looked at on the way. */
static void step(uint64_t *random)
{
    static const size_t bytes_of[] = {16, 64, 200, 3000, 20000, 40000, 300000};
    unsigned i = pattern_random(random) % SHARED;
    size_t bytes = bytes_of[pattern_random(random) % 7];
    void *block = NULL;
    switch (pattern_random(random) % 8) {
    case 0:
        break;
    case 1:
        block = arn_realloc(atomic_exchange(&shared[i], NULL), bytes);
        break;
    default:
        block = take((unsigned)(pattern_random(random) % 9), bytes);
    }
    arn_free(atomic_exchange(&shared[i], block));
}

static void *steps(void *seed)
{
    uint64_t random = (uintptr_t)seed * 7919 + 1;
    for (unsigned i = 0; i < (SANITIZED ? 3000 : 30000); i++)
        step(&random);
    return NULL;
}

static void *steps_until_told(void *seed)
{
    uint64_t random = (uintptr_t)seed * 104729 + 1;
    while (!atomic_load(&stop))
        step(&random);
    return NULL;
}

static void free_shared(void)
{
    for (unsigned i = 0; i < SHARED; i++)
        arn_free(atomic_exchange(&shared[i], NULL));
}

static void start_threads(pthread_t *threads, void *(*function)(void *))
{
    for (uintptr_t i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, function, (void *)i), 0);
}

static void join_threads(pthread_t *threads)
{
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void wandering(void)
{
    pthread_t threads[THREADS];
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    for (unsigned round = 0; round < 3; round++) {
        start_threads(threads, steps);
        join_threads(threads);
        expect_all_of_the_allocator();
        EXPECT_LE(current(), peak());
    }
    for (unsigned i = 0; i < SHARED; i++)
        EXPECT_TRUE(shared[i] == NULL || is_traced(shared[i]));
    free_shared();
    expect_sums(0, 0);
    EXPECT_EQ(arn_trace_get_lost(), 0);
    arn_trace_stop();
}

TEST(tracing, threads_that_hand_blocks_around_are_traced_exactly)
{
    IN_OWN_PROCESS(wandering());
}

/* Whatever was under way: after all is freed, nothing is left of it in the table. */
static void under_load(void)
{
    pthread_t threads[THREADS];
    start_threads(threads, steps_until_told);
    for (unsigned round = 0; round < (SANITIZED ? 20 : 60); round++) {
        ASSERT_EQ(arn_trace_start(round % 10 + 1, ARN_TRACE_BLOCKS), 0);
        usleep(round % 7 * 1000);
        arn_trace_release(arn_trace_snapshot());
        if (round % 3 == 0)
            arn_trace_clear();
        arn_trace_traceback(shared[round], NULL, 0);
        if (round % 10 == 9) { /* ends with it on */
            atomic_store(&stop, true);
            join_threads(threads);
            free_shared();
            expect_sums(0, 0);
            atomic_store(&stop, false);
            start_threads(threads, steps_until_told);
        }
        arn_trace_stop();
        EXPECT_EQ(current(), 0);
        usleep(round % 5 * 1000);
    }
    atomic_store(&stop, true);
    join_threads(threads);
    free_shared();
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
    EXPECT_EQ(arn_trace_get_tracer_memory(), 0);
}

TEST(tracing, starts_and_stops_under_load)
{
    IN_OWN_PROCESS(under_load());
}

static void *is_born(void *unused)
{
    (void)unused;
    void *block = here(100);
    EXPECT_TRUE(is_traced(block));
    arn_free(here(5000));
    return block;
}

static void births(void)
{
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    for (unsigned i = 0; i < 200; i++) {
        pthread_t thread;
        void *block;
        ASSERT_EQ(pthread_create(&thread, NULL, is_born, NULL), 0);
        pthread_join(thread, &block);
        EXPECT_TRUE(is_traced(block));
        arn_free(block);
        if (i % 10 == 0) { /* seats of those that are gone are not touched */
            arn_trace_stop();
            ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
        }
    }
    expect_sums(0, 0);
    arn_trace_stop();
}

TEST(tracing, threads_come_and_go_meanwhile)
{
    IN_OWN_PROCESS(births());
}

/* ---- signals ---- */

static void interrupted(void)
{
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    void *pooled = here(100), *run = here(100000), *map = here((size_t)40 << 20);
    struct heap *heap = arn__thread_enter(); /* as if a signal handler ran now */
    ASSERT_NE(heap, NULL);
    void *in_handler = arn_malloc(33000);
    arn_free(pooled);
    arn_free(run);
    arn_free(map);
    arn__thread_leave(heap);
    EXPECT_EQ(arn_trace_get_lost(), 1);
    EXPECT_FALSE(is_traced(in_handler));
    arn_free(in_handler); /* the others are given back first */
    expect_sums(0, 0);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_bytes, 0);
    arn_trace_stop();
}

TEST(tracing, what_a_signal_handler_frees_is_gone_when_somebody_enters)
{
    IN_OWN_PROCESS(interrupted());
}

/* ---- fork ---- */

enum { KEPT = 300 };
static void *kept[KEPT];

/* In a child: nobody else is here. The parent's other threads may have left a block or two too much or too
 * few in the table, which is then no child's. */
static int child_is_traced(bool alone)
{
    void *first = here(64); /* before anything else has been asked of the library */
    if (!is_traced(first))
        return 9;
    arn_free(first);
    size_t before = current();
    if (sum(ARN_TRACE_BY_SITE).bytes != before || sum(ARN_TRACE_BY_TYPE).bytes != before)
        return 2;
    for (unsigned i = 0; i < KEPT; i++) {
        size_t bytes = arn_malloc_usable_size(kept[i]);
        if (!is_traced(kept[i]))
            return 3;
        before = current();
        arn_free(kept[i]);
        if (is_traced(kept[i]) || current() != before - bytes)
            return 4;
    }
    if (alone && current() != 0)
        return 5;
    void *block = here(64);
    if (!is_traced(block))
        return 6;
    arn_trace_stop();
    if (current() != 0 || arn_trace_start(3, ARN_TRACE_BLOCKS) != 0)
        return 7;
    arn_free(block);
    arn_free(here(64));
    if (current() != 0 || peak() != 64)
        return 8;
    return 0;
}

static void fork_and_look(unsigned children, bool alone)
{
    for (unsigned i = 0; i < children; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            _exit(child_is_traced(alone));
        }
        int status = -1;
        waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }
}

static void keep_some(void)
{
    for (unsigned i = 0; i < KEPT; i++)
        kept[i] = here(50 * i);
}

static void forks_alone(void)
{
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    keep_some();
    fork_and_look(2, true);
    frees((void *[]){kept[0], NULL});
    kept[0] = here(1);
    expect_all_of_the_allocator();
}

TEST(tracing, a_forked_child_keeps_the_traces)
{
    IN_OWN_PROCESS(forks_alone());
}

static void forks_busy(void)
{
    pthread_t threads[THREADS];
    ASSERT_EQ(arn_trace_start(FEW, ARN_TRACE_BLOCKS), 0);
    keep_some();
    start_threads(threads, steps_until_told);
    fork_and_look(60, false);
    /* Whatever the totals were at that moment. */
    atomic_fetch_add(&arn__trace_totals.current, 1000000);
    fork_and_look(1, false);
    atomic_fetch_sub(&arn__trace_totals.current, 1000000);
    atomic_store(&stop, true);
    join_threads(threads);
    expect_all_of_the_allocator();
}

TEST(tracing, a_forked_child_of_busy_threads_keeps_the_traces)
{
    if (EMULATED)
        SKIP("qemu's own locks do not survive it");
    if (SANITIZED)
        SKIP("sanitizers' own locks are not made for it");
    IN_OWN_PROCESS(forks_busy());
}

/* ---- no memory ---- */

enum { PLAYED = 3000 };

/* Status for _exit: 0; 1: wrong; 3: the calls to fail were not reached. */
static int play(long first, long last)
{
    static void *blocks[PLAYED];
    arn_type *type = nodes_begin(NULL);
    /* What is traced has room already. */
    for (unsigned i = 0; i < PLAYED; i++)
        blocks[i] = arn_malloc(i % 3 == 0 ? 5000 : 40);
    for (unsigned i = 0; i < PLAYED; i++)
        arn_free(blocks[i]);
    arn__os_fail_at(first, last);
    bool started = arn_trace_start(FEW, BOTH) == 0;
    if (!started && errno != ENOMEM)
        return 1;
    size_t traced = 0, taken = 0;
    for (unsigned i = 0; i < PLAYED; i++) {
        blocks[i] = i % 3 == 0 ? here(5000) : deep(i % 50);
        if (blocks[i] == NULL)
            return 1;
        taken++;
    }
    void *object = arn_new(type);
    arn_snapshot *snapshot = started ? arn_trace_snapshot() : NULL;
    bool reached = atomic_load(&arn__os_failure.calls) >= first;
    arn__os_fail_at(0, 0);
    arn_xdecref(object);
    for (unsigned i = 0; i < PLAYED; i++)
        traced += is_traced(blocks[i]);
    if (started && traced + arn_trace_get_lost() < taken)
        return 1;
    if (!started && (traced > 0 || current() > 0 || arn_trace_is_tracing() != 0))
        return 1;
    for (unsigned i = 0; i < PLAYED; i++)
        arn_free(blocks[i]);
    arn_trace_release(snapshot);
    arn_trace_stop();
    if (arn_trace_start(1, BOTH) != 0)
        return 1;
    arn_free(here(10));
    if (current() != 0 || peak() != 16 || arn_trace_get_lost() != 0)
        return 1;
    return reached ? 0 : 3;
}

static void each_call_fails(long more)
{
    long n = 1;
    for (int status = 0; status == 0; n++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(60);
            _exit(play(n, more < LONG_MAX ? n + more : more));
        }
        waitpid(child, &status, 0);
        TRACE("calls from %ld on, %ld more", n, more);
        EXPECT_TRUE(status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 3));
    }
    EXPECT_GT(n, 10);
}

static const long failures[] = {0, 3, LONG_MAX};

TEST_EACH(tracing, without_memory_for_it_the_program_has_its_blocks, long, more, failures)
{
    IN_OWN_PROCESS(each_call_fails(more));
}
