/* program.c - finds the program, and what keeps the dynamic linker from preloading into it. */
#include "program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "say.h"

/* The kernel's own bounds on #! lines. */
enum { SCRIPT_LINE_BYTES = 256, SCRIPT_DEPTH = 5 };

static const char blanks[] = " \t";

/* --- Finding it ------------------------------------------------------------------------------- */

/* 0, or the errno that execve would give. */
static int executable(const char *path)
{
    struct stat file;
    if (stat(path, &file) != 0)
        return errno;
    if (S_ISDIR(file.st_mode))
        return EISDIR;
    if (!S_ISREG(file.st_mode))
        return EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

int program_find(const char *name, char **path)
{
    if (*name == '\0' || strchr(name, '/') != NULL) {
        *path = text("%s", name);
        return executable(name);
    }
    const char *directory = getenv("PATH");
    if (directory == NULL)
        directory = "/bin:/usr/bin"; /* as execvp */
    int result = ENOENT;
    for (;;) {
        size_t length = strcspn(directory, ":");
        /* An empty entry is the current directory. The slash keeps execvp from looking again. */
        *path = length == 0 ? text("./%s", name) : text("%.*s/%s", (int)length, directory, name);
        int error = executable(*path);
        if (error == 0)
            return 0;
        free(*path);
        if (error != ENOENT && error != ENOTDIR)
            result = error; /* and perhaps a later directory has one that can be run */
        if (directory[length] == '\0')
            return result;
        directory += length + 1;
    }
}

/* --- Scripts ---------------------------------------------------------------------------------- */

/* The program that "env ARGUMENT" runs, or NULL if that is not plain to see. The kernel passes all
 * that follows the interpreter as one argument; env takes it apart only after -S. */
static char *program_of_env(const char *argument)
{
    static const char *const split[] = {"--split-string=", "--split-string", "-S"};
    bool words = false;
    for (size_t i = 0; i < sizeof split / sizeof *split && !words; i++) {
        size_t length = strlen(split[i]);
        words = strncmp(argument, split[i], length) == 0;
        if (words)
            argument += length;
    }
    if (words)
        argument += strspn(argument, blanks);
    size_t length = words ? strcspn(argument, blanks) : strlen(argument);
    while (memchr(argument, '=', length) != NULL) {
        argument += length;
        argument += strspn(argument, blanks);
        length = words ? strcspn(argument, blanks) : strlen(argument);
    }
    if (length == 0 || *argument == '-')
        return NULL;
    char *name = text("%.*s", (int)length, argument);
    char *path;
    return program_find(name, &path) == 0 ? path : NULL;
}

/* Sets *next to the interpreter that "#!…" (NUL-terminated) names; otherwise returns the obstacle.
 * `cut`: the file goes on after the line's last byte. */
static char *follow_script(const char *line, bool cut, char **next)
{
    const char *name = line + 2 + strspn(line + 2, blanks);
    size_t length = strcspn(name, " \t\n");
    if (length == 0)
        return text("its #! line names no interpreter");
    if (name[length] == '\0' && cut)
        return text("its #! line is too long");
    char *interpreter = text("%.*s", (int)length, name);
    const char *base = strrchr(interpreter, '/');
    if (base != NULL && strcmp(base, "/env") == 0) {
        const char *argument = name + length + strspn(name + length, blanks);
        size_t end = strcspn(argument, "\n");
        while (end > 0 && strchr(blanks, argument[end - 1]) != NULL)
            end--;
        *next = program_of_env(text("%.*s", (int)end, argument));
        if (*next != NULL)
            return NULL;
    }
    *next = interpreter;
    return NULL;
}

/* --- What is in the way ----------------------------------------------------------------------- */

/* Whether the kernel will raise privileges, which makes the dynamic linker ignore LD_PRELOAD. The
 * bits alone do not: root gains nothing from a set-uid root program. */
static const char *privilege(int fd, const char *path)
{
    struct stat file;
    struct statvfs mount;
    if (stat(path, &file) != 0)
        return NULL;
    bool honoured = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 &&
                    !(statvfs(path, &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0);
    uid_t user = honoured && (file.st_mode & S_ISUID) != 0 ? file.st_uid : geteuid();
    if (user != getuid())
        return "set-uid";
    /* Without the group's x bit the set-gid bit means something else. */
    bool set_gid = (file.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
    gid_t group = honoured && set_gid ? file.st_gid : getegid();
    if (group != getgid())
        return "set-gid";
    if (honoured && getuid() != 0 &&
        (fd >= 0 ? fgetxattr(fd, "security.capability", NULL, 0)
                 : getxattr(path, "security.capability", NULL, 0)) > 0)
        return "with file capabilities";
    return NULL;
}

static char *elf_obstacle(const struct elf *elf)
{
    if (!elf_native_order(elf))
        return text("%s, in the other byte order", elf_kind(elf));
    if (elf->type != ET_EXEC && elf->type != ET_DYN)
        return text("an ELF file, but not a program");
    if (elf->interpreter == NULL && elf->dynamic && !elf->pie)
        return text("a shared library, not a program");
    if (elf->interpreter == NULL)
        return text("statically linked; link it with libarenite.a instead");
    if (strstr(elf->interpreter, "/ld-musl") != NULL)
        return text("linked with musl; arenite is for programs linked with glibc");
    return NULL;
}

/* One file of the chain: fills in program->elf, or sets *next to the interpreter of a script.
 * Returns the obstacle, or NULL. */
static char *inspect(int fd, struct elf *elf, char **next)
{
    switch (elf_read(fd, elf)) {
    case ELF_READ:
        return elf_obstacle(elf);
    case ELF_DAMAGED:
        return text("a damaged ELF file");
    case ELF_OTHER:
        break;
    }
    char line[SCRIPT_LINE_BYTES + 1];
    ssize_t length = pread(fd, line, SCRIPT_LINE_BYTES, 0);
    if (length < 2 || memcmp(line, "#!", 2) != 0)
        return text("neither an ELF program nor a script that starts with #!");
    line[length] = '\0';
    return follow_script(line, length == SCRIPT_LINE_BYTES, next);
}

static char *obstacle_in(const char *path, struct elf *elf, char **next)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    /* Programs need not be readable to be run: then nothing is known against it. */
    char *obstacle = fd < 0 ? NULL : inspect(fd, elf, next);
    if (obstacle == NULL && *next == NULL) {
        const char *raised = privilege(fd, path);
        if (raised != NULL)
            obstacle = text("%s; the dynamic linker ignores LD_PRELOAD then", raised);
    }
    if (fd >= 0)
        close(fd);
    return obstacle;
}

void program_inspect(struct program *program)
{
    program->image = program->path;
    for (unsigned depth = 0; depth <= SCRIPT_DEPTH; depth++) {
        char *next = NULL;
        program->elf = (struct elf){0};
        program->obstacle = obstacle_in(program->image, &program->elf, &next);
        if (program->obstacle != NULL && depth > 0)
            program->obstacle = text("its interpreter %s: %s", program->image, program->obstacle);
        if (next == NULL)
            return;
        program->image = next;
    }
    program->obstacle = text("its #! lines lead from script to script");
}
