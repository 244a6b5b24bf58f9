/* failure.h - what went wrong in a script, and in which line. */
#ifndef INTERPRETER_FAILURE_H
#define INTERPRETER_FAILURE_H

#include <stdarg.h>
#include <stdbool.h>

struct failure {
    int line; /* 0: nothing went wrong */
    char message[160];
};

/* False, for the caller to return. */
bool fail(struct failure *failure, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool vfail(struct failure *failure, int line, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

#endif
