/* library.c - finds arenite's shared libraries and names them for LD_PRELOAD.
 *
 * A process hands LD_PRELOAD down to children of every kind, 32-bit ones too. The dynamic linker
 * replaces $LIB in it by the directory of its own kind (lib/x86_64-linux-gnu, lib64, lib32, …), so
 * where the library is installed in such a directory, the name with $LIB leads each child to the
 * library that it can load, if there is one.
 */
#include "library.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

static const char *file_name(const struct library *library)
{
    return strrchr(library->path, '/') + 1;
}

/* --- $LIB ------------------------------------------------------------------------------------- */

/* Asks the dynamic linker what it makes of $LIB: loads a library of libc by such a name, and looks
 * at the name it has then. NULL: no answer. */
static char *lib_token(void)
{
    static const char start[] = "/./", end[] = "/libm.so.6";
    void *handle = dlopen("/./$LIB/libm.so.6", RTLD_LAZY | RTLD_LOCAL);
    struct link_map *map;
    if (handle == NULL || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
        return NULL;
    const char *name = map->l_name;
    size_t length = strlen(name), around = strlen(start) + strlen(end);
    /* If it was loaded before, it has the name of that time, without the odd start. */
    if (strncmp(name, start, strlen(start)) != 0 || length <= around)
        return NULL;
    return text("%.*s", (int)(length - around), name + strlen(start));
}

/* The path up to "/$LIB/NAME", allocated; NULL if it does not end so. */
static char *prefix_of(const struct library *library)
{
    const char *path = library->path;
    char *token = lib_token();
    if (token == NULL)
        return NULL;
    char *end = text("/%s/%s", token, file_name(library));
    size_t length = strlen(path), end_length = strlen(end);
    if (length < end_length || strcmp(path + length - end_length, end) != 0)
        return NULL;
    return text("%.*s", (int)(length - end_length), path);
}

static bool file_kind(const char *path, struct elf *elf)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    enum elf_result result = elf_read(fd, elf);
    close(fd);
    return result == ELF_READ;
}

/* Whether a program of another kind finds its own library through $LIB. Its dynamic linker cannot
 * be asked; but $LIB is where its libc is. */
static bool sibling_for(const struct library *library, const struct elf *program)
{
    static const char *const tokens[] = {
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "lib/i386-linux-gnu",
        "lib/x86_64-linux-gnu",
        "lib/x86_64-linux-gnux32",
        "lib/aarch64-linux-gnu",
        "lib/arm-linux-gnueabihf",
    };
    for (size_t i = 0; library->prefix != NULL && i < sizeof tokens / sizeof *tokens; i++) {
        struct elf libc, sibling;
        if (file_kind(text("/%s/libc.so.6", tokens[i]), &libc) && elf_same_kind(&libc, program) &&
            file_kind(text("%s/%s/%s", library->prefix, tokens[i], file_name(library)), &sibling) &&
            elf_same_kind(&sibling, program))
            return true;
    }
    return false;
}

/* Whether the program has the dynamic linker that this command has. Another one, of a second glibc
 * say, may take $LIB for something else. */
static bool our_dynamic_linker(const struct elf *program)
{
    struct elf self;
    struct stat ours, its;
    if (program->interpreter == NULL)
        return true;
    return file_kind("/proc/self/exe", &self) && self.interpreter != NULL &&
           stat(self.interpreter, &ours) == 0 && stat(program->interpreter, &its) == 0 &&
           ours.st_dev == its.st_dev && ours.st_ino == its.st_ino;
}

char *library_preload(const struct library *library, const struct program *program)
{
    bool token = library->prefix != NULL;
    if (program != NULL && program->elf.bits != 0) {
        if (elf_same_kind(&program->elf, &library->elf))
            token = token && our_dynamic_linker(&program->elf);
        else if (!sibling_for(library, &program->elf))
            return NULL;
    }
    return token ? text("%s/$LIB/%s", library->prefix, file_name(library))
                 : text("%s", library->path);
}

/* --- The file --------------------------------------------------------------------------------- */

/* Makes the directory's part absolute, and leaves the file's name: a link's target may change.
 * NULL and errno. */
static char *absolute(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash == NULL ? text(".") : text("%.*s/", (int)(slash - path), path);
    char *real = realpath(directory, NULL);
    if (real == NULL)
        return NULL;
    return text("%s/%s", strcmp(real, "/") == 0 ? "" : real, slash == NULL ? path : slash + 1);
}

/* Why the dynamic linker would not take the open file, or NULL. */
static const char *flaw(int fd, struct elf *elf)
{
    struct stat file;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
        return "not a regular file";
    switch (elf_read(fd, elf)) {
    case ELF_OTHER:
        return "not an ELF file";
    case ELF_DAMAGED:
        return "a damaged ELF file";
    case ELF_READ:
        break;
    }
    if (!elf_native_order(elf))
        return "for a machine of the other byte order";
    if (elf->type != ET_DYN || !elf->dynamic || elf->pie)
        return "an ELF file, but not a shared library";
    return NULL;
}

bool library_open(const char *path, struct library *library)
{
    *library = (struct library){.path = absolute(path)};
    int fd = library->path == NULL
                 ? -1
                 : open(library->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        say("cannot preload library '%s': %s", path, strerror(errno));
        return false;
    }
    const char *why = flaw(fd, &library->elf);
    close(fd);
    if (why != NULL) {
        say("cannot preload library '%s': %s", path, why);
        return false;
    }
    const char *odd = strpbrk(library->path, " :$");
    if (odd != NULL) {
        say("cannot preload library '%s': LD_PRELOAD cannot hold a path with a %s in it",
            library->path,
            *odd == ' '   ? "space"
            : *odd == ':' ? "colon"
                          : "dollar sign");
        return false;
    }
    return true;
}

/* --- Our own ---------------------------------------------------------------------------------- */

char *command_directory(void)
{
    char *file = realpath("/proc/self/exe", NULL);
    if (file == NULL)
        return NULL;
    *strrchr(file, '/') = '\0';
    return file;
}

/* The configured library directory from its "lib…" on, such as lib/x86_64-linux-gnu: what stands
 * beside bin/ in an installation that was moved. NULL: none. */
static const char *configured_below_prefix(void)
{
    static const char *const names[] = {"lib", "lib32", "lib64", "libx32"};
    for (const char *at = ARN_LIBDIR; (at = strchr(at, '/')) != NULL;) {
        size_t length = strcspn(++at, "/");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strlen(names[i]) == length && strncmp(at, names[i], length) == 0)
                return at;
    }
    return NULL;
}

enum { PLACES = 3 };

/* libarenite.so comes with the headers; what programs run with is the file that has the number too. */
enum { RUNTIME_MAJOR = 0 };

/* The directories to look in, best first; NULL where there is none. */
static void places(const char *directories[PLACES])
{
    const char *own = command_directory();
    const char *below = configured_below_prefix();
    directories[0] = own; /* built, not installed */
    directories[1] = own == NULL || below == NULL ? NULL : text("%s/../%s", own, below);
    directories[2] = ARN_LIBDIR;
}

bool library_find(const char *name, struct library *library)
{
    const char *directories[PLACES];
    places(directories);
    for (size_t i = 0; i < PLACES; i++) {
        if (directories[i] == NULL)
            continue;
        char *path = text("%s/%s", directories[i], name);
        if (access(path, F_OK) != 0)
            path = text("%s/%s.%d", directories[i], name, RUNTIME_MAJOR);
        if (access(path, F_OK) != 0)
            continue;
        if (!library_open(path, library))
            return false;
        library->prefix = prefix_of(library);
        return true;
    }
    char *looked = text("%s", ARN_LIBDIR);
    for (size_t i = PLACES - 1; i-- > 0;)
        if (directories[i] != NULL)
            looked = text("%s, %s", directories[i], looked);
    say("cannot find %s in any of %s; name it with --library", name, looked);
    return false;
}
