/* catch.h - calling what may throw. */
#ifndef ARENITE_CATCH_H
#define ARENITE_CATCH_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Calls the function; false: it threw, and the exception is gone. */
bool arn__returns(void (*function)(void *), void *argument);

#ifdef __cplusplus
}
#endif

#endif
