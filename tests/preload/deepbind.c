/* deepbind.c - plug-ins opened with RTLD_DEEPBIND share blocks with the program, unless the option says that the
 * flag stays; dlopen and dlmopen do else what they do without the library. */
#include <dlfcn.h>
#include <libgen.h>
#include <stdbool.h>

#include "self.h"

static char folder[4096];

/* Beside this program: what the flag is for is not looked for in the library's folder. */
static const char *path(const char *name)
{
    static char path[sizeof folder + 100];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void *expect_open(void *plugin)
{
    if (plugin == NULL) {
        dprintf(2, "%s\n", dlerror());
        _exit(1);
    }
    return plugin;
}

static void expect_works(void *plugin)
{
    int (*works)(void) = (int (*)(void))dlsym(plugin, "plugin_works");
    CHECK(works != NULL && works());
}

static bool has_malloc_of_program(void *plugin)
{
    void *(*address)(void) = (void *(*)(void))dlsym(plugin, "plugin_address_of_malloc");
    CHECK(address != NULL);
    return address() == dlsym(RTLD_DEFAULT, "malloc");
}

static void share(void *plugin)
{
    void *(*take)(size_t) = (void *(*)(size_t))dlsym(plugin, "plugin_malloc");
    void (*give)(void *) = (void (*)(void *))dlsym(plugin, "plugin_free");
    CHECK(has_malloc_of_program(plugin));
    expect_works(plugin);
    for (size_t bytes = 1; bytes < 10 << 20; bytes *= 5) {
        give(malloc(bytes));
        free(take(bytes));
    }
    CHECK(dlclose(plugin) == 0);
}

static void share_all(void)
{
    static const int flags[] = {RTLD_NOW, RTLD_LAZY, RTLD_NOW | RTLD_DEEPBIND,
                                RTLD_LAZY | RTLD_DEEPBIND, RTLD_NOW | RTLD_GLOBAL | RTLD_DEEPBIND};
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        share(expect_open(dlopen(path("plugin.so"), flags[i])));
        share(expect_open(dlmopen(LM_ID_BASE, path("plugin.so"), flags[i])));
        /* libc asks who calls: the program, whose folder this is. */
        share(expect_open(dlopen("$ORIGIN/plugin.so", flags[i])));
    }
}

/* A libc of its own, and a malloc: the flag is none of our business there. */
static void in_new_namespace(void)
{
    for (int flags = RTLD_NOW; flags != 0;
         flags = flags == RTLD_NOW ? RTLD_NOW | RTLD_DEEPBIND : 0) {
        void *plugin = expect_open(dlmopen(LM_ID_NEWLM, path("plugin.so"), flags));
        CHECK(!has_malloc_of_program(plugin));
        expect_works(plugin);
        CHECK(dlclose(plugin) == 0);
    }
}

static void errors(void)
{
    CHECK(dlopen("no such library", RTLD_NOW | RTLD_DEEPBIND) == NULL && dlerror() != NULL);
    CHECK(dlmopen(LM_ID_BASE, "no such library", RTLD_NOW | RTLD_DEEPBIND) == NULL);
    CHECK(dlerror() != NULL);
    CHECK(dlmopen(12345, path("plugin.so"), RTLD_NOW | RTLD_DEEPBIND) == NULL && dlerror() != NULL);
    CHECK(dlopen(path("plugin.so"), RTLD_NOW | RTLD_NOLOAD | RTLD_DEEPBIND) == NULL);
    CHECK(dlopen(NULL, RTLD_NOW | RTLD_DEEPBIND) == expect_open(dlopen(NULL, RTLD_NOW)));
}

static void expect_kept(void)
{
    void *plugin = expect_open(dlopen(path("plugin.so"), RTLD_NOW | RTLD_DEEPBIND));
    CHECK(!has_malloc_of_program(plugin));
    CHECK(dlclose(plugin) == 0);
    expect_works(expect_open(dlopen(path("plugin_own.so"), RTLD_NOW | RTLD_DEEPBIND)));
}

int main(int count, char **arguments)
{
    if (!program_is_preloaded())
        SKIP("about the shared library only");
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    CHECK(length > 0);
    dirname(folder);
    if (count > 1 && strcmp(arguments[1], "kept") == 0) {
        expect_kept();
        return 0;
    }
    share_all();
    expect_works(expect_open(dlopen(path("plugin_own.so"), RTLD_NOW | RTLD_DEEPBIND)));
    errors();
    in_new_namespace();
    struct said said;
    run_again(&said, "kept", "ARENITE_OPTIONS", "deepbind=keep");
    if (said.status != 0)
        dprintf(2, "deepbind=keep: status %x: %s\n", said.status, said.text);
    return said.status != 0;
}
