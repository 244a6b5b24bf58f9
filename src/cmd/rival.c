/* rival.c - finds another malloc in a program, by the libraries that it needs and the names that it
 * defines.
 */
#include "rival.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"
#include "say.h"

/* Libraries whose names begin so, and what only a program defines that has such a malloc linked in:
 * Rust's crates have a prefix of their own. */
static const char *const libraries[] = {
    "libjemalloc.so", "libtcmalloc", "libmimalloc", "libtbbmalloc",
    "libsnmalloc",    "librpmalloc", NULL};
static const struct {
    const char *name, *kind;
} names[] = {
    {"mallctl", "jemalloc"},   {"je_mallctl", "jemalloc"},
    {"je_malloc", "jemalloc"}, {"_rjem_malloc", "jemalloc"},
    {"tc_malloc", "tcmalloc"}, {"TCMallocInternalMalloc", "tcmalloc"},
    {"mi_malloc", "mimalloc"}, {"scalable_malloc", "TBB"},
    {"rpmalloc", "rpmalloc"},  {"__asan_init", "AddressSanitizer"},
    {"arn_malloc", "arenite"},
};
enum { NAMES = sizeof names / sizeof *names };

/* -1: there is no ELF file that can be read. */
static int open_image(const struct program *program)
{
    return program->elf.bits == 0
               ? -1
               : open(program->image, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

char *rival_sanitizer(const struct program *program)
{
    int fd = open_image(program);
    char *found = fd < 0 ? NULL : elf_needs(fd, &program->elf, preload_sanitizers);
    if (fd >= 0)
        close(fd);
    return found;
}

/* What is linked into the file, or NULL. */
static const char *kind_within(int fd, const struct elf *elf)
{
    const char *sought[NAMES + 1] = {NULL};
    for (size_t i = 0; i < NAMES; i++)
        sought[i] = names[i].name;
    const char *found = elf_defines(fd, elf, ELF_EXPORTED, sought);
    if (found == NULL)
        found = elf_defines(fd, elf, ELF_ALL, sought);
    for (size_t i = 0; i < NAMES; i++)
        if (found == names[i].name)
            return names[i].kind;
    return NULL;
}

static void warn(const char *name, int fd, const struct elf *elf)
{
    static const char *const malloc_name[] = {"malloc", NULL};
    const char *kind = kind_within(fd, elf);
    const char *library = elf_needs(fd, elf, libraries);
    if (elf_defines(fd, elf, ELF_EXPORTED, malloc_name) != NULL)
        say("%s defines malloc itself%s, and keeps it: what is preloaded is idle", name,
            kind == NULL ? "" : text(" (it is %s's)", kind));
    else if (library != NULL)
        say("%s is linked with %s, which is idle now: statistics that it asks of that malloc mean "
            "nothing",
            name, library);
    else if (kind != NULL)
        say("%s has %s linked in under other names: what it allocates by them stays there", name,
            kind);
}

void rival_warn(const char *name, const struct program *program)
{
    int fd = open_image(program);
    if (fd < 0)
        return;
    warn(name, fd, &program->elf);
    close(fd);
}
