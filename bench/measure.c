/* measure.c - runs one command and says what it took.
 *
 *     measure [--env NAME=VALUE]... [--stdout FILE] -- COMMAND ARGUMENT...
 *
 * Prints one line of JSON: times in ns, the peak of the resident set in bytes, page faults, and the
 * exit status as a shell has it (128 + n for signal n). The settings of --env reach the command
 * alone. Its standard output goes to FILE (default: nowhere), its standard error to ours.
 *
 * A process starts with the peak of the one that started it: exec does not reset ru_maxrss. This
 * program is small, where the benchmark's runner is not.
 */
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STATUS_USAGE = 125, STATUS_NOT_STARTED = 127 };

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long ns(struct timeval time)
{
    return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL;
}

static int usage(FILE *out, int status)
{
    fputs("usage: measure [--env NAME=VALUE]... [--stdout FILE] -- COMMAND ARGUMENT...\n", out);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"env", required_argument, NULL, 'e'},
        {"stdout", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *output = "/dev/null";
    for (int found; (found = getopt_long(argc, argv, "+h", options, NULL)) != -1;) {
        if (found == 'e' && strchr(optarg, '=') != NULL && putenv(optarg) == 0)
            continue;
        if (found == 'h')
            return usage(stdout, 0);
        if (found != 'o')
            return usage(stderr, STATUS_USAGE);
        output = optarg;
    }
    if (optind == argc)
        return usage(stderr, STATUS_USAGE);
    char **command = argv + optind;

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC,
                                     0666);
    pid_t child;
    long long start_ns = now_ns();
    int error = posix_spawnp(&child, command[0], &actions, NULL, command, environ);
    if (error != 0) {
        fprintf(stderr, "measure: cannot start %s: %s\n", command[0], strerror(error));
        return STATUS_NOT_STARTED;
    }
    int status;
    struct rusage used;
    if (wait4(child, &status, 0, &used) != child) {
        perror("measure: wait4");
        return STATUS_NOT_STARTED;
    }
    long long wall_ns = now_ns() - start_ns;

    printf("{\"wall_ns\": %lld, \"user_ns\": %lld, \"sys_ns\": %lld, \"maxrss_bytes\": %lld, "
           "\"minflt\": %ld, \"majflt\": %ld, \"status\": %d}\n",
           wall_ns, ns(used.ru_utime), ns(used.ru_stime), used.ru_maxrss * 1024LL, used.ru_minflt,
           used.ru_majflt, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    return fflush(stdout) == 0 ? 0 : STATUS_NOT_STARTED;
}
