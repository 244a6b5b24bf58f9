/* manager_make_shared.h - C++'s std::shared_ptr: node and counts in one block. libstdc++ counts
 * atomically once the process has had a second thread. */
#include <memory>
#include <utility>

#define MANAGER_COUNTS
#define NODE_RECURSES
#define MANAGER_HAS_VECTORS
#define MOVED(reference) (std::move(reference))

typedef std::shared_ptr<struct node> ref;
struct node {
    ref left, right;
    NODE_FIELDS
};

static inline void manager_start(void)
{
}

static inline ref node_new(void)
{
    return std::make_shared<node>();
}

static inline void node_give(ref *field, ref &&value)
{
    *field = std::move(value);
}

static inline void node_set(ref *field, const ref *other)
{
    *field = *other;
}

static inline void node_drop(ref *reference)
{
    reference->reset();
}

static inline void node_pair(const ref *reference)
{
    ref held = *reference;
    __asm__ volatile("" ::: "memory");
}

static inline ref *refs_new(size_t count)
{
    return new ref[count];
}

static inline void refs_delete(ref *refs)
{
    delete[] refs;
}

static inline double *doubles_new(size_t count)
{
    return new double[count]();
}

static inline void doubles_delete(double *doubles)
{
    delete[] doubles;
}
