/* shard.h - pools with free blocks that no heap owns, and a few that are empty; two lists per class.
 *
 * Where pools go that other threads emptied in part, that a heap has too many of, and that an
 * exited thread leaves.
 */
#ifndef ARENITE_SHARD_H
#define ARENITE_SHARD_H

#include <stdbool.h>

#include "descriptor.h"

/* A shard keeps at most two empty pools, and all shards keep at most 2 MiB of them. */
enum { SHARD_EMPTY_POOLS = 2, SHARD_EMPTY_SLICES = 128 };

/* Takes over a pool that the caller owns. */
void arn__shard_put(struct descriptor *pool);

/* Takes over a pool that the caller owns. All of its blocks are in `local` or in the remote word. The pool is kept or
 * released. */
void arn__shard_put_empty(struct descriptor *pool);

/* Such a pool, now owned by the caller; NULL: none is kept. */
struct descriptor *arn__shard_take_empty(unsigned class_idx);

/* A pool with free blocks, all in `local`, `needed` blocks out, now owned by the caller; NULL: none
 * was found among the first few. */
struct descriptor *arn__shard_take(unsigned class_idx);

/* Keeps or releases the pool at `base` if it is in this class's shard and empty; it may be long gone. */
void arn__shard_reap(char *base, unsigned class_idx);

/* Releases what is empty in all shards; for malloc_trim. */
void arn__shards_reap_all(void);

/* In a forked child: unlocked; and, if other threads may have been at work in them, empty. */
void arn__shards_after_fork(bool empty);

#endif
