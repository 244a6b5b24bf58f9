/* program.h - the program to run: where it is, and whether the dynamic linker will preload it. */
#ifndef ARENITE_CMD_PROGRAM_H
#define ARENITE_CMD_PROGRAM_H

#include "elf.h"

struct program {
    char *path;     /* the file to execute; holds a slash */
    char *image;    /* the ELF file that will run: path, or the interpreter of a script */
    struct elf elf; /* of image; bits == 0 if it cannot be read */
    char *obstacle; /* why no library can be preloaded, or NULL */
};

/* Looks for `name` as execvp does: a name without a slash along PATH. Returns 0 and sets path, or
 * an errno. */
int program_find(const char *name, char **path);

/* Fills in what program->path leads to, through the #! lines of scripts. */
void program_inspect(struct program *program);

#endif
