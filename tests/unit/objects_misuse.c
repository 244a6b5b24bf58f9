/* objects_misuse.c - what is wrong with objects is told in one line, with the type's name where there is
 * one; and where misuse is to be ignored, the rest goes on.
 */
#include <arenite/object.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nodes.h"
#include "options.h"
#include "said.h"
#include "sanitized.h"
#include "shim.h"

#define LINE_OF(function_, reason_) "^arenite: " function_ "\\(0x[0-9a-f]+\\): " reason_ "\n$"
#define GONE "released already"
#define NONE "not an object"
#define TO_RELEASE "to be released by arn_decref"
#define OVERCOUNTED "referred to more often than counted"
#define NO_REFERENT "an object refers to this, which is none"
#define OF_TYPE(name_) ": an object of type " name_

/* Compilers reason about what is wrong on purpose here. */
static void *launder(const void *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return (void *)(uintptr_t)pointer;
}

static void *at(const void *object, ptrdiff_t offset)
{
    return launder((const void *)((uintptr_t)object + (uintptr_t)offset));
}

static arn_type *text_type(void)
{
    return arn_type_register(
        &(struct arn_type_info){.name = "text", .shape = ARN_LEAF, .item_bytes = 1});
}

/* An address in a block, with room before it that says what a header would. */
static void *foreign(int32_t count, uint32_t kind)
{
    struct arn__header *header = arn_malloc(100);
    header[1] = (struct arn__header){count, kind};
    return launder(header + 2);
}

/* ---- the default: one line, then abort ---- */

TEST(objects_misuse, a_count_that_falls_below_nothing_is_told)
{
    EXPECT_DEATH(
        {
            void *a = arn_new(nodes_begin(NULL));
            void *other = arn_new(arn_typeof(a));
            arn_decref(a);
            arn_decref(launder(a));
            arn_decref(other);
        },
        LINE_OF("arn_decref", GONE OF_TYPE("node")));
}

static void release_again(void *object)
{
    struct node *node = object;
    arn_decref(node);
    arn_decref(node);
}

TEST(objects_misuse, a_double_release_in_a_finalizer_is_told)
{
    EXPECT_DEATH(
        {
            arn_type *type = nodes_begin(release_again);
            arn_decref(arn_new(type));
        },
        LINE_OF("arn_decref", GONE OF_TYPE("node")));
}

TEST(objects_misuse, a_double_release_of_a_shared_object_is_told)
{
    EXPECT_DEATH(
        {
            void *a = arn_new(nodes_begin(NULL));
            arn_new(arn_typeof(a));
            arn_share(a);
            arn_decref(a);
            arn_decref(launder(a));
        },
        LINE_OF("arn_decref", GONE OF_TYPE("node")));
}

static const size_t lengths[] = {10, 2000, 30000, 33000, 300000, 5000000};

TEST_EACH(objects_misuse, an_object_of_any_size_is_no_block, size_t, length, lengths)
{
    EXPECT_DEATH(arn_free(launder(arn_new_array(text_type(), length))),
                 LINE_OF("arn_free", TO_RELEASE OF_TYPE("text")));
    EXPECT_DEATH(arn_realloc(launder(arn_new_array(text_type(), length)), 100),
                 LINE_OF("arn_realloc", TO_RELEASE OF_TYPE("text")));
    EXPECT_DEATH(arn_realloc(launder(arn_new_array(text_type(), length)), 0),
                 LINE_OF("arn_realloc", TO_RELEASE OF_TYPE("text")));
    EXPECT_DEATH(arn_free_sized(launder(arn_new_array(text_type(), length)), length),
                 LINE_OF("arn_free_sized", TO_RELEASE OF_TYPE("text")));
    EXPECT_DEATH(arn_malloc_usable_size(launder(arn_new_array(text_type(), length))),
                 LINE_OF("arn_malloc_usable_size", TO_RELEASE OF_TYPE("text")));
}

/* The block that a large object lies in begins a header before it. */
TEST_EACH(objects_misuse, the_block_around_an_object_is_none, size_t, length, lengths)
{
    EXPECT_DEATH(arn_free(at(arn_new_array(text_type(), length), -8)),
                 LINE_OF("arn_free", TO_RELEASE OF_TYPE("text")));
}

/* What headers of objects that a full pass has looked at are like. */
#define CALM 0xbfffffffu

TEST(objects_misuse, a_block_is_no_object)
{
    EXPECT_DEATH(arn_decref(foreign(1, 1)), LINE_OF("arn_decref", NONE));
    EXPECT_DEATH(arn_decref(foreign(0, 0)), LINE_OF("arn_decref", NONE));
    EXPECT_DEATH(arn_decref(foreign(-1, 0)), LINE_OF("arn_decref", NONE));
    EXPECT_DEATH(arn_decref(foreign(-5, CALM)), LINE_OF("arn_decref", NONE));
    EXPECT_DEATH(arn_decref(foreign(1, UINT32_MAX)), LINE_OF("arn_decref", NONE));
    EXPECT_DEATH(arn_incref(foreign(0, 0)), LINE_OF("arn_incref", NONE));
    EXPECT_DEATH(arn_incref(foreign(-7, 0)), LINE_OF("arn_incref", NONE));
    EXPECT_DEATH(arn_share(foreign(1, 1)), LINE_OF("arn_share", NONE));
    EXPECT_DEATH(arn_immortalize(foreign(1, 1)), LINE_OF("arn_immortalize", NONE));
    EXPECT_DEATH(arn_track(foreign(1, 1)), LINE_OF("arn_track", NONE));
    EXPECT_DEATH(arn_untrack(foreign(1, 1)), LINE_OF("arn_untrack", NONE));
    EXPECT_DEATH(arn_weak_new(foreign(1, 1), NULL, NULL), LINE_OF("arn_weak_new", NONE));
    EXPECT_DEATH(arn_get_referents(foreign(1, 1), NULL, 0), LINE_OF("arn_get_referents", NONE));
    EXPECT_DEATH(
        {
            void *reference = NULL;
            arn_move(&reference, foreign(-1, CALM));
        },
        LINE_OF("arn_move", NONE));
}

TEST(objects_misuse, nor_is_the_stack_or_a_static_variable)
{
    static struct arn__header in_bss[2];
    EXPECT_DEATH(
        {
            struct arn__header header[2];
            memset(header, 0, sizeof header);
            arn_decref(launder(header + 1));
        },
        LINE_OF("arn_decref", NONE));
    EXPECT_DEATH(arn_decref(launder(in_bss + 1)), LINE_OF("arn_decref", NONE));
}

TEST(objects_misuse, nor_is_the_inside_of_an_object)
{
    EXPECT_DEATH(
        {
            struct node *a = arn_new(nodes_begin(NULL));
            arn_new(arn_typeof(a));
            arn_decref(launder(&a->right));
        },
        LINE_OF("arn_decref", NONE));
}

/* A slice's multiple on, it looks like the start of one. */
TEST_EACH(objects_misuse, nor_is_the_inside_of_a_large_one, size_t, length, lengths)
{
    if (length <= 32768)
        return;
    EXPECT_DEATH(arn_decref(at(arn_new_array(text_type(), length), 16384)),
                 LINE_OF("arn_decref", NONE));
}

TEST(objects_misuse, a_reference_that_was_not_counted_is_told_by_the_collector)
{
    EXPECT_DEATH(
        {
            arn_type *type = nodes_begin(NULL);
            struct node *a = node_ring(type, 2);
            a->left->right = a; /* not counted */
            a->right = a;
            arn_gc_collect(2);
        },
        LINE_OF("arn_gc_collect", OVERCOUNTED OF_TYPE("node")));
}

TEST(objects_misuse, a_field_that_holds_no_object_is_told_by_the_collector)
{
    EXPECT_DEATH(
        {
            struct node *a = node_ring(nodes_begin(NULL), 2);
            a->right = foreign(1, 0);
            arn_gc_collect(2);
        },
        LINE_OF("arn_gc_collect", NO_REFERENT));
    EXPECT_DEATH(
        {
            struct node *a = node_ring(nodes_begin(NULL), 2);
            a->right = foreign(1, 0);
            arn_gc_collect(0);
        },
        LINE_OF("arn_gc_collect", NO_REFERENT));
    EXPECT_DEATH(
        {
            struct node *a = node_ring(nodes_begin(NULL), 2);
            a->right = foreign(1, 0);
            arn_verify(NULL, 0, NULL, NULL);
        },
        LINE_OF("arn_verify", NO_REFERENT));
    EXPECT_DEATH(
        {
            struct node *a = arn_new(nodes_begin(NULL));
            a->right = foreign(1, 0);
            arn_decref(a);
        },
        LINE_OF("arn_decref", NONE));
}

/* ---- misuse=ignore: the same lines, and the rest goes on ---- */

/* In `text`, `count` lines. */
static int lines_of(const char *text)
{
    int count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

#define SAYS(lines_, ...)                             \
    do {                                              \
        struct said said;                             \
        said_begin(&said);                            \
        __VA_ARGS__;                                  \
        EXPECT_EQ(lines_of(said_end(&said)), lines_); \
    } while (0)

/* Ends with a look at everything. */
static void go_on(arn_type *type)
{
    size_t before = objects_alive();
    arn_decref(node_ring(type, 10));
    EXPECT_EQ(arn_gc_collect(2), 10);
    arn_decref(arn_new(type));
    arn_free(arn_malloc(100));
    EXPECT_EQ(objects_alive(), before);
}

static void ignored_releases(void)
{
    arn__options.misuse = MISUSE_IGNORE;
    arn_type *type = nodes_begin(NULL);
    struct node *a = arn_new(type), *other = arn_new(type);
    arn_decref(a);
    for (int i = 0; i < 3; i++)
        SAYS(1, arn_decref(launder(a)));
    SAYS(1, arn_incref(launder(a)));
    SAYS(1, arn_share(launder(a)));
    SAYS(1, arn_track(launder(a)));
    SAYS(1, arn_untrack(launder(a)));
    SAYS(1, arn_immortalize(launder(a)));
    SAYS(1, EXPECT_EQ((void *)arn_weak_new(launder(a), NULL, NULL), NULL));
    SAYS(1, EXPECT_EQ(arn_get_referents(launder(a), NULL, 0), 0));
    EXPECT_FALSE(arn_try_incref(launder(a)));
    go_on(type);
    EXPECT_NE(arn_new(type), arn_new(type)); /* a slot is not in its list twice */
    arn_decref(other);
}

TEST(objects_misuse, ignored_double_releases_change_nothing)
{
    IN_OWN_PROCESS(ignored_releases());
}

static void ignored_frees(void)
{
    arn__options.misuse = MISUSE_IGNORE;
    arn_type *type = nodes_begin(NULL), *text = text_type();
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char *object = arn_new_array(text, lengths[i]);
        memset(object, 'x', lengths[i]);
        for (int round = 0; round < 2; round++) {
            SAYS(1, arn_free(launder(object)));
            SAYS(1, arn_free(at(object, -8)));
            SAYS(1, arn_free(at(object, 8)));
            SAYS(1, EXPECT_EQ(arn_realloc(launder(object), 50), NULL));
            SAYS(1, EXPECT_EQ(arn_malloc_usable_size(launder(object)), 0));
        }
        for (size_t j = 0; j < lengths[i]; j += 97)
            ASSERT_EQ(object[j], 'x');
        EXPECT_EQ(arn_refcount(object), 1);
        arn_decref(object);
    }
    EXPECT_EQ(objects_alive(), 0);
    go_on(type);
}

TEST(objects_misuse, ignored_frees_leave_the_object_alone)
{
    IN_OWN_PROCESS(ignored_frees());
}

static void ignored_foreigners(void)
{
    arn__options.misuse = MISUSE_IGNORE;
    arn_type *type = nodes_begin(NULL);
    static const struct arn__header headers[] = {{1, 0},          {0, 0},     {-1, 0},
                                                 {1, UINT32_MAX}, {-5, CALM}, {-5, 0x40000000}};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        SAYS(1, arn_decref(foreign(headers[i].count, headers[i].kind)));
        SAYS(1, arn_share(foreign(headers[i].count, headers[i].kind)));
    }
    go_on(type);
}

TEST(objects_misuse, ignored_releases_of_blocks_change_nothing)
{
    IN_OWN_PROCESS(ignored_foreigners());
}

static void ignored_fields(void)
{
    arn__options.misuse = MISUSE_IGNORE;
    arn_type *type = nodes_begin(NULL);
    struct node *a = node_ring(type, 2);
    a->right = foreign(1, 0);
    for (int generation = 0; generation < ARN_GENERATIONS; generation++) {
        struct said said;
        said_begin(&said);
        EXPECT_EQ(arn_gc_collect(generation), 0);
        EXPECT_GE(lines_of(said_end(&said)), generation == 0);
    }
    struct said said;
    said_begin(&said);
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_GE(lines_of(said_end(&said)), 1);
    EXPECT_EQ(objects_alive(), 0);
    go_on(type);
}

TEST(objects_misuse, ignored_fields_without_objects_are_no_references)
{
    IN_OWN_PROCESS(ignored_fields());
}

static void ignored_counts(void)
{
    arn__options.misuse = MISUSE_IGNORE;
    arn_type *type = nodes_begin(NULL);
    struct node *a = node_ring(type, 3);
    a->right = a->left;
    a->left->right = a->left; /* two references that are not counted */
    struct said said;
    said_begin(&said);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_GE(lines_of(said_end(&said)), 1);
    a->right = a->left->right = NULL;
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 3);
    go_on(type);
}

TEST(objects_misuse, ignored_uncounted_references_leave_what_is_reached)
{
    IN_OWN_PROCESS(ignored_counts());
}
