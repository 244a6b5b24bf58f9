/* tenure.h - whether the thread that holds something is still there.
 *
 * A thread tells of its end by a destructor, but not if it begins to allocate in the last round of them.
 * Nobody may be asked for it later: a filter of system calls may kill whoever names a thread. So the
 * holder has a robust mutex, which the kernel marks when the thread that has locked it is gone (Franke,
 * Russell, Kirkwood: "Fuss, Futexes and Furwocks", 2002; robust_list of Molnar and Gleixner, 2006). To lock it
 * and to look at it takes no system call. The child of vfork locks it for its parent's thread, whose
 * memory it has.
 *
 * All of it under one lock of the caller's.
 */
#ifndef ARENITE_TENURE_H
#define ARENITE_TENURE_H

#include <pthread.h>
#include <stdbool.h>

struct tenure {
    pthread_mutex_t mutex; /* meaningful while held */
    bool held;
    int thread; /* the holder's number, told without a system call; 0: not known */
};

/* The calling thread's from now on; nobody has it, or a thread that is gone. */
void arn__tenure_begin(struct tenure *tenure);

/* By the thread that has it. */
void arn__tenure_end(struct tenure *tenure);

/* A thread has it that is gone. In a forked child, of what was held before the fork: never. */
bool arn__tenure_lapsed(struct tenure *tenure);

#endif
