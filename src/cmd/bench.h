/* bench.h - arenite bench: the benchmark that is installed with the command. */
#ifndef ARENITE_CMD_BENCH_H
#define ARENITE_CMD_BENCH_H

/* The subcommand's main; argv[0] is "bench". Returns only if the benchmark does not run. */
int bench_main(int argc, char **argv);

#endif
