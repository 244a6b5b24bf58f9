/* ring.h - a bounded ring of batches of blocks from a thread that allocates to threads that free.
 *
 * Batches, so that the ring's lock is a small part of the time; and a lock that sleeps, so that
 * waiting costs no processor.
 */
#ifndef ARENITE_RING_H
#define ARENITE_RING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum { BATCH = 256, RING_BATCHES = 1024 };

struct batch {
    void *blocks[BATCH];
};

struct ring {
    pthread_mutex_t lock;
    pthread_cond_t filled;  /* a batch was put, or the ring closed */
    pthread_cond_t emptied; /* half of the limit is free again: fewer wake-ups than one a batch */
    size_t limit;           /* batches at most; RING_BATCHES or less */
    size_t put, taken;
    bool closed; /* no more will be put */
    struct batch batches[RING_BATCHES];
};

static inline void ring_put(struct ring *ring, const struct batch *batch)
{
    pthread_mutex_lock(&ring->lock);
    while (ring->put - ring->taken == ring->limit)
        pthread_cond_wait(&ring->emptied, &ring->lock);
    ring->batches[ring->put++ % RING_BATCHES] = *batch;
    pthread_cond_signal(&ring->filled);
    pthread_mutex_unlock(&ring->lock);
}

/* False: the ring is closed and empty. */
static inline bool ring_take(struct ring *ring, struct batch *batch)
{
    pthread_mutex_lock(&ring->lock);
    while (ring->put == ring->taken && !ring->closed)
        pthread_cond_wait(&ring->filled, &ring->lock);
    bool got = ring->put != ring->taken;
    if (got)
        *batch = ring->batches[ring->taken++ % RING_BATCHES];
    if (ring->put - ring->taken == ring->limit / 2)
        pthread_cond_signal(&ring->emptied);
    pthread_mutex_unlock(&ring->lock);
    return got;
}

static inline void ring_close(struct ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->closed = true;
    pthread_cond_broadcast(&ring->filled);
    pthread_mutex_unlock(&ring->lock);
}

#endif
