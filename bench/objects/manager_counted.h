/* manager_counted.h - what a program writes itself: a count in the node, over malloc. The floor for all
 * others: without types, checks, or a collector. With MANAGER_ATOMIC the count is atomic. */
#define MANAGER_COUNTS
#define NODE_RECURSES
#define MOVED(reference) (reference)

typedef struct node *ref;
struct node {
    size_t count;
    ref left, right;
    NODE_FIELDS
};

static inline void manager_start(void)
{
}

static inline ref node_new(void)
{
    ref node = calloc(1, sizeof *node);
    CHECK(node != NULL);
    node->count = 1;
    return node;
}

static inline void node_give(ref *field, ref value)
{
    *field = value;
}

static inline void node_hold(ref node)
{
#ifdef MANAGER_ATOMIC
    __atomic_fetch_add(&node->count, 1, __ATOMIC_RELAXED);
#else
    node->count++;
#endif
}

/* Whether it was the last. */
static inline bool node_leave(ref node)
{
#ifdef MANAGER_ATOMIC
    return __atomic_fetch_sub(&node->count, 1, __ATOMIC_ACQ_REL) == 1;
#else
    return --node->count == 0;
#endif
}

static inline void node_set(ref *field, const ref *other)
{
    node_hold(*other);
    *field = *other;
}

static void node_drop(ref *reference)
{
    ref node = *reference;
    *reference = NULL;
    if (node != NULL && node_leave(node)) {
        node_drop(&node->left);
        node_drop(&node->right);
        free(node);
    }
}

static inline void node_pair(const ref *reference)
{
    ref held = *reference;
    node_hold(held);
    __asm__ volatile("" ::: "memory");
    if (node_leave(held))
        node_drop(&held);
}
