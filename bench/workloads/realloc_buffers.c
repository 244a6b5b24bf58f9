/* realloc_buffers.c - a few buffers that grow by half, in turn, from 4 KiB to 48 MiB.
 *
 *     realloc_buffers [--scale F]
 *
 * Vectors and input buffers, as discussed in the notes on folly's fbvector (Alexandrescu, 2012):
 * whether growth copies, moves pages or takes place where the buffer is.
 */
#include "workload.h"

enum { ROUNDS = 10, BUFFERS = 4, FIRST_BYTES = 4 << 10, LAST_BYTES = 48 << 20 };

/* The words at the start of each page hold their own index. */
enum { PAGE_WORDS = PAGE_BYTES / sizeof(size_t) };

static size_t *buffers[BUFFERS];

static void grow(size_t **buffer, size_t from, size_t to)
{
    *buffer = realloc(*buffer, to);
    CHECK(*buffer != NULL);
    for (size_t i = 0; i < to / sizeof(size_t); i += PAGE_WORDS) {
        if (i < from / sizeof(size_t))
            CHECK((*buffer)[i] == i);
        else
            (*buffer)[i] = i;
    }
}

int main(int argc, char **argv)
{
    double scale = 1;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    for (size_t round = scaled(ROUNDS, scale); round > 0; round--) {
        size_t from = 0;
        for (size_t to = FIRST_BYTES; to <= LAST_BYTES;
             to += to / 2 / PAGE_BYTES * PAGE_BYTES + PAGE_BYTES) {
            for (size_t i = 0; i < BUFFERS; i++)
                grow(&buffers[i], from, to);
            from = to;
        }
        for (size_t i = 0; i < BUFFERS; i++) {
            free(buffers[i]);
            buffers[i] = NULL;
        }
    }
    return 0;
}
