/* purge.h - when free dirty memory goes back to the OS.
 *
 * A page fault costs as much as hundreds of allocations, so memory is kept up to a budget (spares are a part of it):
 * max(purge_budget, live / 8), raised when ranges are needed again right after they were purged, by
 * as much, up to 64 MiB or half of what is alive. Over it, the oldest ranges go first, in batches; and
 * what has been dirty for longer than purge_delay_ms goes, looked for on slow paths only: there is no
 * background thread. Parts of arenas that are in use stay until the arena has had some for 100 ms, up
 * to 16 MiB of them.
 */
#ifndef ARENITE_PURGE_H
#define ARENITE_PURGE_H

#include <stdbool.h>
#include <stddef.h>

/* Called after slices were taken or put back, with no lock held. */
void arn__purge_settle(void);

/* The same, with a look at what has been dirty for too long, which the former does now and then. */
void arn__purge_look(void);

/* Purges until at most `keep_bytes` are dirty; true if any memory was given back. */
bool arn__purge_to(size_t keep_bytes);

/* What may be dirty at this moment: the heaps' spares, see spares.h, and what is free. No lock is needed. */
size_t arn__purge_budget_bytes(void);

/* In a forked child. */
void arn__purge_after_fork(void);

#endif
