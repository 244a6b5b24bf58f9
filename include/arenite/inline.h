/* inline.h - malloc and free inlined into the program's own code. */
#ifndef ARENITE_INLINE_H
#define ARENITE_INLINE_H

#include <arenite/arenite.h>
#include <stdlib.h>

#endif
