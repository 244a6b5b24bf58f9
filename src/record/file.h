/* file.h - a process's trace file, open for appending.
 *
 * The end of the file is mapped shared, so a record is in the file once it is stored: what kills
 * the process, _exit and exec lose nothing. No descriptor stays open that the program could find or
 * close. The caller serialises the calls.
 */
#ifndef ARENITE_RECORD_FILE_H
#define ARENITE_RECORD_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILE_NAME_BYTES = PATH_MAX + 32 };

struct file {
    unsigned char *window; /* the mapped end of the file, or NULL */
    size_t used_bytes;     /* of the window; zeros follow */
    uint64_t offset;       /* of the window, in the file */
    char path[FILE_NAME_BYTES];
};

/* Creates `path`, or if it exists `path`.PID, or `path`.PID.2, …: nothing is ever overwritten.
 * False: said why on stderr. */
bool file_create(struct file *file, const char *path);

/* Where the next `bytes` bytes belong, at most 64; a zero follows. NULL: said why on stderr. */
unsigned char *file_reserve(struct file *file, size_t bytes);

/* Writes "arenite: cannot record to PATH: REASON" to stderr. */
void file_complain(const char *path, int error);

/* Cuts the file off one zero behind what is used, and forgets it. */
void file_close(struct file *file);

#endif
