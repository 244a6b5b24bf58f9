/* diag.h - what the allocator says to a person: whole lines, on stderr, without stdio. */
#ifndef ARENITE_DIAG_H
#define ARENITE_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A line being put together; what does not fit is cut, the newline is kept. */
struct line {
    char text[256];
    size_t length;
};

void arn__line_text(struct line *line, const char *text);
void arn__line_bytes(struct line *line, const char *text, size_t bytes);
void arn__line_decimal(struct line *line, uint64_t value);
void arn__line_hex(struct line *line, uint64_t value);

/* "arenite: FUNCTION(0xPOINTER): REASON" */
void arn__line_misuse(struct line *line, const char *function, const void *pointer,
                      const char *reason);

/* Writes the line and a newline in one write(2), and empties it. */
void arn__line_write(struct line *line, int fd);

/* Lines that are to stay together; one that does not fit is left out. */
struct lines {
    char text[1024];
    size_t length;
};

/* Appends the line and a newline, and empties it. */
void arn__lines_add(struct lines *lines, struct line *line);

/* Writes the lines in one write(2), and empties them. */
void arn__lines_write(struct lines *lines, int fd);

/* The same, without SIGPIPE if nobody reads them. */
void arn__lines_write_quietly(struct lines *lines, int fd);

/* Notes what is said at exit needs: the program's name, and what stderr is. A second descriptor keeps that,
 * for programs close theirs, or put something else in its place, before they end. */
void arn__exit_prepare(void);

/* A descriptor that leads to what stderr was then; -1: none does any more. */
int arn__exit_stderr(void);

/* The name that the program was started by: at most 64 bytes, with '?' for control characters. */
const char *arn__exit_program(void);

/* "arenite: FUNCTION(0xPOINTER): REASON", then abort, unless the options say to go on. */
void arn__misuse(const char *function, const void *pointer, const char *reason);

/* The same of an object: "... REASON: an object of type NAME". */
void arn__misuse_of(const char *function, const void *pointer, const char *reason,
                    const char *type_name);

/* An invariant of the allocator itself does not hold: says which and aborts. */
_Noreturn void arn__broken(const char *file, int line, const char *what);

/* Checked in debug builds; compiled, so never stale, in all. */
#ifdef ARN_DEBUG
enum { ARN__CHECKED = 1 };
#else
enum { ARN__CHECKED = 0 };
#endif
#define ARN__ASSERT(condition, what) \
    ((void)(ARN__CHECKED && !(condition) && (arn__broken(__FILE__, __LINE__, what), 0)))

#endif
