/* tracing_objects.c - objects are traced until they are gone, however they go. */
#include <arenite/object.h>

#include "nodes.h"
#include "traced.h"

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
