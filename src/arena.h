/* arena.h - 256 KiB arenas and their 16 slices: who holds which, and which are dirty.
 *
 * Slices are held by pools and runs, whole arenas in a row by spans. A free slice is dirty when its
 * pages may be resident and non-zero, clean when they read as zero. Every function here takes the
 * arena lock itself unless it says otherwise.
 */
#ifndef ARENITE_ARENA_H
#define ARENITE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "descriptor.h"
#include "lock.h"
#include "region.h"

extern struct lock arn__arena_lock;

struct arena_totals {
    _Atomic size_t live_bytes;   /* slices and arenas held */
    _Atomic size_t pool_bytes;   /* of these: by the blocks that pools have room for; pools count them */
    _Atomic size_t carved_bytes; /* of these: by carved blocks; pools count them, too */
    _Atomic size_t dirty_bytes;  /* free slices that are dirty */
    _Atomic size_t part_bytes;   /* of these: in arenas that are not free as a whole */
    _Atomic size_t reused_bytes; /* taken again soon after a purge; read and reset by purge.c */
    _Atomic size_t spare_bytes;  /* of large blocks that heaps may keep: see spares.h */
};
extern struct arena_totals arn__arena_totals;

/* `slices` (1..16) in a row in one arena; aligned: at a multiple of their number (1, 4, 16).
 * Fullest arena first. NULL: no memory. */
char *arn__slices_take(unsigned slices, bool aligned);

/* The same, aligned; tells whether all of them are clean. */
char *arn__slices_take_told(unsigned slices, bool *clean);

/* The same, not aligned, of memory that is there or as `growth` says. */
char *arn__slices_take_within(unsigned slices, enum growth growth);

/* The `slices` right behind a run, if they are free and in the same arena. */
bool arn__slices_take_at(char *base, unsigned slices);

/* Gives slices back; the first `touched` of them may have been written. */
void arn__slices_put(char *base, unsigned slices, unsigned touched);

/* Whole arenas in a row, at a multiple of `alignment_arenas` arenas. */
char *arn__span_take(size_t arenas, size_t alignment_arenas);
char *arn__span_take_within(size_t arenas, size_t alignment_arenas, enum growth growth);

/* The `arenas` right behind a span, if they are free. */
bool arn__span_take_at(char *base, size_t arenas);

void arn__span_put(char *base, size_t arenas, size_t touched_bytes);

/* Zeroes what of these held slices was dirty when they were taken. */
void arn__slices_zero(char *base, size_t bytes);

/* Takes a free dirty range out of use, for purging: of arenas that are free and dirty for `whole_age_ms`, or else part of
 * one that is dirty for `part_age_ms`. False if there is none. Caller holds the lock. */
struct dirty_range {
    char *base;
    size_t slices;
};
bool arn__arena_take_oldest_dirty(struct dirty_range *range, size_t most_slices,
                                  uint32_t whole_age_ms, uint32_t part_age_ms);

/* Puts it back, purged or not. Caller holds the lock. */
void arn__arena_put_purged(const struct dirty_range *range, bool purged);

/* Since when the oldest dirty arena is dirty; false if none is. Caller holds the lock. */
bool arn__arena_oldest_dirty_ms(uint32_t *since_ms);

/* Unmaps wholly free regions; returns their bytes. */
size_t arn__arena_release_regions(void);

/* In a forked child of a program with threads: masks, lists and totals anew from the descriptors. */
void arn__arena_rebuild(void);

/* For tests: aborts if the records contradict each other. */
void arn__arena_verify(void);

#endif
