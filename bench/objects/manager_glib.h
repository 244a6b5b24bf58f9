/* manager_glib.h - GLib's boxes with a count, GRcBox; with MANAGER_ATOMIC, GArcBox. */
#include <glib.h>

#define MANAGER_COUNTS
#define NODE_RECURSES
#define MOVED(reference) (reference)
#ifdef MANAGER_ATOMIC
#define BOX(name) g_atomic_rc_box_##name
#else
#define BOX(name) g_rc_box_##name
#endif

typedef struct node *ref;
struct node {
    ref left, right;
    NODE_FIELDS
};

static inline void manager_start(void)
{
}

static inline ref node_new(void)
{
    return (ref)BOX(alloc0)(sizeof(struct node));
}

static inline void node_give(ref *field, ref value)
{
    *field = value;
}

static inline void node_set(ref *field, const ref *other)
{
    *field = (ref)BOX(acquire)(*other);
}

static inline void node_drop(ref *reference);

static inline void node_clear(void *node)
{
    node_drop(&((ref)node)->left);
    node_drop(&((ref)node)->right);
}

static inline void node_drop(ref *reference)
{
    ref node = *reference;
    *reference = NULL;
    if (node != NULL)
        BOX(release_full)(node, node_clear);
}

static inline void node_pair(const ref *reference)
{
    ref held = (ref)BOX(acquire)(*reference);
    __asm__ volatile("" ::: "memory");
    BOX(release_full)(held, node_clear);
}
