/* preload.h - the value of LD_PRELOAD: what is in it already, and in which order. */
#ifndef ARENITE_CMD_PRELOAD_H
#define ARENITE_CMD_PRELOAD_H

#include <stdbool.h>

/* What names of sanitizers' runtimes that have a malloc of their own begin with; NULL ends them. */
extern const char *const preload_sanitizers[];

/* LD_PRELOAD with the library in it, allocated: behind what must come before every malloc, before all
 * else. */
char *preload_with(const char *item);

/* The sanitizer's runtime that LD_PRELOAD holds, without its directory, allocated; or NULL. */
char *preload_sanitizer(void);

#endif
