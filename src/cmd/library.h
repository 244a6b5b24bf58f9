/* library.h - the shared library to preload: where it is, and how LD_PRELOAD names it. */
#ifndef ARENITE_CMD_LIBRARY_H
#define ARENITE_CMD_LIBRARY_H

#include <stdbool.h>

#include "elf.h"
#include "program.h"

struct library {
    char *path; /* absolute */
    struct elf elf;
    char *prefix; /* path is prefix/$LIB/NAME as this system's ld.so expands it; or NULL */
};

/* The directory of this command's file, allocated, or NULL without /proc. */
char *command_directory(void);

#define LIBRARY_MALLOC "libarenite.so"
#define LIBRARY_HARDENED "libarenite-hardened.so"
#define LIBRARY_RECORD "libarenite-record.so"

/* Finds arenite's own library of that name: beside the command, where it was installed. False: said
 * why. */
bool library_find(const char *name, struct library *library);

/* Takes the file that the user names. False: said why. */
bool library_open(const char *path, struct library *library);

/* What to put in LD_PRELOAD for the program (NULL: for any), allocated. NULL: the library is for
 * programs of another kind. */
char *library_preload(const struct library *library, const struct program *program);

#endif
