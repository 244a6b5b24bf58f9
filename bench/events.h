/* events.h - a trace, decoded: what to do, to which block, in which order. */
#ifndef ARENITE_BENCH_EVENTS_H
#define ARENITE_BENCH_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_op { EVENT_MALLOC, EVENT_CALLOC, EVENT_ALIGNED, EVENT_REALLOC, EVENT_FREE };

/* Events come in the order of the trace. An event may be done once those of the same block before
 * it are done: once `turn` of them are. */
struct event {
    uint64_t bytes; /* 0 for EVENT_FREE */
    uint32_t block; /* numbers are used again by the thread that freed the block */
    uint32_t turn;
    uint32_t thread;
    uint8_t op;            /* enum event_op */
    uint8_t alignment_log; /* of EVENT_ALIGNED */
};

struct events {
    struct event *all;
    size_t count;
    size_t blocks;       /* the numbers are below */
    unsigned threads;    /* the numbers are below */
    uint64_t peak_bytes; /* the most that was in use at a time */
    uint64_t unknown;    /* frees and reallocs of addresses that the trace did not obtain */
};

/* False: said why on stderr. */
bool events_read(const char *path, struct events *events);

/* Zeroed memory from the kernel: the allocator under test has no part in it. Exits if there is
 * none. */
void *events_memory(size_t bytes);

#endif
