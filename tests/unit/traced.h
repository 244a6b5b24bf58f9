/* traced.h - for the tests of tracing: what is traced, as sums and of one block; and sites to allocate from.
 *
 * Each in a process of its own, where nothing but the test takes blocks: sums are exact.
 */
#ifndef ARENITE_TRACED_H
#define ARENITE_TRACED_H

#include <arenite/trace.h>
#include <stddef.h>
#include <stdint.h>

#include "sanitized.h"
#include "shim.h"

enum { BOTH = ARN_TRACE_OBJECTS | ARN_TRACE_BLOCKS, FEW = 8 };

static inline size_t current(void)
{
    size_t bytes;
    arn_trace_get_traced(&bytes, NULL);
    return bytes;
}

static inline size_t peak(void)
{
    size_t bytes;
    arn_trace_get_traced(NULL, &bytes);
    return bytes;
}

static inline bool is_traced(const void *pointer)
{
    return arn_trace_traceback(pointer, NULL, 0) > 0;
}

/* Sums of what a snapshot says, grouped in any way. */
static inline struct arn_trace_statistic sum(enum arn_trace_by by)
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
static inline void expect_sums(size_t bytes, size_t count)
{
    EXPECT_EQ(current(), bytes);
    for (enum arn_trace_by by = ARN_TRACE_BY_SITE; by <= ARN_TRACE_BY_MODULE; by++) {
        EXPECT_EQ(sum(by).bytes, bytes);
        EXPECT_EQ(sum(by).count, count);
    }
}

static inline void expect_all_of_the_allocator(void)
{
    struct arn_stats stats;
    arn_stats(&stats);
    expect_sums(stats.used_bytes, stats.used_blocks);
}

/* Two call sites. Not inline, and nothing after the call that it could be left out for. */
__attribute__((noinline, unused)) static void *here(size_t bytes)
{
    void *block = arn_malloc(bytes);
    __asm__ volatile("" : "+r"(block));
    return block;
}

__attribute__((noinline, unused)) static void *there(size_t bytes)
{
    void *block = arn_malloc(bytes);
    __asm__ volatile("" : "+r"(block));
    return block;
}

/* A return address into this function: within its first bytes. */
static inline bool is_of(const void *frame, void *(*function)(size_t))
{
    enum { FUNCTION_BYTES = SANITIZED ? 400 : 100 };
    uintptr_t offset = (uintptr_t)frame - (uintptr_t)function;
    return offset > 0 && offset < FUNCTION_BYTES;
}

enum { WAYS = 12 };

/* Every way to a block. */
static inline void *take(unsigned way, size_t bytes)
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

/* So many calls deep. */
__attribute__((noinline, unused)) static void *deep(unsigned calls)
{
    void *block = calls == 0 ? arn_malloc(40) : deep(calls - 1);
    __asm__ volatile("" : "+r"(block));
    return block;
}

#endif
