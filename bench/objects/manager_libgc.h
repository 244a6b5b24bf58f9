/* manager_libgc.h - Boehm's collector: nothing is counted; pointers are found conservatively.
 *
 * Its marking runs in as many threads as there are processors, unless GC_MARKERS=1.
 */
#define GC_THREADS
#include <gc/gc.h>
#include <gc/gc_mark.h>

#define MANAGER_COLLECTS
#define MANAGER_HAS_VECTORS
#define MOVED(reference) (reference)

typedef struct node *ref;
struct node {
    ref left, right;
    NODE_FIELDS
};

static inline void manager_start(void)
{
    GC_set_handle_fork(1);
    GC_INIT();
}

static inline ref node_new(void)
{
    ref node = GC_NEW(struct node);
    CHECK(node != NULL);
    return node;
}

static inline void node_give(ref *field, ref value)
{
    *field = value;
}

static inline void node_set(ref *field, const ref *other)
{
    *field = *other;
}

static inline void node_drop(ref *reference)
{
    *reference = NULL;
}

/* Seen, as the vectors of other managers are. */
static inline ref *refs_new(size_t count)
{
    ref *refs = GC_MALLOC_UNCOLLECTABLE(count * sizeof *refs);
    CHECK(refs != NULL);
    return refs;
}

static inline void refs_delete(ref *refs)
{
    GC_FREE(refs);
}

static inline double *doubles_new(size_t count)
{
    double *doubles = GC_MALLOC_ATOMIC(count * sizeof *doubles);
    CHECK(doubles != NULL);
    memset(doubles, 0, count * sizeof *doubles);
    return doubles;
}

static inline void doubles_delete(double *doubles)
{
    (void)doubles;
}

/* No pointer of a function that has returned is on the stack any more. */
static __attribute__((noinline)) void clear_stack(void)
{
    char stack[4 * PAGE_BYTES];
    memset(stack, 0, sizeof stack);
    __asm__ volatile("" ::"r"(stack) : "memory");
}

static inline long manager_collect(void)
{
    clear_stack();
    bool is_disabled = GC_is_disabled(); /* which is meant for this one, too */
    if (is_disabled)
        GC_enable();
    GC_gcollect();
    if (is_disabled)
        GC_disable();
    return -1;
}

/* A heap that grows leaves words that look like pointers, of which one is enough to keep a chain or a
 * graph as a whole. */
static inline void manager_still(size_t nodes)
{
    GC_disable();
    CHECK(GC_expand_hp((1 << 20) + nodes * 5 * sizeof(void *)));
}

static void count_node(void *object, size_t bytes, void *nodes)
{
    (void)object;
    *(size_t *)nodes += bytes < PAGE_BYTES;
}

static void *count_nodes(void *nodes)
{
    GC_enumerate_reachable_objects_inner(count_node, nodes);
    return NULL;
}

static inline size_t found_nodes(void)
{
    size_t found = 0;
    GC_call_with_alloc_lock(count_nodes, &found);
    return found;
}

/* As the last collection found it. What only looks like a pointer may hold some more. */
static inline bool manager_lives(size_t nodes)
{
    size_t found = found_nodes();
    return found >= nodes && found <= nodes + nodes / 100 + 1000;
}

/* Or a part of them. */
static inline bool manager_gone(size_t nodes)
{
    return found_nodes() <= nodes / 4 + 1000;
}

static inline void watch(GC_EventType event)
{
    if (event == GC_EVENT_START)
        pause_begins();
    else if (event == GC_EVENT_END)
        pause_ends();
}

static inline double manager_collector_ns(void)
{
    return pauses.total_ns;
}

static inline void manager_watch(void)
{
    GC_set_on_collection_event(watch);
}
