/* failure.h - a play in which calls to the kernel fail: in a process of its own for each of them. */
#ifndef ARENITE_FAILURE_H
#define ARENITE_FAILURE_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"
#include "os.h"
#include "sanitized.h"
#include "shim.h"

/* In a child: says why and ends it. */
#define REQUIRE(condition_)                                                      \
    do {                                                                         \
        if (!(condition_)) {                                                     \
            fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition_); \
            _exit(1);                                                            \
        }                                                                        \
    } while (0)

enum { FAILURES_MOST = 5, CHILD_SECONDS = 300, CHILD_REACHED = 0, CHILD_NOT_REACHED = 42 };

struct failing_play {
    void (*play)(void);   /* while calls fail */
    void (*resume)(void); /* after: all is well again */
    unsigned failed;      /* plays that broke, so far */
};

/* From one call that fails to the next that does: a process each is slow with sanitizers, more so under an emulator, and
 * slower where invariants are checked. */
static inline long failing_step(void)
{
#ifdef ARN_DEBUG
    enum { CHECKED = 1 };
#else
    enum { CHECKED = 0 };
#endif
    return EMULATED ? 23 : SANITIZED ? 7 : CHECKED ? 3 : 1;
}

/* Calls number first to last fail. True: the play made at least `first`, and not too many plays broke. */
static inline bool play_in_child(struct failing_play *failing, long first, long last)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_SECONDS);
        arn__os_fail_at(first, last);
        failing->play();
        bool reached = atomic_load(&arn__os_failure.calls) >= first;
        arn__os_fail_at(0, 0);
        failing->resume();
        _exit(reached ? CHILD_REACHED : CHILD_NOT_REACHED);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 1) {
        failing->failed++;
        fprintf(stderr, "# when calls %ld to %ld fail: wait status 0x%x\n", first, last,
                (unsigned)status);
    }
    return (!WIFEXITED(status) || WEXITSTATUS(status) != CHILD_NOT_REACHED) &&
           failing->failed < FAILURES_MOST;
}

/* Maps, purges and regions come into play with fewer bytes. */
static inline void failing_begin(void)
{
    arn__options.map_threshold_bytes = (size_t)1 << 20;
    arn__options.purge_budget_bytes = 0;
}

#endif
