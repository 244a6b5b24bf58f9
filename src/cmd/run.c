/* run.c - arenite run: sets LD_PRELOAD and ARENITE_OPTIONS, and becomes the program.
 *
 * There is no process in between: signals, exit status, terminal and process id are the program's
 * own. What the dynamic linker would ignore in silence, or say in its own words after the fact, is
 * looked for before.
 */
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "library.h"
#include "program.h"
#include "say.h"

struct request {
    char *options;       /* key=value,… from the command line, or NULL */
    const char *library; /* --library, or NULL */
    bool force, print;
    char **program; /* the program and its arguments, NULL-terminated; perhaps none */
};

enum { OPTION_LIBRARY = 256, OPTION_STATS, OPTION_SHOW, OPTION_FORCE, OPTION_PRINT };

static const struct option long_options[] = {
    {"option", required_argument, NULL, 'o'},
    {"stats", no_argument, NULL, OPTION_STATS},
    {"show", no_argument, NULL, OPTION_SHOW},
    {"library", required_argument, NULL, OPTION_LIBRARY},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"print", no_argument, NULL, OPTION_PRINT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "usage: arenite run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
    "Run PROGRAM with arenite as its malloc.\n"
    "\n"
    "  -o, --option KEY=VALUE[,...]  append to ARENITE_OPTIONS; arenite(7) lists the keys\n"
    "      --stats                   the same as -o stats=exit: print statistics at exit\n"
    "      --show                    the same as -o show=1: print the options in force\n"
    "      --library FILE            preload FILE instead of the installed libarenite.so\n"
    "      --force                   run PROGRAM even if the library cannot be preloaded\n"
    "      --print                   print the environment settings instead of running\n"
    "  -h, --help                    print this and exit\n"
    "\n"
    "Exit status: that of PROGRAM; 127 if it is not found, 126 if it cannot be executed, 125 if\n"
    "arenite does not run it.\n";

/* --- The command line ------------------------------------------------------------------------- */

static char *joined(const char *first, char separator, const char *second)
{
    if (first == NULL || *first == '\0')
        return text("%s", second);
    return text("%s%c%s", first, separator, second);
}

/* Says what getopt_long found wrong with the argument before argv[optind]. */
static void say_wrong_option(int found, char **argv)
{
    const char *argument = argv[optind - 1];
    if (found == ':')
        say("run: option '%s' needs a value", argument);
    else if (strncmp(argument, "--", 2) != 0)
        say("run: unknown option '-%c'; see 'arenite run --help'", optopt);
    else if (optopt != 0)
        say("run: option '%s' takes no value", argument);
    else
        say("run: unknown option '%s'; see 'arenite run --help'", argument);
}

/* Returns -1 to go on, or the status to exit with. */
static int parse(int argc, char **argv, struct request *request)
{
    opterr = 0;
    for (;;) {
        int found = getopt_long(argc, argv, "+:o:h", long_options, NULL);
        switch (found) {
        case -1:
            request->program = argv + optind;
            return -1;
        case 'o':
            request->options = joined(request->options, ',', optarg);
            break;
        case OPTION_STATS:
            request->options = joined(request->options, ',', "stats=exit");
            break;
        case OPTION_SHOW:
            request->options = joined(request->options, ',', "show=1");
            break;
        case OPTION_LIBRARY:
            request->library = optarg;
            break;
        case OPTION_FORCE:
            request->force = true;
            break;
        case OPTION_PRINT:
            request->print = true;
            break;
        case 'h':
            fputs(help, stdout);
            return printed(0);
        default:
            say_wrong_option(found, argv);
            return STATUS_REFUSED;
        }
    }
}

/* --- The environment -------------------------------------------------------------------------- */

/* What is preloaded already stays, after arenite: of two mallocs the first one counts. */
static char *preload_value(const char *item)
{
    const char *present = getenv("LD_PRELOAD");
    if (present == NULL || *present == '\0')
        return text("%s", item);
    size_t length = strlen(item);
    if (strncmp(present, item, length) == 0 && strchr(" :", present[length]) != NULL)
        return text("%s", present); /* one arenite run inside another */
    return text("%s:%s", item, present);
}

/* NULL: leave the variable alone. Of two values for one key the later one counts. */
static char *options_value(const struct request *request)
{
    if (request->options == NULL)
        return NULL;
    return joined(getenv("ARENITE_OPTIONS"), ',', request->options);
}

static void print_assignment(const char *name, const char *value)
{
    printf("%s='", name);
    for (; *value != '\0'; value++) {
        if (*value == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*value);
    }
    putchar('\'');
}

static int print_settings(const char *preload, const char *options)
{
    print_assignment("LD_PRELOAD", preload);
    if (options != NULL) {
        putchar(' ');
        print_assignment("ARENITE_OPTIONS", options);
    }
    putchar('\n');
    return printed(0);
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

static int become(char **argv, const struct program *program, const char *preload,
                  const char *options)
{
    if (setenv("LD_PRELOAD", preload, 1) != 0 ||
        (options != NULL && setenv("ARENITE_OPTIONS", options, 1) != 0)) {
        say("cannot set the environment: %s", strerror(errno));
        return STATUS_REFUSED;
    }
    /* The p: like env and the shells, gives a text without #! to /bin/sh. */
    execvp(program->path, argv);
    return cannot_run(argv[0], program, errno);
}

/* The item for LD_PRELOAD, or NULL: said why not. */
static char *preload_for(const char *name, const struct program *program,
                         const struct library *library, bool force)
{
    if (program->obstacle != NULL && !force) {
        say("cannot preload %s: %s", name, program->obstacle);
        return NULL;
    }
    char *item = library_preload(library, program);
    if (item == NULL && force)
        return library_preload(library, NULL);
    if (item == NULL)
        say("cannot preload %s: it is %s, and %s is %s", name, elf_kind(&program->elf),
            library->path, elf_kind(&library->elf));
    return item;
}

int run_main(int argc, char **argv)
{
    struct request request = {0};
    int status = parse(argc, argv, &request);
    if (status >= 0)
        return status;
    const char *name = request.program[0];
    if (name == NULL && !request.print) {
        say("run: no program; see 'arenite run --help'");
        return STATUS_REFUSED;
    }
    struct library library;
    if (request.library == NULL ? !library_find(&library)
                                : !library_open(request.library, &library))
        return STATUS_REFUSED;
    char *options = options_value(&request);
    if (name == NULL)
        return print_settings(preload_value(library_preload(&library, NULL)), options);
    struct program program = {0};
    int error = program_find(name, &program.path);
    if (error != 0)
        return cannot_run(name, &program, error);
    program_inspect(&program);
    char *item = preload_for(name, &program, &library, request.force);
    if (item == NULL)
        return STATUS_REFUSED;
    if (request.print)
        return print_settings(preload_value(item), options);
    return become(request.program, &program, preload_value(item), options);
}
