/* self.h - a program that runs itself again, and children that are waited for. */
#ifndef ARENITE_SELF_H
#define ARENITE_SELF_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "program.h"

struct said {
    int status; /* as of waitpid */
    char text[16384];
};

static inline int emulated(void)
{
    const char *emulator = getenv("EMULATOR");
    return emulator != NULL && emulator[0] != '\0';
}

static inline int program_is_preloaded(void)
{
    const char *way = getenv("ARENITE_WAY");
    return way != NULL && (strcmp(way, "preload") == 0 || strcmp(way, "hardened") == 0);
}

/* Says what became of a child that should have ended well. */
static inline void expect_success(pid_t child, const char *what)
{
    int status;
    pid_t waited;
    do
        waited = waitpid(child, &status, 0);
    while (waited == -1 && errno == EINTR);
    CHECK(waited == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        _exit(77);
    dprintf(2, "%s: %s %d\n", what, WIFSIGNALED(status) ? "signal" : "exit status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    _exit(1);
}

/* In a child of its own, which takes at most so many seconds on an idle machine, and is killed after five times
 * as many: a hang is a failure, a busy machine is none. */
static inline void run_apart(void (*function)(void), unsigned seconds, const char *what)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(5 * seconds);
        function();
        _exit(0);
    }
    expect_success(child, what);
}

/* Runs this program again as `PROGRAM mode` with one variable set (value NULL: unset), and collects
 * what it says on stderr. */
static inline void run_again(struct said *said, const char *mode, const char *variable,
                             const char *value)
{
    int ends[2];
    if (emulated())
        SKIP("a program under the emulator cannot run another");
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        alarm(300);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        if (variable != NULL && value != NULL)
            setenv(variable, value, 1);
        else if (variable != NULL)
            unsetenv(variable);
        char *const arguments[] = {(char *)"again", (char *)mode, NULL};
        execv("/proc/self/exe", arguments);
        _exit(127);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while (length < sizeof said->text - 1 &&
           ((got = read(ends[0], said->text + length, sizeof said->text - 1 - length)) > 0 ||
            (got < 0 && errno == EINTR)))
        length += got > 0 ? (size_t)got : 0;
    said->text[length] = '\0';
    close(ends[0]);
    CHECK(waitpid(child, &said->status, 0) == child);
}

#endif
