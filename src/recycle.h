/* recycle.h - large blocks of the hardened build that are used again with the pages that they have.
 *
 * To take the access to a block away as it is freed, and to have new pages for the next one, costs more than most
 * programs do with a block. So it is paced (pace.h): a process has its blocks of 32 KiB to 1 MiB closed until that took
 * ten milliseconds, and then as many as take a hundredth of its time. Others wait open: filled with zeros, between
 * their guards. One that is taken again is chosen by chance among four, and what was written to it since is noticed, as
 * with the blocks of pools (quarantine.h).
 *
 * While closing rests, sizes are rounded up, so that a block fits many requests: eight sizes from each power of two to
 * the next. No locks: a block waits in a word, and belongs to whoever takes it out of there. What a forked child's
 * parent was about to put or take is lost to the child.
 */
#ifndef ARENITE_RECYCLE_H
#define ARENITE_RECYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pace.h"

/* What closing owes. */
extern struct pace arn__recycle_pace;

/* What to take for so many bytes, a multiple of a page. */
size_t arn__recycle_bytes(size_t bytes);

/* A block of the zone that holds zeros; NULL: none is to be used again. *bytes: what is wanted; then what the block
 * has, at most twice as much. */
void *arn__recycle_take(size_t *bytes, size_t alignment);

/* True: the block waits; else it is to be closed. */
bool arn__recycle_keep(char *base, size_t bytes);

/* A block of so many bytes was closed, which began then. */
void arn__recycle_closed(size_t bytes, uint64_t since);

/* What waits; and closes it. Bytes. */
size_t arn__recycle_waiting(void);
size_t arn__recycle_release(void);

/* In a forked child. */
void arn__recycle_after_fork(void);

#endif
