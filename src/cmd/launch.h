/* launch.h - from a program's name to becoming it with a library preloaded: what the subcommands
 * that run a program share. */
#ifndef ARENITE_CMD_LAUNCH_H
#define ARENITE_CMD_LAUNCH_H

#include <stdbool.h>

#include "library.h"
#include "program.h"

/* Says what getopt_long found wrong with the argument before argv[optind]; argv[0] is the
 * subcommand. */
void launch_say_wrong_option(int found, char **argv);

/* Finds and inspects the program. Returns 0, or the status to exit with: said why. */
int launch_find(const char *name, struct program *program);

/* The value for LD_PRELOAD with the library in front; program NULL: any. NULL: said why it cannot
 * be preloaded, and it is not forced. */
char *launch_preload(const char *name, const struct program *program, const struct library *library,
                     bool force);

/* Sets an environment variable. False: said why not. */
bool launch_set(const char *name, const char *value);

/* Becomes the program, in the environment as it is. Returns the status to exit with: said why. */
int launch(char **argv, const struct program *program);

#endif
