/* run.c - arenite run: sets LD_PRELOAD and ARENITE_OPTIONS, and becomes the program. */
#include "run.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch.h"
#include "options.h"
#include "preload.h"
#include "rival.h"
#include "say.h"

struct request {
    char *options;       /* key=value,… from the command line, or NULL */
    const char *library; /* --library, or NULL */
    bool hardened, force, print;
    char **program; /* the program and its arguments, NULL-terminated; perhaps none */
};

enum { OPTION_LIBRARY = 256, OPTION_HARDENED, OPTION_STATS, OPTION_SHOW, OPTION_FORCE, OPTION_PRINT };

static const struct option long_options[] = {
    {"option", required_argument, NULL, 'o'},
    {"stats", no_argument, NULL, OPTION_STATS},
    {"show", no_argument, NULL, OPTION_SHOW},
    {"hardened", no_argument, NULL, OPTION_HARDENED},
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
    "      --hardened                preload the hardened library: arenite-security(7)\n"
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
            if (!arn__options_apply(optarg, "run: -o"))
                return STATUS_REFUSED;
            request->options = joined(request->options, ',', optarg);
            break;
        case OPTION_STATS:
            request->options = joined(request->options, ',', "stats=exit");
            break;
        case OPTION_SHOW:
            request->options = joined(request->options, ',', "show=1");
            break;
        case OPTION_HARDENED:
            request->hardened = true;
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
            launch_say_wrong_option(found, argv);
            return STATUS_REFUSED;
        }
    }
}

/* --- The environment -------------------------------------------------------------------------- */

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

/* What the user would else find out by figures that make no sense. */
static void warn(const char *name, const struct program *program)
{
    char *sanitizer = preload_sanitizer();
    if (sanitizer != NULL)
        say("LD_PRELOAD has %s, which stays in front: what is behind it is idle", sanitizer);
    else
        rival_warn(name, program);
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
    if (request.hardened && request.library != NULL) {
        say("run: --hardened and --library both name a library");
        return STATUS_REFUSED;
    }
    struct library library;
    const char *malloc_name = request.hardened ? LIBRARY_HARDENED : LIBRARY_MALLOC;
    if (request.library == NULL ? !library_find(malloc_name, &library)
                                : !library_open(request.library, &library))
        return STATUS_REFUSED;
    struct program program;
    status = name == NULL ? 0 : launch_find(name, &program);
    if (status != 0)
        return status;
    char *preload = launch_preload(name, name == NULL ? NULL : &program, &library, request.force);
    if (preload == NULL)
        return STATUS_REFUSED;
    if (name != NULL)
        warn(name, &program);
    char *options = options_value(&request);
    if (request.print)
        return print_settings(preload, options);
    if (!launch_set("LD_PRELOAD", preload) ||
        (options != NULL && !launch_set("ARENITE_OPTIONS", options)))
        return STATUS_REFUSED;
    return launch(request.program, &program);
}
