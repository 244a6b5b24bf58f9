/* lists.c - linked lists built interleaved, walked many times, and dropped.
 *
 *     lists [--scale F]
 *
 * How fast a program uses its memory depends on where the allocator puts it: Feng and Berger, "A
 * Locality-Improving Dynamic Memory Allocator", 2005. Half of the lists die in each round, so that
 * new nodes go where old ones were.
 */
#include "workload.h"

enum { ROUNDS = 6, LISTS = 64, PUSHES = 100000, WALKS = 10 };

struct node {
    struct node *next;
    uint64_t number;
    /* up to 48 bytes more, by list */
};

static struct list {
    struct node *first;
    uint64_t sum; /* of the numbers */
} lists[LISTS];

static void push(size_t idx, uint64_t number)
{
    struct node *node = malloc(sizeof *node + idx % 4 * 16);
    CHECK(node != NULL);
    *node = (struct node){lists[idx].first, number};
    lists[idx].first = node;
    lists[idx].sum += number;
}

static void walk(const struct list *list)
{
    uint64_t sum = 0;
    for (const struct node *node = list->first; node != NULL; node = node->next)
        sum += node->number;
    CHECK(sum == list->sum);
}

static void drop(struct list *list)
{
    walk(list);
    for (struct node *node = list->first, *next; node != NULL; node = next) {
        next = node->next;
        node->number = 0;
        free(node);
    }
    *list = (struct list){NULL, 0};
}

int main(int argc, char **argv)
{
    double scale = 1;
    uint64_t seed = 6;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    for (size_t round = scaled(ROUNDS, scale); round > 0; round--) {
        for (size_t i = 0; i < PUSHES; i++)
            push(random_below(&seed, LISTS), random_next(&seed) | 1);
        for (size_t i = 0; i < WALKS * LISTS; i++)
            walk(&lists[i % LISTS]);
        for (size_t i = 0; i < LISTS; i++) {
            if (random_below(&seed, 2) == 0)
                drop(&lists[i]);
        }
    }
    for (size_t i = 0; i < LISTS; i++)
        drop(&lists[i]);
    return 0;
}
