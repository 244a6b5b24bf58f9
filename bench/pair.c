/* pair.c - the smallest loop there is: one block allocated and freed, COUNT times.
 *
 *     pair BYTES COUNT
 */
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    size_t bytes = strtoul(argv[1], NULL, 0);
    for (long left = strtol(argv[2], NULL, 0); left > 0; left--) {
        void *block = malloc(bytes);
        __asm__ volatile("" : : "r"(block) : "memory");
        free(block);
    }
    return 0;
}
