/* rest.h - busy threads that rest while a child is waited for: it has the processors to itself then. */
#ifndef ARENITE_REST_H
#define ARENITE_REST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

static atomic_bool rest_now;
static pthread_mutex_t rest_gate = PTHREAD_MUTEX_INITIALIZER; /* held as long as they rest */

/* Before each turn of a busy thread. */
static inline void rest_if_told(void)
{
    if (!atomic_load(&rest_now))
        return;
    pthread_mutex_lock(&rest_gate);
    pthread_mutex_unlock(&rest_gate);
}

/* A turn that has begun goes on to its end. */
static inline void rest_begin(void)
{
    pthread_mutex_lock(&rest_gate);
    atomic_store(&rest_now, true);
}

static inline void rest_end(void)
{
    atomic_store(&rest_now, false);
    pthread_mutex_unlock(&rest_gate);
}

#endif
