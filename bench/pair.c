/* pair.c - the smallest loop there is: one block allocated and freed, COUNT times.
 *
 *     pair BYTES COUNT
 *
 * Compiled with -DBYTES=n: inlined and with a constant size, of which BYTES is then a copy. With
 * -DBYTES=0: the loop alone.
 */
#ifdef BYTES
#include <arenite/inline.h>
#endif
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    size_t bytes = strtoul(argv[1], NULL, 0);
    for (long left = strtol(argv[2], NULL, 0); left > 0; left--) {
#ifndef BYTES
        void *block = malloc(bytes);
        __asm__ volatile("" : : "r"(block) : "memory");
        free(block);
#elif BYTES > 0
        void *block = arn_inline_malloc(BYTES);
        __asm__ volatile("" : : "r"(block) : "memory");
        arn_inline_free_sized(block, BYTES);
#else
        __asm__ volatile("" : : "r"(bytes) : "memory");
#endif
    }
    return 0;
}
