/* plugin_own.c - a plug-in of deepbind.c with a malloc of its own under libc's names: whether it gets that, as with
 * RTLD_DEEPBIND, or the program's, its blocks go where they are from. */
#include <stddef.h>
#include <string.h>

static _Alignas(16) char memory[100000];
static size_t used;

int plugin_works(void);
void *malloc(size_t bytes);
void free(void *block);

void *malloc(size_t bytes)
{
    char *block = memory + used;
    used += (bytes + 15) / 16 * 16;
    return used <= sizeof memory ? block : NULL;
}

void free(void *block)
{
    if (block != NULL && ((char *)block < memory || (char *)block >= memory + sizeof memory))
        __builtin_trap();
}

int plugin_works(void)
{
    char *block = malloc(100);
    if (block == NULL)
        return 0;
    memset(block, 1, 100);
    free(block);
    return 1;
}
