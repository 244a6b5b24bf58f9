/* roster.h - the pools of a domain, in one array: enumeration is a walk over it, and objects carry no
 * links. Those with young objects are in a second one.
 *
 * Touched by who has the domain.
 */
#ifndef ARENITE_OBJECT_ROSTER_H
#define ARENITE_OBJECT_ROSTER_H

#include "descriptor.h"

/* What happened in a pool since the collector last looked: bits of pool->events. */
enum {
    EVENT_NEW = 1,     /* objects of the youngest generation may be here */
    EVENT_MIDDLE = 2,  /* of the one after */
    EVENT_SUSPECT = 4, /* of the oldest, and not calm */
    EVENT_SHARED =
        8, /* shared objects may be here that are candidates once the world has stopped */
    EVENT_YOUNG = EVENT_NEW | EVENT_MIDDLE,
    EVENTS = EVENT_YOUNG | EVENT_SUSPECT | EVENT_SHARED,
};

struct roster {
    char **pools; /* where they begin; pool->ordinal is the index */
    char **young; /* those with an EVENT_YOUNG; pool->young_idx is the index; as much room */
    uint32_t pool_count, pool_room, young_count;
    uint32_t shared_count; /* pools with EVENT_SHARED */
    bool stays;            /* no pool leaves meanwhile: a collection refers to them by number */
    bool emptied;          /* one would have */
    size_t held_bytes, peak_bytes, limit_bytes;
};

/* A pool joins, or leaves. Joining fails without memory, or beyond the limit: that is asked first. */
bool arn__roster_admit(struct roster *roster, size_t bytes);
void arn__roster_join(struct roster *roster, struct descriptor *pool, char *base, size_t bytes);
void arn__roster_leave(struct roster *roster, struct descriptor *pool, size_t bytes);

/* Something happened in the pool that the collector is to look at. */
void arn__roster_note(struct roster *roster, struct descriptor *pool, unsigned events);

/* The collector has looked. */
void arn__roster_forget(struct roster *roster, struct descriptor *pool, unsigned events);

/* The domain ends: it has no pools any more. */
void arn__roster_end(struct roster *roster);

#endif
