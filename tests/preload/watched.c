/* watched.c - a library that watches malloc, calloc, realloc and free sees what they are given and what else is
 * built on them, preloaded before this one or after. */
#include <dlfcn.h>
#include <libgen.h>

#include "foreign.h"
#include "self.h"

extern size_t watcher_made __attribute__((weak));
extern size_t watcher_unknown __attribute__((weak));
extern size_t watcher_opened __attribute__((weak));

static char folder[4096];

static void every_name(void)
{
    char *line = NULL;
    size_t capacity = 0;
    free(opaque(reallocarray(NULL, 10, 10)));
    free(opaque(reallocarray(opaque(malloc(10)), 10, 10)));
    free(opaque(calloc(10, 10)));
    free(opaque(strdup("a string")));
    free_sized(opaque(malloc(10)), 10);
    free_aligned_sized(opaque(malloc(10)), 16, 10);
    cfree(opaque(malloc(10)));
    operator_delete(opaque(operator_new(10)));
    operator_delete_sized(opaque(operator_new(10)), 10);
    operator_delete_array(opaque(operator_new_array(10)));
    operator_delete(opaque(operator_new_nothrow(10, NULL)));
    operator_delete_aligned(opaque(operator_new_aligned(10, 16)), 16);
    FILE *file = fopen("/proc/self/maps", "r");
    CHECK(file != NULL && getline(&line, &capacity, file) > 0 && fclose(file) == 0);
    free(line);
}

/* `counts`: whether the watcher comes first, and so sees anything. */
static void watched(bool counts)
{
    enum { ROUNDS = 100, LEAST = 13 };
    CHECK(&watcher_made != NULL && &watcher_unknown != NULL && foreign_names_are_there());
    size_t made = watcher_made;
    for (unsigned i = 0; i < ROUNDS; i++)
        every_name();
    made = watcher_made - made;
    CHECK(watcher_unknown == 0);
    CHECK(counts ? made >= (size_t)ROUNDS * LEAST : made == 0);
    char path[sizeof folder + 20];
    snprintf(path, sizeof path, "%s/plugin.so", folder);
    void *plugin = dlopen(path, RTLD_NOW | RTLD_DEEPBIND);
    CHECK(plugin != NULL && watcher_opened > 0);
    int (*works)(void) = (int (*)(void))dlsym(plugin, "plugin_works");
    void (*give)(void *) = (void (*)(void *))dlsym(plugin, "plugin_free");
    CHECK(works != NULL && works());
    give(malloc(100));
    CHECK(watcher_unknown == 0);
}

static void expect_watched(const char *mode, const char *first, const char *second)
{
    struct said said;
    char both[3 * sizeof folder];
    snprintf(both, sizeof both, "%s:%s", first, second);
    run_again(&said, mode, "LD_PRELOAD", both);
    if (said.status != 0 || said.text[0] != '\0') {
        dprintf(2, "LD_PRELOAD=%s: status %x: %s\n", both, said.status, said.text);
        _exit(1);
    }
}

int main(int count, char **arguments)
{
    if (!program_is_preloaded())
        SKIP("about the shared library only");
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    CHECK(length > 0);
    dirname(folder);
    if (count > 1) {
        watched(strcmp(arguments[1], "first") == 0);
        return 0;
    }
    char watcher[sizeof folder + 20];
    snprintf(watcher, sizeof watcher, "%s/watcher.so", folder);
    const char *library = getenv("ARENITE_LIB");
    CHECK(library != NULL);
    expect_watched("first", watcher, library);
    expect_watched("second", library, watcher);
    return 0;
}
