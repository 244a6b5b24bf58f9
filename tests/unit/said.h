/* said.h - what is written to stderr meanwhile, as a string. One process, one thread. */
#ifndef ARENITE_SAID_H
#define ARENITE_SAID_H

#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct said {
    int memory; /* takes what is written */
    int stderr_fd;
    char text[4096];
};

static inline void said_begin(struct said *said)
{
    fflush(stderr);
    said->memory = memfd_create("said", 0);
    said->stderr_fd = dup(2);
    dup2(said->memory, 2);
}

/* The text lives as long as `said`. */
static inline const char *said_end(struct said *said)
{
    fflush(stderr);
    dup2(said->stderr_fd, 2);
    close(said->stderr_fd);
    ssize_t length = pread(said->memory, said->text, sizeof said->text - 1, 0);
    said->text[length < 0 ? 0 : length] = '\0';
    close(said->memory);
    return said->text;
}

#endif
