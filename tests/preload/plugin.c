/* plugin.c - a plug-in of deepbind.c: it allocates and frees, by itself and with who has opened it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *plugin_malloc(size_t bytes);
void plugin_free(void *block);
int plugin_works(void);
void *plugin_address_of_malloc(void);

void *plugin_malloc(size_t bytes)
{
    return malloc(bytes);
}

void plugin_free(void *block)
{
    free(block);
}

/* libc allocates, and what it allocated is resized and freed here. */
int plugin_works(void)
{
    char *line = NULL, *text = strdup("a string");
    size_t capacity = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    if (text == NULL || file == NULL || getline(&line, &capacity, file) <= 0 ||
        (line = realloc(line, 10000)) == NULL || (text = reallocarray(text, 10, 1000)) == NULL)
        return 0;
    fclose(file);
    free(line);
    free(text);
    return 1;
}

void *plugin_address_of_malloc(void)
{
    return (void *)malloc;
}
