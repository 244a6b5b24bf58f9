/* chain.c - a chain of nodes, each the only one to refer to the next, released at its head.
 *
 *     chain [--scale F]
 *
 * On a thread with a stack of 64 KiB. A manager that would take stack for each node (NODE_RECURSES) is
 * helped: the program unlinks one node after the other. One that does not count releases by a
 * collection.
 */
#include "manager.h"

enum { STACK_BYTES = 64 << 10 };
static size_t count;

static void release(ref *chain)
{
#ifdef NODE_RECURSES
    while (*chain != NULL) {
        ref next = MOVED((*chain)->left);
        (*chain)->left = NULL;
        node_drop(chain);
        node_give(chain, MOVED(next));
    }
#else
    node_drop(chain);
#endif
#ifndef MANAGER_COUNTS
    manager_collect();
#endif
}

static __attribute__((noinline)) ref build(void)
{
    ref chain = node_new();
    for (size_t i = 1; i < count; i++) {
        ref node = node_new();
        node_give(&node->left, MOVED(chain));
        chain = MOVED(node);
    }
    size_t found = 0;
    for (const ref *at = &chain; *at != NULL; at = &(*at)->left)
        found++;
    CHECK(found == count);
    return chain;
}

static void *body(void *nothing)
{
#ifdef MANAGER_COLLECTS
    manager_still(count);
#endif
    ref chain = build();
    double start_ns = now_ns();
    release(&chain);
    print_figure("release_ns", (now_ns() - start_ns) / (double)count);
#ifdef MANAGER_COLLECTS
    CHECK(manager_gone(count));
#endif
    return nothing;
}

int main(int argc, char **argv)
{
    count = scaled(MANY, read_scale(argc, argv));
    manager_start();
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0);
    CHECK(pthread_create(&thread, &attributes, body, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
