/* secret.h - numbers that nobody outside of the process can know.
 *
 * Made of the 16 random bytes that the kernel gives each program (AT_RANDOM), which costs no system call. libc
 * makes its stack guard and its pointer guard of the same bytes: nothing that is seen of our numbers leads back
 * to those.
 */
#ifndef ARENITE_SECRET_H
#define ARENITE_SECRET_H

#include <stdint.h>

enum secret { SECRET_LINKS = 1 };

/* The same in each call of a process, and of its forked children; unrelated between purposes. */
uint64_t arn__secret(enum secret purpose);

#endif
