/* vdso.h - functions that the kernel maps into every process, to be called without a system call. */
#ifndef ARENITE_VDSO_H
#define ARENITE_VDSO_H

/* The function of this name; NULL: the kernel offers none. Takes no lock and allocates nothing. */
void *arn__vdso_find(const char *name);

#endif
