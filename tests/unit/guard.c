/* guard.c - what the allocator trusts lies apart from what programs write, at places of chance. */
#include "guard.h"

#include <arenite/arenite.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "descriptor.h"
#include "meta.h"
#include "os.h"
#include "pattern.h"
#include "region.h"
#include "sanitized.h"
#include "shim.h"
#include "thread.h"

static bool is_readable(const char *page)
{
    return arn__os_readable(page);
}

static void expect_guarded(const char *base, size_t bytes)
{
    size_t page_bytes = arn__os_page_bytes();
    EXPECT_FALSE(is_readable(base - page_bytes));
    EXPECT_FALSE(is_readable(base + bytes));
}

static void reserves(void)
{
    static const size_t alignments[] = {4096, 65536, 1 << 18, 1 << 21, 1 << 25};
    size_t page_bytes = arn__os_page_bytes();
    for (unsigned i = 0; i < 40; i++) {
        size_t alignment = alignments[i % 5], bytes = (i % 7 + 1) * 3 * page_bytes;
        alignment = alignment < page_bytes ? page_bytes : alignment;
        char *base = arn__guard_reserve(bytes, alignment);
        ASSERT_NE(base, NULL);
        EXPECT_EQ((uintptr_t)base % alignment, 0);
        ASSERT_TRUE(arn__os_open(base, bytes));
        EXPECT_TRUE(pattern_zero(base, bytes));
        memset(base, 1, bytes);
        expect_guarded(base, bytes);
        if (i % 2 == 0)
            EXPECT_TRUE(arn__guard_give(base, bytes));
    }
}

TEST(guard, a_range_has_a_page_without_access_on_each_side)
{
    if (EMULATED)
        SKIP("it knows not what can be read");
    IN_OWN_PROCESS(reserves());
}

/* The kernel offers less than was asked for, and at any place. */
static void is_cut(void)
{
    size_t page_bytes = arn__os_page_bytes(), alignment = 1 << 18, bytes = 5 * page_bytes;
    for (unsigned i = 0; i < 64; i++) {
        size_t room = arn__guard_room(bytes, alignment);
        char *start = arn__os_reserve(room + i * page_bytes, alignment);
        arn__os_unmap(start, i * page_bytes);
        char *base = arn__guard_cut(start + i * page_bytes, bytes, alignment);
        EXPECT_EQ((uintptr_t)base % alignment, 0);
        EXPECT_GE(base - page_bytes, start + i * page_bytes);
        EXPECT_LE(base + bytes + page_bytes, start + i * page_bytes + room);
        ASSERT_TRUE(arn__os_open(base - page_bytes, bytes + 2 * page_bytes)); /* all is there */
        EXPECT_TRUE(arn__guard_give(base, bytes));
    }
}

TEST(guard, a_range_is_cut_out_of_what_the_kernel_offers)
{
    IN_OWN_PROCESS(is_cut());
}

static void without_memory(void)
{
    for (long first = 1; first < 4; first++) {
        arn__os_fail_at(first, LONG_MAX);
        char *map = arn__guard_map(10000);
        arn__os_fail_at(0, 0);
        EXPECT_EQ(map == NULL, first <= 2);
    }
    EXPECT_NE(arn__guard_map(10000), NULL);
}

TEST(guard, without_memory_there_is_none)
{
    IN_OWN_PROCESS(without_memory());
}

/* ---- where everything lies ---- */

static void *make_heap(void *heap)
{
    arn_free(arn_malloc(10));
    *(struct heap **)heap = arn__thread.own;
    return NULL;
}

/* The writable memory around an address. */
struct reach {
    uintptr_t start, end;
};

static struct reach reach_of(const void *pointer)
{
    char line[512], access[5];
    struct reach reach = {0, 0};
    unsigned long start, end;
    FILE *file = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, file) != NULL &&
           sscanf(line, "%lx-%lx %4s", &start, &end, access) == 3) {
        if (access[1] != 'w' || start != reach.end) {
            if ((uintptr_t)pointer < reach.end)
                break;
            reach = (struct reach){start, start};
        }
        reach.end = access[1] == 'w' ? end : start;
    }
    fclose(file);
    return reach;
}

static bool can_reach(const void *from, const void *to)
{
    struct reach reach = reach_of(from);
    EXPECT_TRUE(reach.start <= (uintptr_t)from && (uintptr_t)from < reach.end);
    return reach.start <= (uintptr_t)to && (uintptr_t)to < reach.end;
}

static void apart(void)
{
    enum { BLOCKS = 60 };
    static const size_t sizes[] = {24, 5000, 50000, 300000, 3 << 20, 40 << 20};
    char *blocks[BLOCKS];
    struct heap *heap;
    pthread_t thread;
    arn_free(arn_malloc(10)); /* the first heap is this thread's */
    ASSERT_EQ(pthread_create(&thread, NULL, make_heap, &heap), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = arn_malloc(sizes[i % 6]);
        ASSERT_NE(blocks[i], NULL);
        memset(blocks[i], 1, 24);
    }
    ASSERT_EQ(pthread_join(thread, NULL), 0);
    const void *const others[] = {heap,
                                  arn__thread.own,
                                  arn__meta_alloc(100),
                                  arn__regions,
                                  arn__regions->next,
                                  &arn__directory,
                                  (const void *)arn__child_state};
    for (unsigned i = 0; i < BLOCKS; i++) {
        for (unsigned k = 0; k < sizeof others / sizeof *others; k++)
            EXPECT_FALSE(can_reach(blocks[i], others[k]));
        for (unsigned k = 0; k < BLOCKS; k += 7) {
            EXPECT_FALSE(can_reach(blocks[i], arn__descriptor(blocks[k])));
            EXPECT_FALSE(can_reach(blocks[i], arn__remote(blocks[k])));
            EXPECT_FALSE(can_reach(blocks[i], arn__arena(blocks[k])));
        }
    }
    for (const struct region *region = arn__regions; region != NULL; region = region->next)
        expect_guarded(region->base, (size_t)region->arenas * ARENA_BYTES);
    /* The first table and heap are variables of the library's. */
    const void *const apart[] = {others[0], others[2], others[4],
                                 arn__descriptor(arn__regions->next->base)};
    for (unsigned i = 0; i < sizeof apart / sizeof *apart; i++) {
        struct reach reach = reach_of(apart[i]);
        expect_guarded((char *)reach.start, reach.end - reach.start);
    }
}

TEST(guard, nothing_that_is_trusted_is_within_reach_of_a_block)
{
    if (SANITIZED || EMULATED)
        SKIP("others lay out memory, or tell of it");
    IN_OWN_PROCESS(apart());
}
