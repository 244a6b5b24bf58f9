/* rival.h - another malloc that a program brings along.
 *
 * Only the program's own ELF file is looked at, not the libraries that it is linked with.
 */
#ifndef ARENITE_CMD_RIVAL_H
#define ARENITE_CMD_RIVAL_H

#include "program.h"

/* The sanitizer's runtime that the program is linked with, whose malloc it must have; allocated, or
 * NULL. */
char *rival_sanitizer(const struct program *program);

/* Says in one line if the program brings a malloc that makes arenite idle, or that is idle while the
 * program asks it for figures. */
void rival_warn(const char *name, const struct program *program);

#endif
