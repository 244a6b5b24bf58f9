/* growth.c - a heap that only grows: small trees on a spine, none of which is dropped.
 *
 *     growth [--scale F]
 *
 * object_ns is for each node of all, eighth_ns for each of the first eighth: where the cost is linear in
 * the heap's size, they are the same. collector_share is what of the time went to collections.
 */
#include "manager.h"

enum { TREE = 1023 };

int main(int argc, char **argv)
{
    size_t count = scaled(MANY, read_scale(argc, argv)), eighth = count / 8, made = 0;
    manager_start();
    manager_watch();
    ref spine = NULL;
    double start_ns = now_ns(), eighth_ns = 0;
    while (made < count) {
        ref node = node_new();
        node_give(&node->left, MOVED(spine));
        node_give(&node->right, tree_new(TREE));
        spine = MOVED(node);
        made += TREE + 1;
        if (eighth_ns == 0 && made >= eighth)
            eighth_ns = (now_ns() - start_ns) / (double)made;
    }
    double total_ns = now_ns() - start_ns;
    print_figure("object_ns", total_ns / (double)made);
    print_figure("eighth_ns", eighth_ns);
    print_figure("collector_share", manager_collector_ns() / total_ns);
#ifdef MANAGER_COLLECTS
    CHECK(manager_collect() <= 0 && manager_lives(made));
#endif
    size_t found = 0;
    for (const ref *at = &spine; *at != NULL; at = &(*at)->left)
        found += 1 + tree_count(&(*at)->right);
    CHECK(found == made);
    return 0;
}
