/* hot_pair.c - one block allocated and freed again and again: the fast path and nothing else.
 *
 *     hot_pair [--scale F]
 *
 * No paper: the loop by which fast paths are counted. The sizes come in turn, for a thousand pairs
 * each, so that no size alone decides.
 */
#include "workload.h"

enum { ROUNDS = 13000, PAIRS = 1000 };

static const size_t sizes[] = {16, 64, 1024, 4096, 20000};

int main(int argc, char **argv)
{
    double scale = 1;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    for (size_t round = scaled(ROUNDS, scale); round > 0; round--) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (size_t pair = 0; pair < PAIRS; pair++) {
                volatile size_t *block = malloc(sizes[i]);
                CHECK(block != NULL);
                *block = pair;
                CHECK(*block == pair);
                free((void *)block);
            }
        }
    }
    return 0;
}
