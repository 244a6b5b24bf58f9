/* failure.c */
#include "failure.h"

#include <stdio.h>

bool vfail(struct failure *failure, int line, const char *format, va_list arguments)
{
    vsnprintf(failure->message, sizeof failure->message, format, arguments);
    failure->line = line;
    return false;
}

bool fail(struct failure *failure, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfail(failure, line, format, arguments);
    va_end(arguments);
    return false;
}
