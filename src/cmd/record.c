/* record.c - arenite record: preloads libarenite-record.so, tells it the file, and becomes the
 * program. */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch.h"
#include "say.h"

struct request {
    const char *output;  /* or NULL: named after the program */
    const char *library; /* --library, or NULL */
    bool no_children, force;
    char **program; /* the program and its arguments, NULL-terminated; perhaps none */
};

enum { OPTION_LIBRARY = 256, OPTION_NO_CHILDREN, OPTION_FORCE };

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"no-children", no_argument, NULL, OPTION_NO_CHILDREN},
    {"library", required_argument, NULL, OPTION_LIBRARY},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "usage: arenite record [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
    "Run PROGRAM, with the malloc it has, and write a trace of what it allocates and frees.\n"
    "\n"
    "  -o, --output FILE   write to FILE instead of PROGRAM.arntrace in the current directory;\n"
    "                      further processes write to FILE.PID\n"
    "      --no-children   leave out the processes that PROGRAM starts\n"
    "      --library FILE  preload FILE instead of the installed libarenite-record.so\n"
    "      --force         run PROGRAM even if the library cannot be preloaded\n"
    "  -h, --help          print this and exit\n"
    "\n"
    "Exit status: that of PROGRAM; 127 if it is not found, 126 if it cannot be executed, 125 if\n"
    "arenite does not run it.\n";

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
            request->output = optarg;
            break;
        case OPTION_NO_CHILDREN:
            request->no_children = true;
            break;
        case OPTION_LIBRARY:
            request->library = optarg;
            break;
        case OPTION_FORCE:
            request->force = true;
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

/* The name that the recorder, in whatever directory then, creates the file by. What is there goes,
 * but only a file: /dev/null, say, stays. NULL: said why. */
static char *output_path(const struct request *request)
{
    const char *slash = strrchr(request->program[0], '/');
    const char *program = slash == NULL ? request->program[0] : slash + 1;
    const char *name = request->output == NULL ? text("%s.arntrace", program) : request->output;
    slash = strrchr(name, '/');
    char *directory =
        realpath(slash == NULL ? "." : text("%.*s/", (int)(slash - name), name), NULL);
    if (directory == NULL) {
        say("cannot record to '%s': %s", name, strerror(errno));
        return NULL;
    }
    char *path = text("%s/%s", strcmp(directory, "/") == 0 ? "" : directory,
                      slash == NULL ? name : slash + 1);
    struct stat present;
    if (lstat(path, &present) == 0 && !S_ISREG(present.st_mode)) {
        say("cannot record to '%s': not a regular file", name);
        return NULL;
    }
    /* Made here, so that what is wrong shows before the program runs. */
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 || close(fd) != 0 || unlink(path) != 0) {
        say("cannot record to '%s': %s", name, strerror(errno));
        return NULL;
    }
    return path;
}

static bool tell_recorder(const struct request *request, const char *path)
{
    if (!launch_set("ARENITE_RECORD", path))
        return false;
    if (request->no_children)
        return launch_set("ARENITE_RECORD_PID", text("%ld", (long)getpid()));
    unsetenv("ARENITE_RECORD_PID");
    return true;
}

int record_main(int argc, char **argv)
{
    struct request request = {0};
    int status = parse(argc, argv, &request);
    if (status >= 0)
        return status;
    const char *name = request.program[0];
    if (name == NULL) {
        say("record: no program; see 'arenite record --help'");
        return STATUS_REFUSED;
    }
    struct library library;
    if (request.library == NULL ? !library_find(LIBRARY_RECORD, &library)
                                : !library_open(request.library, &library))
        return STATUS_REFUSED;
    struct program program;
    status = launch_find(name, &program);
    if (status != 0)
        return status;
    char *preload = launch_preload(name, &program, &library, request.force);
    char *path = preload == NULL ? NULL : output_path(&request);
    if (path == NULL || !tell_recorder(&request, path) || !launch_set("LD_PRELOAD", preload))
        return STATUS_REFUSED;
    return launch(request.program, &program);
}
