/* roster.c - joining, leaving, and which pools have young objects. */
#include "roster.h"

#include <arenite/arenite.h>

enum { FIRST_POOLS = 64 };

static bool make_room(struct roster *roster)
{
    uint32_t room = roster->pool_room == 0 ? FIRST_POOLS : roster->pool_room * 2;
    char **pools = arn_reallocarray(roster->pools, room, sizeof *pools);
    if (pools == NULL)
        return false;
    roster->pools = pools;
    char **young = arn_reallocarray(roster->young, room, sizeof *young);
    if (young == NULL)
        return false;
    roster->young = young;
    roster->pool_room = room;
    return true;
}

bool arn__roster_admit(struct roster *roster, size_t bytes)
{
    if (roster->limit_bytes > 0 && (roster->held_bytes > roster->limit_bytes ||
                                    bytes > roster->limit_bytes - roster->held_bytes))
        return false;
    return roster->pool_count < roster->pool_room || make_room(roster);
}

void arn__roster_join(struct roster *roster, struct descriptor *pool, char *base, size_t bytes)
{
    pool->ordinal = roster->pool_count;
    roster->pools[roster->pool_count++] = base;
    roster->held_bytes += bytes;
    if (roster->held_bytes > roster->peak_bytes)
        roster->peak_bytes = roster->held_bytes;
}

void arn__roster_leave(struct roster *roster, struct descriptor *pool, size_t bytes)
{
    arn__roster_forget(roster, pool, EVENTS);
    char *last = roster->pools[--roster->pool_count];
    roster->pools[pool->ordinal] = last;
    arn__descriptor(last)->ordinal = pool->ordinal;
    roster->held_bytes -= bytes;
}

void arn__roster_note(struct roster *roster, struct descriptor *pool, unsigned events)
{
    if ((events & EVENT_YOUNG) && !(pool->events & EVENT_YOUNG)) {
        pool->young_idx = roster->young_count;
        roster->young[roster->young_count++] = roster->pools[pool->ordinal];
    }
    roster->shared_count += (events & EVENT_SHARED) && !(pool->events & EVENT_SHARED);
    pool->events |= (uint8_t)events;
}

void arn__roster_forget(struct roster *roster, struct descriptor *pool, unsigned events)
{
    bool was_young = pool->events & EVENT_YOUNG;
    roster->shared_count -= (events & pool->events & EVENT_SHARED) != 0;
    pool->events &= (uint8_t)~events;
    if (!was_young || (pool->events & EVENT_YOUNG))
        return;
    char *last = roster->young[--roster->young_count];
    roster->young[pool->young_idx] = last;
    arn__descriptor(last)->young_idx = pool->young_idx;
}

void arn__roster_end(struct roster *roster)
{
    arn_free(roster->pools);
    arn_free(roster->young);
}
