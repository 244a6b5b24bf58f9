/* manager_arenite.h - arenite's objects; with MANAGER_SHARED, those that are shared from birth. */
#include <arenite/object.h>
#include <stddef.h>

#ifdef MANAGER_SHARED
enum { SHARED_FROM_BIRTH = true };
#else
enum { SHARED_FROM_BIRTH = false };
#define MANAGER_COLLECTS
#endif
#define MANAGER_COUNTS
#define MOVED(reference) (reference)

typedef struct node *ref;
struct node {
    ref left, right;
    NODE_FIELDS
};
static arn_type *node_type;

static inline void manager_start(void)
{
    static const size_t fields[] = {offsetof(struct node, left), offsetof(struct node, right)};
    node_type = arn_type_register(&(struct arn_type_info){.name = "node",
                                                          .bytes = sizeof(struct node),
                                                          .shape = ARN_FIXED,
                                                          .offsets = fields,
                                                          .offset_count = 2,
                                                          .shared = SHARED_FROM_BIRTH});
    CHECK(node_type != NULL);
}

static inline ref node_new(void)
{
    ref node = arn_new(node_type);
    CHECK(node != NULL);
    return node;
}

static inline void node_give(ref *field, ref value)
{
    arn_move(field, value);
}

static inline void node_set(ref *field, const ref *other)
{
    arn_set(field, *other);
}

static inline void node_drop(ref *reference)
{
    arn_clear(reference);
}

static inline void node_pair(const ref *reference)
{
    arn_incref(*reference);
    __asm__ volatile("" ::: "memory");
    arn_decref(*reference);
}

static inline long manager_collect(void)
{
    return arn_gc_collect(ARN_GENERATIONS - 1);
}

static inline void manager_still(size_t nodes)
{
    (void)nodes;
    arn_gc_disable();
}

static inline bool manager_lives(size_t nodes)
{
    struct arn_domain_stats stats;
    arn_domain_stats(NULL, &stats);
    return stats.objects == nodes;
}

static inline bool manager_gone(size_t nodes)
{
    (void)nodes;
    return manager_lives(0);
}

static inline double manager_collector_ns(void)
{
    struct arn_gc_stats stats[ARN_GENERATIONS];
    arn_gc_stats(stats);
    return (double)(stats[0].ns + stats[1].ns + stats[2].ns);
}

static inline void watch(const struct arn_gc_info *info, void *context)
{
    (void)context;
    info->ends ? pause_ends() : pause_begins();
}

static inline void manager_watch(void)
{
    CHECK(arn_gc_callback(watch, NULL) == 0);
}
