/* trees.c - binary trees built, walked and dropped, beside one that stays.
 *
 *     trees [--scale F]
 *
 * After GCBench (Ellis, Kovac and Boehm, 1997) and binary-trees of the Computer Language Benchmarks
 * Game: many small trees or few tall ones, the same number of nodes for each height.
 */
#include "workload.h"

enum { ROUNDS = 10, LEAST_HEIGHT = 4, MOST_HEIGHT = 18, STEP = 2 };

struct node {
    struct node *left, *right;
    uint64_t number; /* as in a heap: the root's is 1, the children's 2n and 2n + 1 */
};

static struct node *build(unsigned height, uint64_t number)
{
    struct node *node = malloc(sizeof *node);
    CHECK(node != NULL);
    *node = (struct node){NULL, NULL, number};
    if (height > 0) {
        node->left = build(height - 1, 2 * number);
        node->right = build(height - 1, 2 * number + 1);
    }
    return node;
}

static uint64_t count(const struct node *node, uint64_t number)
{
    CHECK(node->number == number);
    if (node->left == NULL)
        return 1;
    return 1 + count(node->left, 2 * number) + count(node->right, 2 * number + 1);
}

static void drop(struct node *node)
{
    if (node->left != NULL) {
        drop(node->left);
        drop(node->right);
    }
    node->number = 0;
    free(node);
}

static void build_and_drop(unsigned height)
{
    struct node *tree = build(height, 1);
    CHECK(count(tree, 1) == ((uint64_t)2 << height) - 1);
    drop(tree);
}

int main(int argc, char **argv)
{
    double scale = 1;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    struct node *lasting = build(MOST_HEIGHT, 1);
    for (size_t round = scaled(ROUNDS, scale); round > 0; round--) {
        for (unsigned height = LEAST_HEIGHT; height <= MOST_HEIGHT; height += STEP) {
            for (size_t trees = (size_t)1 << (MOST_HEIGHT - height); trees > 0; trees--)
                build_and_drop(height);
        }
    }
    CHECK(count(lasting, 1) == ((uint64_t)2 << MOST_HEIGHT) - 1);
    drop(lasting);
    return 0;
}
