/* gcbench.c - after GCBench (Ellis, Kovac and Boehm, 1997; Clinger, Larceny), with trees of four times
 * the nodes: trees of short life, built from the root down and from the leaves up, beside a tree and an
 * array that stay.
 *
 *     gcbench [--scale F]
 */
#define NODE_FIELDS int i, j;
#include "manager.h"

enum { STRETCH = 20, LASTING = 18, LEAST = 4, MOST = 18, DOUBLES = 2000000 };

static size_t tree_size(unsigned height)
{
    return ((size_t)2 << height) - 1;
}

static void populate(ref *node, unsigned height)
{
    if (height == 0)
        return;
    node_give(&(*node)->left, node_new());
    node_give(&(*node)->right, node_new());
    populate(&(*node)->left, height - 1);
    populate(&(*node)->right, height - 1);
}

static ref build(unsigned height)
{
    if (height == 0)
        return node_new();
    ref left = build(height - 1), right = build(height - 1);
    ref node = node_new();
    node_give(&node->left, MOVED(left));
    node_give(&node->right, MOVED(right));
    return node;
}

static void build_and_drop(unsigned height, size_t trees)
{
    for (size_t i = 0; i < trees; i++) {
        ref tree = node_new();
        populate(&tree, height);
        CHECK(i > 0 || tree_count(&tree) == tree_size(height));
        node_drop(&tree);
    }
    for (size_t i = 0; i < trees; i++) {
        ref tree = build(height);
        CHECK(i > 0 || tree_count(&tree) == tree_size(height));
        node_drop(&tree);
    }
}

int main(int argc, char **argv)
{
    double scale = read_scale(argc, argv);
    unsigned stretch = scaled_height(STRETCH, scale), most = scaled_height(MOST, scale);
    unsigned lasting_height = scaled_height(LASTING, scale);
    manager_start();
    ref tree = build(stretch);
    CHECK(tree_count(&tree) == tree_size(stretch));
    node_drop(&tree);

    ref lasting = node_new();
    populate(&lasting, lasting_height);
    double *doubles = doubles_new(DOUBLES);
    for (int i = 0; i < DOUBLES / 2; i++)
        doubles[i] = 1.0 / (i + 1);
    for (unsigned height = LEAST; height <= most; height += 2)
        build_and_drop(height, 2 * tree_size(stretch) / tree_size(height));

    CHECK(tree_count(&lasting) == tree_size(lasting_height));
    CHECK(doubles[1000] == 1.0 / 1001 && doubles[DOUBLES - 1] == 0);
    node_drop(&lasting);
    doubles_delete(doubles);
    return 0;
}
