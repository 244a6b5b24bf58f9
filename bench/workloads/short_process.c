/* short_process.c - processes that start, allocate a few hundred blocks, and end.
 *
 *     short_process [--scale F]
 *
 * No paper: what shells, compilers and build tools do all day; an allocator's start and its first
 * blocks of each size count, its fast path does not. Runs itself, 300 times at scale 1.
 */
#include <spawn.h>
#include <sys/wait.h>

#include "workload.h"

enum { PROCESSES = 300, BLOCKS = 400, SIZES = 30 };

extern char **environ;

static int be_short(void)
{
    static void *blocks[BLOCKS];
    uint64_t seed = 9;
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = block_take(16 + random_below(&seed, SIZES) * 48);
    for (size_t i = 0; i < BLOCKS; i += 2) /* the rest is left to the end of the process */
        block_drop(blocks[i]);
    for (size_t i = 1; i < BLOCKS; i += 2)
        block_check(blocks[i]);
    return 0;
}

int main(int argc, char **argv)
{
    double scale = 1;
    if (argc == 2 && strcmp(argv[1], "child") == 0)
        return be_short();
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    char *child_argv[] = {argv[0], (char[]){"child"}, NULL};
    for (size_t left = scaled(PROCESSES, scale); left > 0; left--) {
        pid_t child;
        int status;
        CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, child_argv, environ) == 0);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    return 0;
}
