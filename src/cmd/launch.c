/* launch.c - becomes a program with a library preloaded.
 *
 * There is no process in between: signals, exit status, terminal and process id are the program's
 * own. What the dynamic linker would ignore in silence, or say in its own words after the fact, is
 * looked for before.
 */
#include "launch.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload.h"
#include "rival.h"
#include "say.h"

void launch_say_wrong_option(int found, char **argv)
{
    const char *command = argv[0], *argument = argv[optind - 1];
    if (found == ':')
        say("%s: option '%s' needs a value", command, argument);
    else if (strncmp(argument, "--", 2) != 0)
        say("%s: unknown option '-%c'; see 'arenite %s --help'", command, optopt, command);
    else if (optopt != 0)
        say("%s: option '%s' takes no value", command, argument);
    else
        say("%s: unknown option '%s'; see 'arenite %s --help'", command, argument, command);
}

/* --- The environment -------------------------------------------------------------------------- */

char *launch_preload(const char *name, const struct program *program, const struct library *library,
                     bool force)
{
    if (program != NULL && program->obstacle != NULL && !force) {
        say("cannot preload %s: %s", name, program->obstacle);
        return NULL;
    }
    char *sanitizer = program == NULL || force ? NULL : rival_sanitizer(program);
    if (sanitizer != NULL && preload_sanitizer() == NULL) {
        say("cannot preload %s: linked with %s, whose malloc it must have", name, sanitizer);
        return NULL;
    }
    char *item = library_preload(library, program);
    if (item == NULL && force)
        item = library_preload(library, NULL);
    if (item != NULL)
        return preload_with(item);
    say("cannot preload %s: it is %s, and %s is %s", name, elf_kind(&program->elf), library->path,
        elf_kind(&library->elf));
    return NULL;
}

bool launch_set(const char *name, const char *value)
{
    if (setenv(name, value, 1) == 0)
        return true;
    say("cannot set the environment: %s", strerror(errno));
    return false;
}

/* --- The program ------------------------------------------------------------------------------ */

static int cannot_run(const char *name, const struct program *program, int error)
{
    /* ENOENT of a file that is there means the interpreter in it. */
    const char *missing = NULL;
    if (error == ENOENT && program->path != NULL && access(program->path, F_OK) == 0) {
        missing = program->image;
        if (missing == NULL || access(missing, F_OK) == 0)
            missing = program->elf.interpreter;
    }
    if (missing != NULL)
        say("cannot run '%s': its interpreter %s does not exist", name, missing);
    else
        say("cannot run '%s': %s", name, strerror(error));
    return error == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

int launch_find(const char *name, struct program *program)
{
    *program = (struct program){0};
    int error = program_find(name, &program->path);
    if (error != 0)
        return cannot_run(name, program, error);
    program_inspect(program);
    return 0;
}

int launch(char **argv, const struct program *program)
{
    /* The p: like env and the shells, gives a text without #! to /bin/sh. */
    execvp(program->path, argv);
    return cannot_run(argv[0], program, errno);
}
