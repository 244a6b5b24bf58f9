/* bench.c - arenite bench: becomes the benchmark's runner. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "library.h"
#include "say.h"

/* The runner: of the build that this command is part of, of the installation that it belongs to, or
 * where it was configured to be. NULL: said why not. */
static char *find_runner(void)
{
    char *own = command_directory();
    const char *places[] = {
        own == NULL ? NULL : text("%s/bench/run", own),
        own == NULL ? NULL : text("%s/../libexec/arenite/bench/run", own),
        ARN_BENCHDIR "/run",
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i] != NULL && access(places[i], F_OK) == 0)
            return text("%s", places[i]);
    say("bench: no %s: the benchmark is not installed", places[2]);
    return NULL;
}

int bench_main(int argc, char **argv)
{
    struct library library;
    char *runner = find_runner();
    if (runner == NULL || !library_find(LIBRARY_MALLOC, &library))
        return STATUS_REFUSED;
    char **command = calloc((size_t)argc + 3, sizeof *command);
    if (command == NULL) {
        say("out of memory");
        return STATUS_REFUSED;
    }
    command[0] = runner;
    command[1] = text("--arenite");
    command[2] = library.path;
    memcpy(command + 3, argv + 1, (size_t)(argc - 1) * sizeof *argv);
    execv(runner, command);
    if (errno == ENOENT)
        say("bench: %s is there, but not /usr/bin/python3, which runs it", runner);
    else
        say("bench: cannot run %s: %s", runner, strerror(errno));
    return STATUS_CANNOT_RUN;
}
