/* say.c - messages and the texts they are made of. */
#include "say.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __attribute__((format(printf, 1, 0))) char *vtext(const char *format, va_list arguments)
{
    char *result;
    if (vasprintf(&result, format, arguments) < 0) {
        fputs("arenite: out of memory\n", stderr);
        exit(STATUS_REFUSED);
    }
    return result;
}

char *text(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *result = vtext(format, arguments);
    va_end(arguments);
    return result;
}

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *line = vtext(format, arguments);
    va_end(arguments);
    /* A file name may hold newlines and escape sequences. */
    for (char *at = line; *at != '\0'; at++)
        if (iscntrl((unsigned char)*at))
            *at = '?';
    fprintf(stderr, "arenite: %s\n", line);
    free(line);
}

int printed(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    say("cannot write to standard output: %s", strerror(errno));
    return STATUS_REFUSED;
}
