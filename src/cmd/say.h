/* say.h - what the command says on stderr, and the exit statuses that go with it. */
#ifndef ARENITE_CMD_SAY_H
#define ARENITE_CMD_SAY_H

/* As env(1) has them, so that a script can tell arenite's failure from its program's. */
enum {
    STATUS_REFUSED = 125,    /* arenite itself: usage, no library, a program it cannot preload */
    STATUS_CANNOT_RUN = 126, /* the program is there and cannot be executed */
    STATUS_NOT_FOUND = 127,  /* no such program */
};

/* Writes "arenite: …" and a newline to stderr. One line, whatever the arguments hold. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The formatted text, allocated. Out of memory: says so and exits. The command frees none of its
 * texts: it lives until it becomes another program. */
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The status to exit with: `status`, unless what was printed on stdout did not get there. */
int printed(int status);

#endif
