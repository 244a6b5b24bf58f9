/* objects.c - counts, cycles, generations, weak references, finalizers, domains. */
#include <arenite/object.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sanitized.h"
#include "shim.h"

struct node {
    struct node *left, *right;
    long number;
};

static const size_t node_fields[] = {offsetof(struct node, left), offsetof(struct node, right)};

static arn_type *new_type(const char *name, void (*finalize)(void *))
{
    return arn_type_register(&(struct arn_type_info){.name = name,
                                                     .bytes = sizeof(struct node),
                                                     .shape = ARN_FIXED,
                                                     .offsets = node_fields,
                                                     .offset_count = 2,
                                                     .finalize = finalize});
}

static arn_type *leaf_type(void)
{
    return arn_type_register(
        &(struct arn_type_info){.name = "leaf", .bytes = 24, .shape = ARN_LEAF});
}

static size_t objects(void)
{
    struct arn_domain_stats stats;
    arn_domain_stats(NULL, &stats);
    return stats.objects;
}

/* Automatic collections would find what a test looks at. */
static arn_type *begin(void (*finalize)(void *))
{
    arn_gc_disable();
    return new_type("node", finalize);
}

static void *pair_of(arn_type *type)
{
    struct node *a = arn_new(type), *b = arn_new(type);
    arn_set(&a->left, b);
    arn_set(&b->left, a);
    arn_decref(b);
    return a;
}

/* ---- 1, 2: counts ---- */

static void counts(void)
{
    arn_type *type = begin(NULL);
    struct node *a = arn_new(type);
    ASSERT_NE(a, NULL);
    EXPECT_EQ(a->left, NULL);
    EXPECT_EQ(a->number, 0);
    EXPECT_EQ(arn_refcount(a), 1);
    EXPECT_EQ(arn_typeof(a), type);
    struct node *b = arn_new(type);
    arn_set(&b->left, a);
    EXPECT_EQ(arn_refcount(a), 2);
    arn_incref(a);
    EXPECT_EQ(arn_refcount(a), 3);
    arn_decref(a);
    arn_set(&b->left, b->right);
    EXPECT_EQ(arn_refcount(a), 1);
    arn_move(&b->left, a);
    EXPECT_EQ(arn_refcount(a), 1);
    EXPECT_EQ(objects(), 2);
    arn_clear(&b->left);
    EXPECT_EQ(b->left, NULL);
    EXPECT_EQ(objects(), 1);
    arn_decref(b);
    EXPECT_EQ(objects(), 0);
    arn_xdecref(NULL);
    arn_xincref(NULL);
}

TEST(objects, are_counted_and_released_when_the_last_reference_goes)
{
    IN_OWN_PROCESS(counts());
}

static void containers(void)
{
    arn_type *type = begin(NULL);
    struct node *parent = arn_new(type);
    for (int i = 0; i < 2; i++) {
        struct node *child = arn_new(type);
        arn_move(i == 0 ? &parent->left : &parent->right, child);
    }
    struct node *kept = parent->right;
    arn_incref(kept);
    arn_decref(parent);
    EXPECT_EQ(objects(), 1);
    EXPECT_EQ(arn_refcount(kept), 1);
    arn_decref(kept);
    EXPECT_EQ(objects(), 0);
}

TEST(objects, give_up_their_references_when_they_are_released)
{
    IN_OWN_PROCESS(containers());
}

/* An automatic full pass, which discovers pool by pool, over pools that held blocks before. */
static void recycled(void)
{
    enum { BLOCKS = 10000, NODES = 400000 };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = arn_malloc(1000);
    for (int i = 0; i < BLOCKS; i++)
        arn_free(blocks[i]);
    arn_type *type = new_type("node", NULL);
    struct node *list = NULL;
    for (int i = 0; i < NODES; i++) {
        struct node *node = arn_new(type);
        arn_move(&node->left, list);
        list = node;
    }
    EXPECT_EQ(objects(), NODES);
    arn_clear(&list);
    EXPECT_EQ(objects(), 0);
}

TEST(objects, take_over_slices_that_held_blocks)
{
    IN_OWN_PROCESS(recycled());
}

static void saturation(void)
{
    arn_type *type = begin(NULL);
    struct node *a = arn_new(type);
    ARN__HEADER(a)->count = INT32_MAX;
    arn_incref(a);
    EXPECT_EQ(arn_refcount(a), ARN_IMMORTAL);
    for (int i = 0; i < 10; i++)
        arn_decref(a);
    arn_incref(a);
    EXPECT_EQ(arn_refcount(a), ARN_IMMORTAL);
    struct node *b = arn_new(type);
    arn_immortalize(b);
    arn_decref(b);
    EXPECT_EQ(arn_refcount(b), ARN_IMMORTAL);
    EXPECT_EQ(objects(), 2);
}

TEST(objects, whose_count_overflows_are_immortal)
{
    IN_OWN_PROCESS(saturation());
}

/* ---- 3, 4: cycles and generations ---- */

static void cycles(void)
{
    arn_type *type = begin(NULL);
    arn_decref(pair_of(type));
    EXPECT_EQ(objects(), 2);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_EQ(objects(), 0);
    struct node *self = arn_new(type);
    arn_set(&self->right, self);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(arn_refcount(self), 2);
    arn_decref(self);
    EXPECT_EQ(arn_gc_collect(0), 0); /* it is old by now */
    EXPECT_EQ(arn_gc_collect(2), 1);
    EXPECT_EQ(arn_gc_collect(3), -1);
    EXPECT_EQ(errno, EINVAL);
}

TEST(objects, that_only_refer_to_each_other_are_found)
{
    IN_OWN_PROCESS(cycles());
}

static void outside(void)
{
    arn_type *type = begin(NULL);
    arn_type *leaf = leaf_type();
    struct node *a = pair_of(type);
    struct node *holder = arn_new(type);
    arn_set(&holder->left, a->left);
    arn_move(&a->left->right, arn_new(leaf));
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(objects(), 4);
    arn_clear(&holder->left);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_EQ(objects(), 1); /* the leaf went with them */
    arn_decref(holder);
}

TEST(objects, in_cycles_live_while_something_outside_refers_to_them)
{
    IN_OWN_PROCESS(outside());
}

static void generations(void)
{
    size_t thresholds[] = {100, 5, 0}, counts[3], read[3];
    arn_type *type = new_type("node", NULL);
    EXPECT_EQ(arn_gc_set_threshold(thresholds), 0);
    arn_gc_get_threshold(read);
    EXPECT_EQ(read[1], 5);
    EXPECT_TRUE(arn_gc_is_enabled());
    struct arn_gc_stats stats[3];
    for (int i = 0; i < 10000; i++)
        arn_decref(pair_of(type));
    arn_gc_stats(stats);
    EXPECT_GE(stats[0].collections + stats[1].collections, 150);
    EXPECT_GE(stats[1].collections, 20);
    EXPECT_EQ(stats[2].collections, 0);
    EXPECT_LE(objects(), 200);
    EXPECT_EQ(stats[0].collected + stats[1].collected + objects(), 20000);
    arn_gc_disable();
    EXPECT_FALSE(arn_gc_is_enabled());
    for (int i = 0; i < 500; i++)
        arn_decref(pair_of(type));
    arn_gc_get_count(counts);
    EXPECT_GE(counts[0], 1000);
    arn_gc_collect(2);
    arn_gc_get_count(counts);
    EXPECT_EQ(counts[0], 0);
    EXPECT_EQ(objects(), 0);
    arn_gc_enable();
    EXPECT_TRUE(arn_gc_is_enabled());
}

TEST(objects, are_collected_by_generations_when_enough_are_new)
{
    IN_OWN_PROCESS(generations());
}

static void old_garbage(void)
{
    size_t thresholds[] = {100, 2, 2};
    arn_type *type = new_type("node", NULL);
    arn_gc_set_threshold(thresholds);
    struct node *kept[200];
    for (int i = 0; i < 200; i++)
        kept[i] = pair_of(type);
    arn_gc_collect(2);
    for (int i = 0; i < 200; i++)
        arn_decref(kept[i]);
    size_t before = objects();
    EXPECT_EQ(before, 400);
    /* The heap grows by what is alive: full passes come, and find what is old. */
    struct node *list = NULL;
    for (int i = 0; i < 20000; i++) {
        struct node *next = arn_new(type);
        arn_move(&next->left, list);
        list = next;
    }
    struct arn_gc_stats stats[3];
    arn_gc_stats(stats);
    EXPECT_GE(stats[2].collections, 2);
    EXPECT_EQ(objects(), 20000);
}

TEST(objects, of_the_oldest_generation_are_collected_when_the_heap_has_grown)
{
    IN_OWN_PROCESS(old_garbage());
}

static void watch(const struct arn_gc_info *info, void *context)
{
    char *log = context;
    size_t length = strlen(log);
    log[length] = info->ends ? 'e' : 'b';
    log[length + 1] = (char)('0' + info->generation);
    log[length + 2] = (char)('0' + info->collected);
}

static void watchers(void)
{
    arn_type *type = begin(NULL);
    char log[64] = "";
    ASSERT_EQ(arn_gc_callback(watch, log), 0);
    arn_decref(pair_of(type));
    arn_gc_collect(0);
    arn_gc_collect(2);
    EXPECT_EQ(strcmp(log, "b00e02b20e20"), 0);
    EXPECT_TRUE(arn_gc_callback_remove(watch, log));
    EXPECT_FALSE(arn_gc_callback_remove(watch, log));
    arn_gc_collect(2);
    EXPECT_EQ(strlen(log), 12);
}

TEST(objects, collections_are_told_to_watchers)
{
    IN_OWN_PROCESS(watchers());
}

static void frozen(void)
{
    arn_type *type = begin(NULL);
    arn_decref(pair_of(type));
    arn_gc_freeze();
    EXPECT_EQ(arn_gc_freeze_count(), 2);
    EXPECT_EQ(arn_gc_collect(2), 0);
    arn_decref(pair_of(type));
    EXPECT_EQ(arn_gc_collect(2), 2);
    arn_gc_unfreeze();
    EXPECT_EQ(arn_gc_freeze_count(), 0);
    EXPECT_EQ(arn_gc_collect(2), 2);
}

TEST(objects, that_are_frozen_are_left_out_of_collections)
{
    IN_OWN_PROCESS(frozen());
}

static void untracked(void)
{
    arn_type *type = begin(NULL);
    struct node *a = pair_of(type);
    EXPECT_TRUE(arn_is_tracked(a));
    arn_untrack(a);
    EXPECT_FALSE(arn_is_tracked(a));
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 0);
    arn_track(a);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_FALSE(arn_is_tracked(arn_new(leaf_type())));
}

TEST(objects, that_are_not_tracked_are_no_candidates)
{
    IN_OWN_PROCESS(untracked());
}

/* ---- 5: weak references ---- */

static char said[64];

static void say(arn_weak *weak, void *context)
{
    strcat(said, context);
    EXPECT_EQ(arn_weak_get(weak), NULL);
}

static void weak(void)
{
    arn_type *type = begin(NULL);
    struct node *a = arn_new(type);
    arn_weak *one = arn_weak_new(a, say, (char *)(uintptr_t) "1"),
             *two = arn_weak_new(a, NULL, NULL);
    EXPECT_EQ(arn_weak_get(two), a);
    EXPECT_EQ(arn_refcount(a), 2);
    arn_decref(a);
    EXPECT_EQ(said[0], 0);
    arn_decref(a);
    EXPECT_EQ(strcmp(said, "1"), 0);
    EXPECT_EQ(arn_weak_get(one), NULL);
    EXPECT_EQ(arn_weak_get(two), NULL);
    arn_weak_release(one);
    arn_weak_release(two);
    arn_weak_release(NULL);
    a = pair_of(type);
    one = arn_weak_new(a, say, (char *)(uintptr_t) "2");
    two = arn_weak_new(a->left, say, (char *)(uintptr_t) "3");
    arn_weak_release(two);
    arn_decref(a);
    EXPECT_EQ(arn_weak_get(one), a); /* not collected yet */
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_EQ(strcmp(said, "12"), 0);
    arn_weak_release(one);
}

TEST(objects, weak_references_are_cleared_and_called_back)
{
    IN_OWN_PROCESS(weak());
}

static arn_weak *seen_by_finalizer;

static void look_at_weak(void *object)
{
    (void)object;
    strcat(said, "f");
    EXPECT_EQ(arn_weak_get(seen_by_finalizer), NULL);
}

static void weak_before_finalizers(void)
{
    arn_type *type = begin(look_at_weak);
    struct node *a = pair_of(type);
    seen_by_finalizer = arn_weak_new(a->left, say, (char *)(uintptr_t) "w");
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_EQ(strcmp(said, "wff"), 0);
    a = arn_new(type);
    arn_weak_release(seen_by_finalizer);
    seen_by_finalizer = arn_weak_new(a, say, (char *)(uintptr_t) "w");
    arn_decref(a);
    EXPECT_EQ(strcmp(said, "wffwf"), 0);
}

TEST(objects, weak_references_are_cleared_before_finalizers_can_see_them)
{
    IN_OWN_PROCESS(weak_before_finalizers());
}

static void weak_map(void)
{
    arn_type *type = begin(NULL);
    arn_weak_map *map = arn_weak_map_new();
    struct node *keys[100];
    for (int i = 0; i < 100; i++) {
        keys[i] = arn_new(type);
        struct node *value = arn_new(type);
        value->number = i;
        ASSERT_EQ(arn_weak_map_set(map, keys[i], value), 0);
        arn_decref(value);
    }
    EXPECT_EQ(arn_weak_map_count(map), 100);
    EXPECT_EQ(((struct node *)arn_weak_map_get(map, keys[42]))->number, 42);
    for (int i = 0; i < 100; i += 2)
        arn_decref(keys[i]);
    EXPECT_EQ(arn_weak_map_count(map), 50);
    EXPECT_EQ(objects(), 100);
    EXPECT_TRUE(arn_weak_map_remove(map, keys[1]));
    EXPECT_FALSE(arn_weak_map_remove(map, keys[1]));
    EXPECT_EQ(arn_weak_map_get(map, keys[1]), NULL);
    arn_weak_map_destroy(map);
    EXPECT_EQ(objects(), 50);
    for (int i = 1; i < 100; i += 2)
        arn_decref(keys[i]);
    EXPECT_EQ(objects(), 0);
}

TEST(objects, a_weak_map_loses_the_entries_of_keys_that_are_released)
{
    IN_OWN_PROCESS(weak_map());
}

/* ---- 6: finalizers ---- */

static struct node *saved;
static int finalized;

static void save(void *object)
{
    finalized++;
    if (saved == NULL) {
        saved = object;
        arn_incref(saved);
    }
}

static void resurrection(void)
{
    arn_type *type = begin(save);
    struct node *a = arn_new(type);
    arn_decref(a);
    EXPECT_EQ(finalized, 1);
    EXPECT_EQ(saved, a);
    EXPECT_TRUE(arn_is_finalized(a));
    EXPECT_EQ(arn_refcount(a), 1);
    arn_clear(&saved);
    EXPECT_EQ(finalized, 1); /* once each */
    EXPECT_EQ(objects(), 0);
    a = pair_of(type);
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(finalized, 3);
    EXPECT_EQ(objects(), 2);
    arn_clear(&saved);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_EQ(finalized, 3);
}

TEST(objects, are_finalized_once_and_may_live_on)
{
    IN_OWN_PROCESS(resurrection());
}

static void save_all(void)
{
    arn_type *type = begin(NULL);
    size_t count;
    arn_gc_set_debug(ARN_GC_SAVE_ALL);
    void *a = pair_of(type);
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 2);
    void *const *garbage = arn_garbage(&count);
    ASSERT_EQ(count, 2);
    EXPECT_TRUE(garbage[0] == a || garbage[1] == a);
    EXPECT_EQ(arn_refcount(a), 2);
    arn_gc_set_debug(0);
    EXPECT_EQ(arn_gc_collect(2), 0);
    arn_garbage_clear();
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_EQ(objects(), 0);
}

TEST(objects, that_are_garbage_can_be_saved_to_be_looked_at)
{
    IN_OWN_PROCESS(save_all());
}

/* ---- 7, 8: memory ---- */

static void private_pools(void)
{
    arn_type *type = begin(NULL), *other = new_type("other", NULL);
    enum { MANY = 5000 };
    static uintptr_t places[MANY];
    static struct node *nodes[MANY];
    for (int i = 0; i < MANY; i++)
        places[i] = (uintptr_t)(nodes[i] = arn_new(type)) >> 14;
    for (int i = 0; i < MANY; i += 2)
        arn_decref(nodes[i]);
    for (int i = 0; i < MANY; i++) {
        uintptr_t place = (uintptr_t)arn_new(other) >> 14;
        for (int j = 0; j < MANY; j += 97)
            ASSERT_NE(place, places[j]);
    }
}

TEST(objects, of_different_types_share_no_pool)
{
    IN_OWN_PROCESS(private_pools());
}

static size_t resident_bytes(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%*d %ld", &pages) != 1)
        pages = 0;
    if (statm != NULL)
        fclose(statm);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void give_back(void)
{
    arn_type *type = begin(NULL);
    size_t before = resident_bytes();
    struct node *list = NULL;
    for (int i = 0; i < 2000000; i++) {
        struct node *next = arn_new(type);
        arn_move(&next->left, list);
        list = next;
    }
    size_t full = resident_bytes();
    EXPECT_GE(full - before, (size_t)2000000 * 32);
    arn_decref(list);
    EXPECT_LE(resident_bytes(), before + (full - before) / 8);
    struct arn_domain_stats stats;
    arn_domain_stats(NULL, &stats);
    EXPECT_EQ(stats.objects, 0);
    EXPECT_LE(stats.held_bytes, 16384);
    EXPECT_GE(stats.peak_bytes, (size_t)2000000 * 32);
}

TEST(objects, of_a_large_structure_go_back_to_the_system_when_it_is_released)
{
    if (SANITIZED || EMULATED)
        SKIP("resident memory is not the library's alone");
    IN_OWN_PROCESS(give_back());
}

/* ---- 10: looking ---- */

static void count_object(void *object, void *context)
{
    (void)object;
    ++*(size_t *)context;
}

static void tell_wrong(void *object, long extra, void *context)
{
    (void)object;
    *(long *)context += extra;
}

static void looking(void)
{
    arn_type *type = begin(NULL);
    arn_type *leaf = leaf_type();
    struct node *a = pair_of(type);
    struct node *b = a->left;
    arn_move(&a->right, arn_new(leaf));
    void *found[4];
    EXPECT_EQ(arn_get_referents(a, found, 4), 2);
    EXPECT_EQ(found[0], b);
    EXPECT_EQ(found[1], a->right);
    EXPECT_EQ(arn_get_referrers(b, found, 4), 1);
    EXPECT_EQ(found[0], a);
    EXPECT_EQ(arn_get_referrers(a->right, found, 0), 1);
    size_t count = 0;
    arn_foreach_object(count_object, &count);
    EXPECT_EQ(count, 3);
    struct arn_type_count counts[4];
    ASSERT_EQ(arn_type_histogram(counts, 4), 2);
    EXPECT_EQ(counts[0].type, type);
    EXPECT_EQ(counts[0].objects, 2);
    EXPECT_EQ(counts[0].bytes, 2 * (sizeof(struct node) + 8));
    EXPECT_EQ(counts[1].objects, 1);
    void *held[] = {a};
    long extra = 0;
    EXPECT_EQ(arn_verify(held, 1, tell_wrong, &extra), 0);
    EXPECT_EQ(arn_verify(NULL, 0, tell_wrong, &extra), 1); /* one more than there seem to be */
    EXPECT_EQ(extra, 1);
    ARN__HEADER(b)->count--;
    EXPECT_EQ(arn_verify(held, 1, tell_wrong, &extra), 1);
    EXPECT_EQ(extra, 0);
}

TEST(objects, tell_who_refers_to_whom_and_whether_they_are_counted_rightly)
{
    IN_OWN_PROCESS(looking());
}

/* ---- shapes and sizes ---- */

struct array {
    size_t count;
    void *items[];
};

static void arrays(void)
{
    arn_type *type = begin(NULL);
    arn_type *array = arn_type_register(&(struct arn_type_info){
        .name = "array", .bytes = sizeof(struct array), .shape = ARN_REFARRAY});
    arn_type *text = arn_type_register(
        &(struct arn_type_info){.name = "text", .shape = ARN_LEAF, .item_bytes = 1});
    static const size_t lengths[] = {0, 1, 3, 100, 4000, 5000, 100000, 3000000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct array *a = arn_new_array(array, lengths[i]);
        ASSERT_NE(a, NULL);
        EXPECT_EQ(a->count, lengths[i]);
        for (size_t j = 0; j < a->count; j++) {
            ASSERT_EQ(a->items[j], NULL);
            if (j % 1000 == 0)
                arn_move(&a->items[j], arn_new(type));
        }
        if (a->count > 0)
            arn_set(&a->items[a->count - 1], a);
        EXPECT_EQ(arn_refcount(a), a->count > 0 ? 2 : 1);
        arn_decref(a);
        arn_gc_collect(2);
        EXPECT_EQ(objects(), 0);
        char *bytes = arn_new_array(text, lengths[i]);
        memset(bytes, 'x', lengths[i]);
        EXPECT_EQ(arn_typeof(bytes), text);
        arn_decref(bytes);
    }
    EXPECT_EQ(arn_new_array(array, SIZE_MAX / 8), NULL);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(arn_new_array(type, 2), NULL);
    EXPECT_EQ(errno, EINVAL);
}

TEST(objects, may_be_arrays_of_any_length)
{
    IN_OWN_PROCESS(arrays());
}

static const size_t alignments[] = {8, 16, 32, 64, 128, 512, 4096};

static void aligned(size_t alignment)
{
    arn_gc_disable();
    for (size_t bytes = 1; bytes < 60000; bytes = bytes * 3 + 7) {
        arn_type *type = arn_type_register(&(struct arn_type_info){
            .name = "aligned", .bytes = bytes, .alignment = alignment, .shape = ARN_LEAF});
        char *made[50];
        for (int i = 0; i < 50; i++) {
            made[i] = arn_new(type);
            ASSERT_NE(made[i], NULL);
            ASSERT_EQ((uintptr_t)made[i] % alignment, 0);
            for (size_t j = 0; j < bytes; j++)
                ASSERT_EQ(made[i][j], 0);
            memset(made[i], 0xff, bytes);
        }
        for (int i = 0; i < 50; i++)
            arn_decref(made[i]);
    }
    EXPECT_EQ(objects(), 0);
}

TEST_EACH(objects, are_aligned_as_their_type_says, size_t, alignment, alignments)
{
    IN_OWN_PROCESS(aligned(alignment));
}

TEST(objects, types_that_make_no_sense_are_refused)
{
    static const size_t odd = 4, far = 16;
    const struct arn_type_info wrong[] = {
        {.name = NULL, .bytes = 8},
        {.name = "x", .bytes = 8, .alignment = 24},
        {.name = "x", .bytes = 8, .alignment = 8192},
        {.name = "x", .bytes = 16, .shape = ARN_FIXED, .offsets = &odd, .offset_count = 1},
        {.name = "x", .bytes = 16, .shape = ARN_FIXED, .offsets = &far, .offset_count = 1},
        {.name = "x", .bytes = 16, .shape = ARN_FIXED, .offset_count = 1},
        {.name = "x", .bytes = 16, .shape = ARN_LEAF, .offsets = &far, .offset_count = 1},
        {.name = "x", .bytes = 4, .shape = ARN_REFARRAY},
        {.name = "x", .bytes = 8, .shape = ARN_REFARRAY, .item_bytes = 4},
        {.name = "x", .bytes = 8, .shape = ARN_CUSTOM},
        {.name = "x", .bytes = 8, .shape = (enum arn_shape)7},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        EXPECT_EQ(arn_type_register(&wrong[i]), NULL);
        EXPECT_EQ(errno, EINVAL);
    }
}

/* ---- long chains ---- */

static void *release_chain(void *type)
{
    struct node *list = NULL;
    for (long i = 0; i < (SANITIZED ? 300000 : 1000000); i++) {
        struct node *next = arn_new(type);
        arn_move(&next->left, list);
        list = next;
    }
    arn_decref(list);
    EXPECT_EQ(objects(), 0);
    return NULL;
}

static void chain(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    ASSERT_EQ(pthread_create(&thread, &attributes, release_chain, new_type("node", NULL)), 0);
    pthread_join(thread, NULL);
}

TEST(objects, in_a_chain_of_a_million_are_released_on_a_stack_of_64_KiB)
{
    IN_OWN_PROCESS(chain());
}

/* ---- domains ---- */

static void domains(void)
{
    arn_type *type = begin(NULL);
    struct node *mine = arn_new(type);
    arn_domain *domain = arn_domain_create();
    ASSERT_NE(domain, NULL);
    EXPECT_EQ(arn_domain_bind(domain), NULL);
    struct arn_domain_stats stats;
    for (int i = 0; i < 1000; i++) {
        struct node *a = pair_of(type);
        arn_set(&a->right, mine);
    }
    EXPECT_EQ(objects(), 2000);
    EXPECT_EQ(arn_refcount(mine), 1001);
    EXPECT_EQ(arn_domain_bind(NULL), domain);
    EXPECT_EQ(objects(), 1);
    arn_domain_stats(domain, &stats);
    EXPECT_EQ(stats.objects, 2000);
    arn_domain_destroy(domain);
    EXPECT_EQ(arn_refcount(mine), 1);
    arn_decref(mine);
}

TEST(objects, of_a_domain_are_destroyed_in_one_step)
{
    IN_OWN_PROCESS(domains());
}

static void limit(void)
{
    arn_type *type = begin(NULL);
    arn_domain *domain = arn_domain_create();
    arn_domain_bind(domain);
    arn_domain_limit(domain, 1 << 20);
    long made = 0;
    while (arn_new(type) != NULL)
        made++;
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_GE(made, 30000);
    EXPECT_LE(made, 32768);
    arn_domain_limit(domain, 0);
    EXPECT_NE(arn_new(type), NULL);
    arn_domain_destroy(domain);
    /* Garbage makes way. */
    size_t young_only[] = {1 << 30, 0, 0};
    domain = arn_domain_create();
    arn_domain_bind(domain);
    arn_gc_set_threshold(young_only);
    arn_domain_limit(NULL, 1 << 20);
    for (int i = 0; i < 100000; i++) {
        struct node *pair = pair_of(type);
        ASSERT_NE(pair, NULL);
        arn_decref(pair);
    }
    arn_domain_destroy(domain);
    EXPECT_EQ(objects(), 0);
}

TEST(objects, of_a_domain_take_no_more_than_its_limit)
{
    IN_OWN_PROCESS(limit());
}

/* ---- threads ---- */

enum { SHARERS = 4, SHARES = 100000 };

static void *share_and_give_up(void *object)
{
    for (int i = 0; i < SHARES; i++) {
        arn_incref(object);
        arn_decref(object);
    }
    arn_decref(object);
    return NULL;
}

static void shared(void)
{
    arn_type *type = begin(NULL);
    struct node *a = arn_new(type);
    arn_move(&a->left, arn_new(type));
    arn_share(a);
    EXPECT_EQ(arn_refcount(a), 1);
    pthread_t threads[SHARERS];
    for (int i = 0; i < SHARERS; i++) {
        arn_incref(a);
        ASSERT_EQ(pthread_create(&threads[i], NULL, share_and_give_up, a), 0);
    }
    arn_decref(a); /* whichever thread is the last, this one's domain releases it */
    for (int i = 0; i < SHARERS; i++)
        pthread_join(threads[i], NULL);
    arn_gc_collect(0);
    EXPECT_EQ(objects(), 0);
}

TEST(objects, that_are_shared_are_counted_by_all_and_released_by_their_own_thread)
{
    IN_OWN_PROCESS(shared());
}

static void *leave_shared(void *type)
{
    struct node *a = arn_new(type);
    arn_move(&a->left, arn_new(type));
    arn_share(a);
    return a;
}

static void left_behind(void)
{
    arn_type *type = begin(NULL);
    pthread_t thread;
    void *a;
    pthread_create(&thread, NULL, leave_shared, type);
    pthread_join(thread, &a);
    EXPECT_EQ(arn_refcount(a), 1);
    EXPECT_EQ(objects(), 0);
    arn_decref(a);
    pthread_create(&thread, NULL, leave_shared, type); /* has the domain that is empty again */
    pthread_join(thread, &a);
    arn_decref(a);
}

TEST(objects, of_a_thread_that_has_ended_are_released_by_others)
{
    IN_OWN_PROCESS(left_behind());
}

/* ---- fork ---- */

static void forked(void)
{
    arn_type *type = begin(NULL);
    struct node *a = pair_of(type);
    arn_decref(pair_of(type));
    pid_t child = fork();
    if (child == 0) {
        bool right = arn_gc_collect(2) == 2 && objects() == 2;
        arn_decref(a);
        _exit(!(right && arn_gc_collect(2) == 2 && objects() == 0));
    }
    int status;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(arn_gc_collect(2), 2);
}

TEST(objects, are_collected_in_parent_and_child)
{
    IN_OWN_PROCESS(forked());
}
