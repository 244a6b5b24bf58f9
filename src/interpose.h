/* interpose.h - whose malloc it is. */
#ifndef ARENITE_INTERPOSE_H
#define ARENITE_INTERPOSE_H

#include <stdbool.h>

/* The program's calls of malloc lead here at once, not by way of another's. */
bool arn__interpose_has_malloc(void);

#endif
