/* record.h - arenite record: another program, and a file that tells what it allocates. */
#ifndef ARENITE_CMD_RECORD_H
#define ARENITE_CMD_RECORD_H

/* The subcommand's main; argv[0] is "record". Returns only if the program does not run. */
int record_main(int argc, char **argv);

#endif
