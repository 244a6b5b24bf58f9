/* binary_trees.c - after binary-trees of the Computer Language Benchmarks Game: trees of each height,
 * the same number of nodes of each, beside a tree that stays.
 *
 *     binary_trees [--scale F]
 */
#include "manager.h"

enum { LEAST = 4, MOST = 18 };

static size_t tree_size(unsigned height)
{
    return ((size_t)2 << height) - 1;
}

static void build_and_drop(unsigned height)
{
    ref tree = tree_new(tree_size(height));
    CHECK(tree_count(&tree) == tree_size(height));
    node_drop(&tree);
}

int main(int argc, char **argv)
{
    unsigned most = scaled_height(MOST, read_scale(argc, argv));
    manager_start();
    build_and_drop(most + 1);
    ref lasting = tree_new(tree_size(most));
    for (unsigned height = LEAST; height <= most; height += 2) {
        for (size_t trees = (size_t)1 << (most - height + LEAST); trees > 0; trees--)
            build_and_drop(height);
    }
    CHECK(tree_count(&lasting) == tree_size(most));
    node_drop(&lasting);
    return 0;
}
