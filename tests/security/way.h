/* way.h - for the programs of tests/security: which of the two libraries this one runs under. */
#ifndef ARENITE_WAY_H
#define ARENITE_WAY_H

#include <stdbool.h>

#include "../preload/self.h"

/* ARENITE_WAY is "preload" or "hardened" here. */
static inline bool is_hardened(void)
{
    const char *way = getenv("ARENITE_WAY");
    return way != NULL && strcmp(way, "hardened") == 0;
}

/* xorshift64 (Marsaglia 2003); the state must not be 0. */
static inline uint64_t next_number(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
