/* objects_corners.c - what programs' functions do in the middle of things, and memory with a past. */
#include <arenite/object.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nodes.h"
#include "object/cycle.h"
#include "object/domain.h"
#include "sanitized.h"
#include "shim.h"

/* ---- memory with a past ---- */

static void slices_of_blocks(void)
{
    enum { BLOCKS = 20000, NODES = 1000 };
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = arn_malloc(48);
    for (int i = 0; i < BLOCKS; i++)
        arn_free(blocks[i]);
    arn_malloc_trim(0);
    arn_type *type = nodes_begin(NULL);
    arn_type *leaf =
        arn_type_register(&(struct arn_type_info){.name = "leaf", .bytes = 40, .shape = ARN_LEAF});
    struct node *list = NULL;
    for (int i = 0; i < NODES; i++) {
        struct node *next = arn_new(type);
        arn_move(&next->left, list);
        arn_move(&next->right, arn_new(leaf));
        list = next;
    }
    EXPECT_EQ(arn_gc_collect(0), 0);
    EXPECT_EQ(arn_gc_collect(2), 0);
    arn_decref(list);
    EXPECT_EQ(objects_alive(), 0);
}

TEST(objects_corners, pools_where_blocks_have_been_are_like_new)
{
    IN_OWN_PROCESS(slices_of_blocks());
}

static void holes(void)
{
    enum { MANY = 20000 };
    static struct node *nodes[MANY];
    arn_type *type = nodes_begin(NULL);
    struct arn_domain_stats full, again;
    for (int i = 0; i < MANY; i++)
        nodes[i] = arn_new(type);
    arn_domain_stats(NULL, &full);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            if (i % 8 != round)
                arn_clear(&nodes[i]);
        }
        for (int i = 0; i < MANY; i++) {
            if (nodes[i] == NULL)
                nodes[i] = arn_new(type);
        }
        arn_domain_stats(NULL, &again);
        EXPECT_LE(again.held_bytes, full.held_bytes + full.held_bytes / 8);
    }
    for (int i = 0; i < MANY; i++)
        arn_decref(nodes[i]);
    arn_gc_collect(2);
    arn_domain_stats(NULL, &again);
    EXPECT_EQ(again.held_bytes, 0);
}

TEST(objects_corners, room_that_others_left_is_taken_before_new_pools)
{
    IN_OWN_PROCESS(holes());
}

/* ---- the end of a domain ---- */

static int cleared;

static void traverse_present(void *object, arn_visit *visit, void *context)
{
    struct node *node = object;
    if (node->left != NULL)
        visit(node->left, context);
    if (node->right != NULL)
        visit(node->right, context);
}

static void link_clear(void *object)
{
    struct node *node = object;
    cleared++;
    arn_clear(&node->left);
    arn_clear(&node->right);
}

static arn_type *custom_type(void (*finalize)(void *))
{
    return arn_type_register(&(struct arn_type_info){.name = "custom",
                                                     .bytes = sizeof(struct node),
                                                     .shape = ARN_CUSTOM,
                                                     .traverse = traverse_present,
                                                     .clear = link_clear,
                                                     .finalize = finalize});
}

static void destroyed_chain(void)
{
    arn_type *type = nodes_begin(NULL), *custom = custom_type(NULL);
    struct node *outside = arn_new(type);
    arn_domain *domain = arn_domain_create();
    arn_domain_bind(domain);
    struct node *first = NULL, *second = NULL;
    for (int i = 0; i < 10; i++) { /* one chain from low addresses to high ones, one back */
        struct node *next = arn_new(custom), *other = arn_new(custom);
        arn_set(&next->right, outside);
        arn_set(&other->right, outside);
        arn_move(&next->left, first);
        first = next;
        if (second == NULL)
            arn_incref(other);
        else
            arn_move(&second->left, other);
        second = other;
    }
    EXPECT_EQ(arn_refcount(outside), 21);
    arn_domain_destroy(domain);
    EXPECT_EQ(cleared, 20);
    EXPECT_EQ(arn_refcount(outside), 1);
    arn_decref(outside);
}

TEST(objects_corners, all_clear_functions_are_called_once_when_a_domain_ends)
{
    IN_OWN_PROCESS(destroyed_chain());
}

/* ---- finalizers that do more than look ---- */

static struct node *kept;

static void make_immortal(void *object)
{
    struct node *node = object;
    if (node->number == 1) {
        arn_immortalize(node);
        kept = node;
    }
}

static void immortal_from_finalizer(void)
{
    arn_type *type = nodes_begin(make_immortal);
    arn_decref(node_ring(type, 4));
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(objects_alive(), 4);
    EXPECT_EQ(kept->left->number, 2);
    EXPECT_EQ(arn_refcount(kept->left), 1);
    struct node *next = kept->left;
    arn_clear(&next->left);
    EXPECT_EQ(objects_alive(), 2);
}

TEST(objects_corners, a_finalizer_that_makes_its_object_immortal_saves_what_that_leads_to)
{
    IN_OWN_PROCESS(immortal_from_finalizer());
}

static void share(void *object)
{
    struct node *node = object;
    if (node->number == 1) {
        arn_share(node);
        arn_incref(node);
        kept = node;
    }
}

static void shared_from_finalizer(void)
{
    arn_type *type = nodes_begin(share);
    arn_decref(node_ring(type, 4));
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(objects_alive(), 4);
    EXPECT_EQ(arn_refcount(kept), 2);
    EXPECT_EQ(arn_refcount(kept->left), 1);
    arn_clear(&kept->left->left->left->left);
    EXPECT_EQ(arn_refcount(kept), 1);
    arn_decref(kept);
    EXPECT_EQ(objects_alive(), 0);
}

TEST(objects_corners, a_finalizer_that_shares_its_object_saves_what_that_leads_to)
{
    IN_OWN_PROCESS(shared_from_finalizer());
}

static void share_and_let_go(void *object)
{
    struct node *node = object;
    if (node->number == 1)
        arn_share(node);
    else
        arn_clear(&node->left);
}

static void shared_and_let_go(void)
{
    arn_type *type = nodes_begin(share_and_let_go);
    arn_decref(node_ring(type, 2));
    arn_gc_collect(2);
    EXPECT_EQ(objects_alive(), 0);
}

TEST(objects_corners, an_object_that_is_shared_as_its_cycle_is_broken_is_released)
{
    IN_OWN_PROCESS(shared_and_let_go());
}

static arn_weak *made;
static int calls;

static void count_call(arn_weak *weak, void *context)
{
    (void)context;
    calls++;
    EXPECT_EQ(arn_weak_get(weak), NULL);
}

static void weak_to_itself(void *object)
{
    made = arn_weak_new(object, NULL, NULL);
    arn_incref(object);
    kept = object;
}

static void weak_to_the_living(void)
{
    arn_type *type = nodes_begin(weak_to_itself);
    arn_decref(arn_new(type));
    EXPECT_EQ(objects_alive(), 1);
    void *again = arn_weak_get(made);
    EXPECT_EQ(again, kept);
    arn_xdecref(again);
    arn_decref(kept);
    EXPECT_EQ(objects_alive(), 0);
    EXPECT_EQ(arn_weak_get(made), NULL);
    arn_weak_release(made);
}

TEST(objects_corners, a_weak_reference_that_a_finalizer_made_lives_if_its_object_does)
{
    IN_OWN_PROCESS(weak_to_the_living());
}

static void weak_to_the_dying(void *object)
{
    made = arn_weak_new(object, count_call, NULL);
}

static void weak_to_the_dead(void)
{
    arn_type *type = nodes_begin(weak_to_the_dying);
    arn_decref(arn_new(type));
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(arn_weak_get(made), NULL);
    arn_weak_release(made);
    arn_decref(node_ring(type, 1));
    EXPECT_EQ(arn_gc_collect(2), 1);
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(arn_weak_get(made), NULL);
    arn_weak_release(made);
}

TEST(objects_corners, a_weak_reference_that_a_finalizer_made_is_cleared_if_its_object_goes)
{
    IN_OWN_PROCESS(weak_to_the_dead());
}

static arn_domain *other_domain;

static void collect_elsewhere(void *object)
{
    (void)object;
    arn_domain_bind(other_domain);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(arn_gc_collect(2), 0);
    arn_domain_bind(NULL);
}

static void two_collections(void)
{
    enum { MANY = 3000 };
    static struct node *there[MANY];
    arn_type *type = nodes_begin(collect_elsewhere), *plain = node_type("plain", NULL);
    struct node *here = arn_new(plain);
    other_domain = arn_domain_create();
    arn_domain_bind(other_domain);
    for (int i = 0; i < MANY; i++) {
        there[i] = node_ring(plain, 1);
        arn_set(&there[i]->right, here);
    }
    arn_domain_bind(NULL);
    for (int i = 0; i < MANY; i++) { /* and back */
        struct node *next = arn_new(plain);
        arn_set(&next->right, there[i]);
        arn_set(&next->left, here->left);
        arn_set(&here->left, next);
        arn_decref(next);
        arn_decref(there[i]);
    }
    arn_decref(node_ring(type, 1));
    EXPECT_EQ(arn_gc_collect(2), 1);
    EXPECT_EQ(arn_refcount(here), MANY + 1);
    EXPECT_EQ(objects_alive(), MANY + 1);
    arn_domain_destroy(other_domain);
    EXPECT_EQ(arn_refcount(here), 1);
}

TEST(objects_corners, a_finalizer_may_collect_another_domain)
{
    IN_OWN_PROCESS(two_collections());
}

static void empty_the_list(void *object)
{
    (void)object;
    arn_garbage_clear();
}

static void emptied_meanwhile(void)
{
    arn_type *type = nodes_begin(empty_the_list);
    arn_gc_set_debug(ARN_GC_SAVE_ALL);
    arn_decref(node_ring(type, 100));
    EXPECT_EQ(arn_gc_collect(2), 100);
    size_t count;
    arn_garbage(&count);
    EXPECT_EQ(count, 100);
    arn_gc_set_debug(0);
    arn_garbage_clear();
    EXPECT_EQ(arn_gc_collect(2), 100);
    EXPECT_EQ(objects_alive(), 0);
}

TEST(objects_corners, the_list_of_the_saved_may_be_emptied_by_finalizers)
{
    IN_OWN_PROCESS(emptied_meanwhile());
}

static void save_from_now(void *object)
{
    (void)object;
    arn_gc_set_debug(ARN_GC_SAVE_ALL);
}

static void saving_from_now(void)
{
    arn_type *type = nodes_begin(save_from_now);
    arn_decref(node_ring(type, 100));
    EXPECT_EQ(arn_gc_collect(2), 100);
    size_t count;
    arn_garbage(&count);
    EXPECT_EQ(count + (100 - objects_alive()), 100); /* all the one or all the other */
    arn_gc_set_debug(0);
    arn_garbage_clear();
    arn_gc_collect(2);
    EXPECT_EQ(objects_alive(), 0);
}

TEST(objects_corners, saving_may_begin_in_a_finalizer)
{
    IN_OWN_PROCESS(saving_from_now());
}

/* ---- what a collection leaves to the next ---- */

static struct node *outside_reference;

static void drop_outside_reference(void *object)
{
    (void)object;
    arn_clear(&outside_reference);
}

/* As automatic full passes do: from suspects. */
static long collect_suspects(void)
{
    return arn__cycle_collect(arn__domain, ARN_GENERATIONS - 1, true);
}

static void dropped_meanwhile(int generation)
{
    arn_type *type = nodes_begin(NULL), *dropper = node_type("dropper", drop_outside_reference);
    outside_reference = node_ring(type, 3);
    if (generation == 2)
        arn_gc_collect(2); /* calm from here on */
    arn_decref(node_ring(dropper, 1));
    EXPECT_EQ(arn_gc_collect(generation), 1);
    EXPECT_EQ(outside_reference, NULL);
    EXPECT_EQ(objects_alive(), 3);
    EXPECT_EQ(collect_suspects(), 3);
    EXPECT_EQ(objects_alive(), 0);
}

static const int generations[] = {0, 1, 2};

TEST_EACH(objects_corners, a_cycle_that_loses_its_holder_in_a_collection_is_a_suspect, int,
          generation, generations)
{
    IN_OWN_PROCESS(dropped_meanwhile(generation));
}

enum { RINGS = 4000 };
static struct node *rings[RINGS];

static size_t examined(void)
{
    struct arn_gc_stats stats[ARN_GENERATIONS];
    arn_gc_stats(stats);
    return stats[ARN_GENERATIONS - 1].examined;
}

/* In many pools. Then what was done to them, and then they are dropped. */
static void begin_rings(void)
{
    arn_type *type = nodes_begin(NULL);
    for (int i = 0; i < RINGS; i++)
        rings[i] = node_ring(type, 2);
}

static void drop_rings(void)
{
    for (int i = 0; i < RINGS; i++)
        arn_decref(rings[i]);
}

static void young_become_old(void)
{
    begin_rings();
    EXPECT_EQ(arn_gc_collect(0), 0);
    EXPECT_EQ(arn_gc_collect(1), 0);
    drop_rings();
    EXPECT_EQ(arn_gc_collect(1), 0);
    EXPECT_EQ(collect_suspects(), 2 * RINGS);
}

TEST(objects_corners, what_became_old_in_young_collections_is_suspect)
{
    IN_OWN_PROCESS(young_become_old());
}

static void frozen_rings(void)
{
    begin_rings();
    arn_gc_freeze();
    EXPECT_EQ(arn_gc_collect(2), 0);
    arn_gc_unfreeze();
    drop_rings();
    EXPECT_EQ(collect_suspects(), 2 * RINGS);
}

TEST(objects_corners, what_was_frozen_is_suspect)
{
    IN_OWN_PROCESS(frozen_rings());
}

static void untracked_rings(void)
{
    begin_rings();
    for (int i = 0; i < RINGS; i++)
        arn_untrack(rings[i]);
    EXPECT_EQ(arn_gc_collect(2), 0);
    for (int i = 0; i < RINGS; i++) {
        arn_track(rings[i]);
        arn_untrack(rings[i]->left);
        arn_track(rings[i]->left);
    }
    drop_rings();
    EXPECT_EQ(arn_gc_collect(0), 2 * RINGS);
}

TEST(objects_corners, what_is_tracked_again_is_young)
{
    IN_OWN_PROCESS(untracked_rings());
}

static void calm_rings(void)
{
    begin_rings();
    arn_gc_collect(2);
    EXPECT_EQ(examined(), 2 * RINGS);
    EXPECT_EQ(collect_suspects(), 0);
    EXPECT_EQ(examined(), 2 * RINGS); /* none was looked at */
    arn_decref(rings[1]);
    EXPECT_EQ(collect_suspects(), 2);
    EXPECT_EQ(examined(), 2 * RINGS + 2);
    EXPECT_EQ(collect_suspects(), 0);
    EXPECT_EQ(examined(), 2 * RINGS + 2);
}

TEST(objects_corners, what_is_old_and_quiet_is_not_looked_at)
{
    IN_OWN_PROCESS(calm_rings());
}

static void collect_again(const struct arn_gc_info *info, void *context)
{
    (void)info, (void)context;
    if (calls++ < 100)
        EXPECT_EQ(arn_gc_collect(2), 0);
}

static void collect_in_watcher(void)
{
    arn_type *type = nodes_begin(NULL);
    arn_gc_callback(collect_again, NULL);
    arn_decref(node_ring(type, 3));
    EXPECT_EQ(arn_gc_collect(2), 3);
    EXPECT_EQ(calls, 2);
}

TEST(objects_corners, watchers_begin_no_collections)
{
    IN_OWN_PROCESS(collect_in_watcher());
}

static void *large;

static void drop_large(const struct arn_gc_info *info, void *context)
{
    (void)info, (void)context;
    arn_clear(&large);
}

static void large_in_watcher(void)
{
    nodes_begin(NULL);
    arn_type *text = arn_type_register(
        &(struct arn_type_info){.name = "text", .shape = ARN_LEAF, .item_bytes = 1});
    large = arn_new_array(text, 1 << 20);
    struct arn_domain_stats stats;
    arn_gc_callback(drop_large, NULL);
    arn_gc_collect(0);
    arn_domain_stats(NULL, &stats);
    EXPECT_EQ(stats.objects, 0);
    EXPECT_EQ(stats.object_bytes, 0);
    EXPECT_EQ(stats.held_bytes, 0);
}

TEST(objects_corners, a_large_object_that_goes_in_a_collection_goes_back)
{
    IN_OWN_PROCESS(large_in_watcher());
}

/* ---- counts at their ends ---- */

static void almost_immortal(void)
{
    arn_type *type = nodes_begin(NULL);
    struct node *a = arn_new(type);
    arn_move(&a->left, node_ring(type, 2));
    ARN__HEADER(a)->count = INT32_MAX;
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(objects_alive(), 3);
}

TEST(objects_corners, the_highest_count_is_a_count)
{
    IN_OWN_PROCESS(almost_immortal());
}

/* ---- traverse functions ---- */

static void traverse_all(void *object, arn_visit *visit, void *context)
{
    const struct node *node = object;
    visit(node->left, context);
    visit(node->right, context);
}

static void nulls(void)
{
    nodes_begin(NULL);
    arn_type *type = arn_type_register(&(struct arn_type_info){.name = "link",
                                                               .bytes = sizeof(struct node),
                                                               .shape = ARN_CUSTOM,
                                                               .traverse = traverse_all,
                                                               .clear = link_clear});
    struct node *lives = node_ring(type, 2), *alone = arn_new(type);
    arn_decref(node_ring(type, 3));
    void *found[2], *held[] = {lives, alone};
    EXPECT_EQ(arn_get_referents(lives, found, 2), 1);
    EXPECT_EQ(arn_get_referents(alone, found, 2), 0);
    EXPECT_EQ(arn_get_referrers(lives, found, 2), 1);
    EXPECT_EQ(arn_gc_collect(0), 3);
    EXPECT_EQ(arn_verify(held, 2, NULL, NULL), 0);
    size_t often[] = {1, 1, 1};
    arn_gc_set_threshold(often);
    arn_gc_enable(); /* for passes that start from suspects */
    for (int i = 0; i < 100; i++)
        arn_decref(node_ring(type, 3));
    EXPECT_EQ(arn_refcount(lives), 2);
}

TEST(objects_corners, a_traverse_function_need_not_leave_out_null)
{
    IN_OWN_PROCESS(nulls());
}

/* ---- what no suspect leads to ---- */

/* A reference that is moved by assignment: the cycle has lost its holder, and nothing was told of that. */
static void hidden(void)
{
    static const size_t often[] = {50, 1, 1};
    arn_type *type = node_type("node", NULL);
    arn_gc_disable();
    struct node *holder = arn_new(type), *list = NULL;
    for (int i = 0; i < 1000; i++) {
        struct node *next = arn_new(type);
        arn_move(&next->left, list);
        list = next;
    }
    arn_move(&holder->left, node_ring(type, 3));
    arn_weak *weak = arn_weak_new(holder->left, NULL, NULL);
    arn_gc_collect(2);
    struct node *ring = holder->left;
    holder->left = NULL;
    ring->right = ring;
    struct arn_gc_stats stats[ARN_GENERATIONS];
    arn_gc_enable();
    for (int i = 0; i < 100000; i++) {
        if (i % 50 == 0)
            arn_gc_set_threshold(often); /* which forgets the pace */
        struct node *next = arn_new(type);
        arn_move(&next->left, list);
        list = next;
        arn_gc_stats(stats);
        if (stats[2].collections == 11)
            break;
    }
    EXPECT_EQ(stats[2].collections, 11);
    EXPECT_EQ(arn_weak_get(weak), NULL);
    EXPECT_EQ(stats[2].collected, 3);
}

TEST(objects_corners, every_tenth_automatic_full_pass_looks_at_everything)
{
    IN_OWN_PROCESS(hidden());
}

/* ---- objects that are no candidates ---- */

static void immortals(void)
{
    arn_type *type = nodes_begin(NULL);
    for (int i = 0; i < 100000; i++)
        arn_immortalize(arn_new(type));
    for (int i = 0; i < 3; i++)
        arn_gc_collect(0);
    EXPECT_LE(arn__domain->roster.young_count, 1); /* the pool that is allocated from */
}

TEST(objects_corners, immortal_objects_are_not_looked_at_again_and_again)
{
    IN_OWN_PROCESS(immortals());
}

/* ---- references to what is gone ---- */

static void *told_of;
static long told_extra;

static void tell_wrong(void *object, long extra, void *context)
{
    (void)context;
    told_of = object;
    told_extra = extra;
}

static void too_early(void)
{
    arn_type *type = nodes_begin(NULL);
    struct node *a = arn_new(type), *b = arn_new(type);
    void *held[] = {a};
    arn_move(&a->left, b);
    a->right = b; /* not counted */
    EXPECT_EQ(arn_verify(held, 1, tell_wrong, NULL), 1);
    EXPECT_EQ(told_of, b);
    EXPECT_EQ(told_extra, -1);
    arn_clear(&a->left);
    EXPECT_EQ(arn_verify(held, 1, tell_wrong, NULL), 1);
    EXPECT_EQ(told_of, b);
    EXPECT_EQ(told_extra, -1);
    a->right = NULL;
    EXPECT_EQ(arn_verify(held, 1, tell_wrong, NULL), 0);
}

TEST(objects_corners, a_reference_to_what_is_gone_is_told_of)
{
    IN_OWN_PROCESS(too_early());
}

/* ---- pace ---- */

struct heavy {
    struct heavy *self;
    char bytes[30000];
};

/* A million nodes of which none is garbage: a full collection is followed by a long rest. */
static void changes_its_ways(void)
{
    static const size_t field = offsetof(struct heavy, self), often[] = {8, 2, 2};
    enum { LIVE = 1000000, HEAVY = 1 << 15, KEPT = 256 };
    const size_t most_bytes = (size_t)256 << 20;
    static struct heavy *lately[KEPT];
    struct arn_domain_stats stats;
    arn_type *heavy = arn_type_register(&(struct arn_type_info){.name = "heavy",
                                                                .bytes = sizeof(struct heavy),
                                                                .shape = ARN_FIXED,
                                                                .offsets = &field,
                                                                .offset_count = 1});
    struct node *list = NULL;
    arn_type *type = node_type("node", NULL);
    for (int i = 0; i < LIVE; i++) {
        struct node *next = arn_new(type);
        arn_move(&next->left, list);
        list = next;
    }
    arn_domain_stats(NULL, &stats);
    size_t before_bytes = stats.held_bytes, after_bytes = 0;
    arn_gc_set_threshold(
        often); /* forgets the pace: the next full one is the last that finds nothing */
    for (int i = 0; i < HEAVY; i++) {
        arn_clear(&lately[i % KEPT]);
        lately[i % KEPT] = arn_new(heavy);
        if (i > KEPT)
            arn_set(&lately[i % KEPT]->self, lately[i % KEPT]);
        arn_domain_stats(NULL, &stats);
        after_bytes = stats.held_bytes > after_bytes ? stats.held_bytes : after_bytes;
    }
    EXPECT_LE(after_bytes, before_bytes + most_bytes + most_bytes / 4);
}

TEST(objects_corners, a_rest_is_over_when_garbage_has_outgrown_the_heap)
{
    IN_OWN_PROCESS(changes_its_ways());
}

/* ---- limits ---- */

static const size_t lengths[] = {33000, 99000, 300000, 1000000, 20000000};

static void limited(size_t bytes)
{
    nodes_begin(NULL);
    arn_type *text = arn_type_register(
        &(struct arn_type_info){.name = "text", .shape = ARN_LEAF, .item_bytes = 1});
    arn_domain *domain = arn_domain_create();
    arn_domain_bind(domain);
    arn_domain_limit(domain, bytes + 100);
    void *made_one = arn_new_array(text, bytes);
    struct arn_domain_stats stats;
    arn_domain_stats(NULL, &stats);
    EXPECT_LE(stats.held_bytes, bytes + 100);
    EXPECT_EQ(stats.held_bytes > 0, made_one != NULL);
    if (made_one == NULL)
        EXPECT_EQ(errno, ENOMEM);
    arn_domain_limit(domain, bytes * 2 + 100);
    made_one = arn_new_array(text, bytes);
    EXPECT_NE(made_one, NULL);
    arn_domain_destroy(domain);
}

TEST_EACH(objects_corners, a_limit_is_kept_by_large_objects, size_t, bytes, lengths)
{
    IN_OWN_PROCESS(limited(bytes));
}

/* ---- threads that come and go ---- */

static void *make_and_release(void *type)
{
    arn_decref(arn_new(type));
    return NULL;
}

static void many_threads(void)
{
    arn_type *type = nodes_begin(NULL);
    struct arn_stats before, after;
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        ASSERT_EQ(pthread_create(&thread, NULL, make_and_release, type), 0);
        pthread_join(thread, NULL);
        arn_stats(i == 20 ? &before : &after);
    }
    EXPECT_LE(after.used_bytes, before.used_bytes + 4096);
}

TEST(objects_corners, threads_that_end_leave_nothing)
{
    IN_OWN_PROCESS(many_threads());
}

static atomic_bool over;

static void *take_weakly(void *weak)
{
    while (!atomic_load(&over)) {
        struct node *node = arn_weak_get(weak);
        if (node == NULL)
            continue;
        EXPECT_EQ(node->number, 4711);
        arn_decref(node);
    }
    return NULL;
}

static void *drop_it(void *node)
{
    arn_decref(node);
    return NULL;
}

/* The last reference goes in one thread while others ask for one more. */
static void weak_and_last(void)
{
    arn_type *type = nodes_begin(NULL);
    for (int i = 0; i < (EMULATED ? 60 : 300); i++) {
        struct node *node = arn_new(type);
        node->number = 4711;
        arn_share(node);
        arn_weak *weak = arn_weak_new(node, NULL, NULL);
        pthread_t askers[2], dropper;
        atomic_store(&over, false);
        for (int j = 0; j < 2; j++)
            pthread_create(&askers[j], NULL, take_weakly, weak);
        pthread_create(&dropper, NULL, drop_it, node);
        pthread_join(dropper, NULL);
        for (int j = 0; j < 1000 && objects_alive() > 0; j++)
            arn_gc_collect(0);
        atomic_store(&over, true);
        for (int j = 0; j < 2; j++)
            pthread_join(askers[j], NULL);
        arn_gc_collect(0);
        ASSERT_EQ(objects_alive(), 0);
        ASSERT_EQ(arn_weak_get(weak), NULL);
        arn_weak_release(weak);
    }
}

TEST(objects_corners, the_last_reference_may_go_as_others_ask_for_one)
{
    IN_OWN_PROCESS(weak_and_last());
}

static void *make_weak(void *type)
{
    struct node *node = arn_new(type);
    while (!atomic_load(&over))
        arn_weak_release(arn_weak_new(node, NULL, NULL));
    return NULL;
}

static void fork_meanwhile(void)
{
    arn_type *type = nodes_begin(NULL);
    struct node *node = arn_new(type);
    pthread_t thread;
    pthread_create(&thread, NULL, make_weak, type);
    for (int i = 0; i < (SANITIZED || EMULATED ? 20 : 200); i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(300);
            arn_weak_release(arn_weak_new(node, NULL, NULL));
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
        if (status != 0)
            break;
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
}

TEST(objects_corners, weak_references_are_made_in_a_child_of_threads_that_make_them)
{
    IN_OWN_PROCESS(fork_meanwhile());
}
