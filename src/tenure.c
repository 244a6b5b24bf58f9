/* tenure.c - a robust mutex. */
#include "tenure.h"

#include <errno.h>

/* Made anew each time: one that was held before a fork cannot be unlocked in the child. */
void arn__tenure_begin(struct tenure *tenure)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&tenure->mutex, &attributes);
    tenure->held = pthread_mutex_trylock(&tenure->mutex) == 0;
    tenure->thread = tenure->held ? tenure->mutex.__data.__owner : 0;
}

void arn__tenure_end(struct tenure *tenure)
{
    if (tenure->held)
        pthread_mutex_unlock(&tenure->mutex);
    tenure->held = false;
}

bool arn__tenure_lapsed(struct tenure *tenure)
{
    if (!tenure->held || pthread_mutex_trylock(&tenure->mutex) != EOWNERDEAD)
        return false;
    /* Again the next time: marked, and locked by nobody. */
    tenure->held = false;
    pthread_mutex_consistent(&tenure->mutex);
    pthread_mutex_unlock(&tenure->mutex);
    return true;
}
