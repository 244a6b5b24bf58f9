/* world.h - the threads that touch shared objects, and stopping all but one of them.
 *
 * A thread runs if it is attached and in no blocking section: only then it touches shared objects. One
 * word holds how many run, and whether one of them has, or wants, the world stopped: none begins to run then,
 * and those that do cease at their next safepoint. A safepoint is a blocking section without anything in it.
 */
#ifndef ARENITE_OBJECT_WORLD_H
#define ARENITE_OBJECT_WORLD_H

#include <arenite/object.h>
#include <stdbool.h>

/* Nobody else touches shared objects, until the second. False: the calling thread does not run, and there are
 * others. May wait, for their safepoints; and for who stops the world already, as in a safepoint. */
bool arn__world_stop(void);
void arn__world_resume(void);

/* The calling thread is one of them, from here on; and no more. */
void arn__world_attach(void);
void arn__world_detach(void);
bool arn__world_is_attached(void);

/* Out of all blocking sections: the thread ended in them. */
void arn__world_end_blocking(void);

/* In a forked child: the only thread. */
void arn__world_after_fork(void);

#endif
