/* nodes.h - objects for tests: two references and a number. */
#ifndef ARENITE_NODES_H
#define ARENITE_NODES_H

#include <arenite/object.h>
#include <stddef.h>

struct node {
    struct node *left, *right;
    long number;
};

static inline arn_type *any_node_type(const char *name, void (*finalize)(void *), bool shared)
{
    static const size_t fields[] = {offsetof(struct node, left), offsetof(struct node, right)};
    return arn_type_register(&(struct arn_type_info){.name = name,
                                                     .bytes = sizeof(struct node),
                                                     .shape = ARN_FIXED,
                                                     .offsets = fields,
                                                     .offset_count = 2,
                                                     .finalize = finalize,
                                                     .shared = shared});
}

static inline arn_type *node_type(const char *name, void (*finalize)(void *))
{
    return any_node_type(name, finalize, false);
}

/* Automatic collections would find what a test looks at. */
static inline arn_type *nodes_begin(void (*finalize)(void *))
{
    arn_gc_disable();
    return node_type("node", finalize);
}

/* A cycle through `left`; its first node, with one reference for the caller. */
static inline struct node *node_ring(arn_type *type, int length)
{
    struct node *first = arn_new(type), *last = first;
    for (int i = 1; i < length; i++) {
        struct node *next = arn_new(type);
        next->number = i;
        arn_move(&last->left, next);
        last = next;
    }
    arn_set(&last->left, first);
    return first;
}

/* In the calling thread's domain. */
static inline size_t objects_alive(void)
{
    struct arn_domain_stats stats;
    arn_domain_stats(NULL, &stats);
    return stats.objects;
}

#endif
