/* run.h - arenite run: another program, with arenite as its malloc. */
#ifndef ARENITE_CMD_RUN_H
#define ARENITE_CMD_RUN_H

/* The subcommand's main; argv[0] is "run". Returns only if the program does not run. */
int run_main(int argc, char **argv);

#endif
