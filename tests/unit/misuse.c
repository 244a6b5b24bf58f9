/* misuse.c - every kind of misuse is told in one line that names function, pointer and reason. */
#include <arenite/arenite.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "descriptor.h"
#include "heap.h"
#include "options.h"
#include "pattern.h"
#include "pool.h"
#include "said.h"
#include "shim.h"
#include "size_class.h"
#include "thread.h"

#define WILD "wild pointer: no such address in user space"
#define FOREIGN "not allocated by arenite"
#define RELEASED "already freed: nothing is allocated here any more"
#define INSIDE "inside a large block, not its start"
#define NOT_START "not the start of a block"
#define TWICE "double free"
#define OTHER_SIZE "not of the size that it is said to have"
#define AFTER "already freed"

enum { KIB = 1024, MIB = 1024 * 1024 };

#define LINE_OF(function_, reason_) "^arenite: " function_ "\\(0x[0-9a-f]+\\): " reason_ "\n$"

/* Compilers warn of, and reason about, what is wrong on purpose here. */
static void *launder(void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static void *at(const void *block, ptrdiff_t offset)
{
    return launder((void *)((uintptr_t)block + (uintptr_t)offset));
}

/* ---- the default: one line, then abort ---- */

static int static_object;

TEST(misuse, a_stack_object_is_foreign)
{
    int object;
    EXPECT_DEATH(arn_free(launder(&object)), LINE_OF("arn_free", FOREIGN));
}

TEST(misuse, a_static_object_is_foreign)
{
    EXPECT_DEATH(arn_free(&static_object), LINE_OF("arn_free", FOREIGN));
}

TEST(misuse, a_block_of_another_malloc_is_foreign)
{
    EXPECT_DEATH(
        {
            arn_free(arn_malloc(1));
            arn_free(launder(malloc(100)));
        },
        LINE_OF("arn_free", FOREIGN));
}

TEST(misuse, a_mapping_of_somebody_else_is_foreign)
{
    EXPECT_DEATH(
        {
            arn_free(arn_malloc(1));
            arn_free(mmap(NULL, 1 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        },
        LINE_OF("arn_free", FOREIGN));
}

TEST(misuse, a_little_more_than_null_is_foreign)
{
    EXPECT_DEATH(arn_free(at(NULL, 8)), LINE_OF("arn_free", FOREIGN));
    EXPECT_DEATH(arn_free(at(NULL, 16)), LINE_OF("arn_free", FOREIGN));
}

TEST(misuse, a_non_canonical_address_is_wild)
{
    EXPECT_DEATH(arn_free((void *)0xdeadbeefdeadbeef), LINE_OF("arn_free", WILD));
    EXPECT_DEATH(arn_free((void *)UINTPTR_MAX), LINE_OF("arn_free", WILD));
}

TEST(misuse, a_block_with_high_bits_set_is_wild)
{
    EXPECT_DEATH(arn_free(at(arn_malloc(100), (ptrdiff_t)1 << ARN__ADDRESS_BITS)),
                 LINE_OF("arn_free", WILD));
    EXPECT_DEATH(arn_free(at(arn_malloc(100000), PTRDIFF_MIN)), LINE_OF("arn_free", WILD));
}

TEST(misuse, a_double_free_is_told)
{
    EXPECT_DEATH(
        {
            void *block = arn_malloc(100);
            arn_free(block);
            arn_free(launder(block));
        },
        LINE_OF("arn_free", TWICE));
}

TEST(misuse, the_function_that_was_called_is_named)
{
    void *block = arn_malloc(100);
    EXPECT_DEATH(arn_free_sized(at(block, 8), 100), LINE_OF("arn_free_sized", NOT_START));
    EXPECT_DEATH(arn_free_aligned_sized(at(block, 8), 16, 100),
                 LINE_OF("arn_free_aligned_sized", NOT_START));
    EXPECT_DEATH(arn_realloc(at(block, 8), 100), LINE_OF("arn_realloc", NOT_START));
    EXPECT_DEATH(arn_realloc(at(block, 8), 0), LINE_OF("arn_realloc", NOT_START));
    EXPECT_DEATH(arn_reallocarray(at(block, 8), 1, 100), LINE_OF("arn_reallocarray", NOT_START));
    EXPECT_DEATH(arn_malloc_usable_size(at(block, 8)),
                 LINE_OF("arn_malloc_usable_size", NOT_START));
    arn_free(block);
}

/* ---- misuse=ignore: the same lines, and the heap goes on; so all in one process ---- */

TEST(misuse, a_size_that_cannot_be_right_is_told)
{
    static const size_t sizes[] = {24, 100, 1000, 5000, 20000, 40000, 3 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t bytes = sizes[i];
        void *block = arn_malloc(bytes), *aligned = arn_aligned_alloc(64, bytes);
        TRACE("%zu bytes", bytes);
        EXPECT_DEATH(arn_free_sized(block, 2 * bytes), LINE_OF("arn_free_sized", OTHER_SIZE));
        EXPECT_DEATH(arn_free_sized(block, SIZE_MAX / 2), LINE_OF("arn_free_sized", OTHER_SIZE));
        if (bytes > 64 && bytes <= POOLED_BYTES)
            EXPECT_DEATH(arn_free_sized(block, bytes / 3), LINE_OF("arn_free_sized", OTHER_SIZE));
        EXPECT_DEATH(arn_free_aligned_sized(aligned, 64, 2 * bytes + 64),
                     LINE_OF("arn_free_aligned_sized", OTHER_SIZE));
        arn_free_sized(block, bytes);
        arn_free_aligned_sized(aligned, 64, bytes);
    }
    arn_free_sized(NULL, 100);
}

TEST(misuse, a_size_that_realloc_left_is_right)
{
    for (size_t bytes = 1; bytes <= POOLED_BYTES; bytes += bytes / 3 + 1) {
        void *block = arn_realloc(arn_malloc(bytes), bytes * 3 / 4 + 1);
        arn_free_sized(block, bytes * 3 / 4 + 1);
    }
}

/* Frees the pointer; true if exactly the one line was said. */
static bool free_says(void *pointer, const char *reason)
{
    struct said said;
    char expected[200];
    errno = 4711;
    said_begin(&said);
    arn_free(launder(pointer));
    bool kept_errno = errno == 4711;
    const char *text = said_end(&said);
    if (reason == NULL)
        expected[0] = '\0';
    else
        snprintf(expected, sizeof expected, "arenite: arn_free(0x%zx): %s\n", (size_t)pointer,
                 reason);
    if (strcmp(text, expected) == 0 && kept_errno)
        return true;
    ADD_FAILURE("said \"%s\"\ninstead of \"%s\"; errno %s", text, expected,
                kept_errno ? "kept" : "changed");
    return false;
}

/* One of the two reasons will do. */
static bool free_says_either(void *pointer, const char *reason, const char *other)
{
    struct said said;
    said_begin(&said);
    arn_free(launder(pointer));
    const char *text = said_end(&said);
    char expected[2][200];
    snprintf(expected[0], sizeof expected[0], "arenite: arn_free(0x%zx): %s\n", (size_t)pointer,
             reason);
    snprintf(expected[1], sizeof expected[1], "arenite: arn_free(0x%zx): %s\n", (size_t)pointer,
             other);
    if (strcmp(text, expected[0]) == 0 || strcmp(text, expected[1]) == 0)
        return true;
    ADD_FAILURE("said \"%s\"\ninstead of \"%s\" or \"%s\"", text, expected[0], expected[1]);
    return false;
}

static void ignoring(void)
{
    arn__options.misuse = MISUSE_IGNORE;
}

static size_t used_bytes(void)
{
    struct arn_stats stats;
    arn_stats(&stats);
    return stats.used_bytes;
}

static void every_offset_in_a_pool(void)
{
    ignoring();
    static const size_t sizes[] = {16, 48, 1024, 1152, 5000, 32768};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = arn_malloc(sizes[i]), *next = arn_malloc(sizes[i]);
        size_t bytes = arn_malloc_usable_size(block);
        pattern_fill(block, bytes, i);
        for (size_t offset = 1; offset < bytes; offset += offset < 600 ? 1 : 233) {
            if (!free_says(block + offset, NOT_START))
                return;
        }
        EXPECT_TRUE(pattern_holds(block, bytes, bytes, i));
        arn_free(block);
        arn_free(next);
    }
}

TEST(misuse, every_offset_in_a_pooled_block_is_not_its_start)
{
    IN_OWN_PROCESS(every_offset_in_a_pool());
}

static void uncarved(void)
{
    ignoring();
    char *block = arn_malloc(16);
    /* The rest of the slice, where no block has been made yet. */
    for (size_t offset = 8192; offset < SLICE_BYTES; offset += 16)
        if (!free_says((char *)((uintptr_t)block & ~(uintptr_t)(SLICE_BYTES - 1)) + offset,
                       NOT_START))
            return;
    arn_free(block);
}

TEST(misuse, the_part_of_a_pool_that_was_never_handed_out_holds_no_block)
{
    IN_OWN_PROCESS(uncarved());
}

static void inside_large_blocks(void)
{
    ignoring();
    static const size_t sizes[] = {40000, 200000, 262144, 300000, 3 * MIB, 20 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = arn_malloc(sizes[i]);
        TRACE("%zu bytes", sizes[i]);
        for (size_t offset = 1; offset < sizes[i]; offset += offset < 64 ? 1 : 3001) {
            if (!free_says_either(block + offset, INSIDE, NOT_START))
                return;
            size_t down = offset / SLICE_BYTES * SLICE_BYTES;
            if (down > 0 && !free_says(block + down, INSIDE))
                return;
        }
        arn_free(block);
    }
    EXPECT_EQ(used_bytes(), 0);
}

TEST(misuse, every_offset_in_a_run_or_span_is_inside_a_large_block)
{
    IN_OWN_PROCESS(inside_large_blocks());
}

static void inside_maps(void)
{
    ignoring();
    char *block = arn_malloc(40 * MIB);
    for (size_t offset = 1; offset < SLICE_BYTES; offset += 61)
        if (!free_says_either(block + offset, INSIDE, NOT_START))
            return;
    /* Farther in there is no descriptor; that it is no block is known all the same. */
    for (size_t offset = SLICE_BYTES; offset < 40 * MIB; offset += 100001)
        if (!free_says_either(block + offset, INSIDE, FOREIGN))
            return;
    EXPECT_EQ(arn_malloc_usable_size(block), 40 * MIB);
    arn_free(block);
    EXPECT_EQ(used_bytes(), 0);
}

TEST(misuse, no_offset_in_a_map_is_a_block)
{
    IN_OWN_PROCESS(inside_maps());
}

static void twice_in_the_local_list(void)
{
    ignoring();
    for (unsigned c = 0; c < CLASSES; c++) {
        size_t bytes = arn__size_classes[c].block_bytes;
        void *blocks[6];
        for (size_t i = 0; i < 6; i++)
            blocks[i] = arn_malloc(bytes);
        for (size_t i = 0; i < 4; i++)
            arn_free(blocks[i]);
        for (size_t i = 0; i < 4; i++)
            free_says(blocks[i], TWICE);
        /* Each is handed out once. */
        void *again[20];
        for (size_t i = 0; i < 20; i++) {
            again[i] = arn_malloc(bytes);
            for (size_t j = 0; j < i; j++)
                ASSERT_NE(again[i], again[j]);
        }
        for (size_t i = 0; i < 20; i++)
            arn_free(again[i]);
        arn_free(blocks[4]);
        arn_free(blocks[5]);
    }
    EXPECT_EQ(used_bytes(), 0);
}

TEST(misuse, a_block_in_the_pools_local_list_is_freed_twice)
{
    IN_OWN_PROCESS(twice_in_the_local_list());
}

static void in_the_heap_list(void)
{
    ignoring();
    char *block = arn_malloc(64);
    struct block *free_one = arn__thread.heap->lists[arn__class_of(64)].free.first;
    ASSERT_NE(free_one, arn__link_end());
    free_says(free_one, TWICE);
    arn_free(block);
    EXPECT_EQ(used_bytes(), 0);
}

TEST(misuse, a_block_that_waits_in_the_heaps_list_is_free)
{
    IN_OWN_PROCESS(in_the_heap_list());
}

static void *freed_elsewhere(void *block)
{
    arn_free(block);
    return NULL;
}

static void run_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, NULL, body, argument), 0);
    pthread_join(thread, NULL);
}

static void *says_twice(void *block)
{
    free_says(block, TWICE);
    return NULL;
}

static void from_another_thread(void)
{
    ignoring();
    void *kept = arn_malloc(100), *block = arn_malloc(100), *other = arn_malloc(100);
    arn_free(block);
    run_thread(says_twice, block);
    run_thread(freed_elsewhere, other);
    free_says(other, TWICE);
    arn_free(kept);
    EXPECT_EQ(used_bytes(), 0);
}

TEST(misuse, a_double_free_across_threads_is_told)
{
    IN_OWN_PROCESS(from_another_thread());
}

static void *twice_elsewhere(void *argument)
{
    void **blocks = argument;
    arn_free(blocks[0]);
    free_says(blocks[0], TWICE); /* it is on its pool's remote word */
    arn_free(blocks[1]);
    free_says(blocks[0], TWICE);
    free_says(blocks[1], TWICE);
    return NULL;
}

static void on_the_remote_word(void)
{
    ignoring();
    void *blocks[] = {arn_malloc(100), arn_malloc(100), arn_malloc(100)};
    run_thread(twice_elsewhere, blocks);
    arn_free(blocks[2]);
    EXPECT_EQ(used_bytes(), 0);
}

TEST(misuse, a_block_that_its_owner_has_not_taken_back_is_freed_twice)
{
    IN_OWN_PROCESS(on_the_remote_word());
}

static void large_twice(void)
{
    ignoring();
    static const size_t sizes[] = {40000, 262144, 262145, 5 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *kept = arn_malloc(sizes[i]), *block = arn_malloc(sizes[i]);
        TRACE("%zu bytes", sizes[i]);
        arn_free(block);
        free_says(block, RELEASED);
        free_says(block + SLICE_BYTES, RELEASED);
        arn_free(kept);
    }
    char *map = arn_malloc(40 * MIB);
    arn_free(map);
    free_says_either(map, FOREIGN, RELEASED);
    EXPECT_EQ(used_bytes(), 0);
}

TEST(misuse, a_large_block_of_each_kind_is_not_freed_twice)
{
    IN_OWN_PROCESS(large_twice());
}

static void in_a_released_pool(void)
{
    ignoring();
    for (unsigned c = 0; c < CLASSES; c++) {
        char *block = arn_malloc(arn__size_classes[c].block_bytes);
        arn_free(block);
        arn_malloc_trim(0);
        TRACE("class of %u bytes", arn__size_classes[c].block_bytes);
        free_says(block, RELEASED);
        free_says(block + 8, RELEASED);
    }
    EXPECT_EQ(used_bytes(), 0);
}

TEST(misuse, a_block_of_a_released_pool_is_already_freed)
{
    IN_OWN_PROCESS(in_a_released_pool());
}

static void other_functions(void)
{
    ignoring();
    char *kept = arn_malloc(100), *block = arn_malloc(100);
    arn_free(block);
    char expected[200];
    struct said said;
    said_begin(&said);
    errno = 0;
    EXPECT_EQ(arn_realloc(launder(block), 200), NULL);
    EXPECT_EQ(errno, EINVAL);
    snprintf(expected, sizeof expected, "arenite: arn_realloc(0x%zx): " AFTER "\n", (size_t)block);
    EXPECT_STREQ(said_end(&said), expected);

    said_begin(&said);
    EXPECT_EQ(arn_realloc(launder(block), 0), NULL);
    EXPECT_STREQ(said_end(&said), expected);

    said_begin(&said);
    EXPECT_EQ(arn_malloc_usable_size(launder(block)), 0);
    snprintf(expected, sizeof expected, "arenite: arn_malloc_usable_size(0x%zx): " AFTER "\n",
             (size_t)block);
    EXPECT_STREQ(said_end(&said), expected);

    said_begin(&said);
    EXPECT_EQ(arn_malloc_usable_size(&static_object), 0);
    snprintf(expected, sizeof expected, "arenite: arn_malloc_usable_size(0x%zx): " FOREIGN "\n",
             (size_t)&static_object);
    EXPECT_STREQ(said_end(&said), expected);
    arn_free(kept);
    EXPECT_EQ(used_bytes(), 0);
}

TEST(misuse, realloc_and_usable_size_of_a_freed_block_are_told)
{
    IN_OWN_PROCESS(other_functions());
}

/* Every wrong pointer near every kind of block, then everything still works. */
static void goes_on(void)
{
    ignoring();
    enum { COUNT = 400 };
    static char *blocks[COUNT];
    static size_t bytes[COUNT];
    uint64_t random = 7;
    struct said said;
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            bytes[i] = (size_t)1 << pattern_random(&random) % 20;
            blocks[i] = arn_malloc(bytes[i]);
            ASSERT_NE(blocks[i], NULL);
            bytes[i] = arn_malloc_usable_size(blocks[i]);
            pattern_fill(blocks[i], bytes[i], i);
        }
        said_begin(&said);
        for (size_t i = 0; i < COUNT; i++) {
            arn_free(at(blocks[i], 1 + (ptrdiff_t)(pattern_random(&random) % (bytes[i] - 1))));
            arn_free(at(blocks[i], (ptrdiff_t)((uintptr_t)1 << (48 + i % 15))));
            arn_free(at(NULL, (ptrdiff_t)pattern_random(&random) | 1));
        }
        for (size_t i = 0; i < COUNT; i += 2) {
            arn_free(blocks[i]);
            arn_free(launder(blocks[i]));
        }
        said_end(&said);
        for (size_t i = 1; i < COUNT; i += 2) {
            EXPECT_TRUE(pattern_holds(blocks[i], bytes[i], bytes[i], i));
            arn_free(blocks[i]);
        }
    }
    EXPECT_EQ(used_bytes(), 0);
    arn_malloc_trim(0);
    for (unsigned c = 0; c < CLASSES; c++)
        EXPECT_EQ(arn__thread.heap->current[c], NULL);
}

TEST(misuse, when_ignored_the_heap_goes_on_intact)
{
    IN_OWN_PROCESS(goes_on());
}

static void from_a_thread_without_a_heap(void)
{
    ignoring();
    free_says(&static_object, FOREIGN);
    free_says((void *)0xdeadbeefdeadbeef, WILD);
    void *block = arn_malloc(10);
    EXPECT_NE(block, NULL);
    arn_free(block);
}

TEST(misuse, is_told_before_the_first_allocation)
{
    IN_OWN_PROCESS(from_a_thread_without_a_heap());
}
