/* region.h - address space from the OS, and which of its arenas are free.
 *
 * A region is one reservation, 2 MiB-aligned but for the first and for small ones where memory is short, with an
 * inaccessible page on each side, unless memory is short: whatever the OS maps beside it is not run into.
 * It is inaccessible beyond a frontier, which moves up in groups of 8 arenas (2 MiB), or by the arena
 * where that much is refused: strict overcommit is charged for what is used, and a region is a few
 * mappings (opened, of these with huge pages, reserved) however many arenas it holds. All of this under
 * the arena lock.
 *
 * A process may be limited (RLIMIT_AS, RLIMIT_DATA; RLIMIT_MEMLOCK if it locks what it maps). The limits
 * are read once, at the start, for a filter of system calls may forbid the question later; what is
 * refused tells the rest. While they are far away, reservations double; near one, they are small, and
 * large blocks take the pages that they need and no arenas (arn__memory_is_tight). What is left in the
 * end is less than an arena: its first slices are mapped, as many as there is room for.
 */
#ifndef ARENITE_REGION_H
#define ARENITE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "descriptor.h"

enum {
    GROUP_SHIFT = 21,
    GROUP_BYTES = 1 << GROUP_SHIFT, /* 8 arenas: a huge page */
    GROUP_ARENAS = GROUP_BYTES / ARENA_BYTES,
};

/* 64 arenas of a region. */
struct stretch {
    uint64_t free; /* one bit per arena: ARENA_FREE, or not opened yet */
    /* Of the runs of free arenas that begin here: in arenas, those behind included. */
    uint32_t longest;
    uint8_t huge; /* one bit per group: huge pages were asked for as it was opened */
};

struct region {
    struct region *next;
    char *base;
    uint32_t arenas; /* in all */
    uint32_t slices; /* of each arena; fewer than 16 where it is one arena that is there in part */
    uint32_t opened; /* arenas below the frontier */
    uint32_t huge_groups; /* opened with huge pages */
    uint32_t free_arenas; /* bits set in the stretches */
    uint32_t room;        /* stretches that the record has room for */
    uint32_t guard_bytes; /* inaccessible, on each side; 0 where memory is short */
    struct stretch stretches[];
};

extern struct region *arn__regions;

struct region_totals {
    size_t reserved_bytes;
    size_t opened_bytes;
    size_t huge_bytes;  /* of these: asked to be huge pages, for about as much is full of blocks */
    size_t thick_bytes; /* of these: for large blocks; pools may have become of them since */
};
extern struct region_totals arn__region_totals;

/* How often huge pages are asked for, for they may be far away: a virtual machine's host takes back what is
 * free for a while, by the huge page, and finds it anew in milliseconds; the kernel may have to make room.
 * Small pages are at hand then, and cost less. So the first touch of a huge page is timed, and after one that
 * took longer than 2 MiB of small pages do some groups go without: 1, 3, 7, 15, then always 15, until one is
 * fast again. */
struct huge_pace {
    unsigned skips; /* groups that still go without */
    unsigned last_skips;
};
extern struct huge_pace arn__huge_pace; /* under the arena lock */
bool arn__huge_pace_asks(struct huge_pace *pace);
void arn__huge_pace_took(struct huge_pace *pace, uint64_t ns);

/* The first region, and its table. */
bool arn__region_start(void);

/* The process has little memory, or was refused some: none is to be wasted. */
bool arn__memory_is_tight(void);

/* Huge pages for a map: readable, writable, zero, at a multiple of `alignment`. NULL: there are none. Not
 * under the arena lock. */
void *arn__huge_map(size_t bytes, size_t alignment);

/* In a forked child. */
void arn__huge_after_fork(void);

/* Whether memory may be asked of the OS: address space, and more of it made accessible. */
enum growth { NO_GROWTH, MAY_GROW };

/* `arenas` in a row, at a multiple of `alignment_arenas` from an address that is a multiple of it;
 * opened, taken out of the free map. NULL: no memory. `filled_bytes`, of what is probably full of blocks, decides on
 * huge pages. */
char *arn__region_take(size_t arenas, size_t alignment_arenas, size_t filled_bytes,
                       enum growth growth);

/* Where there is no room for an arena: one of which the first slices are there, `least` or more. Taken, as
 * above. */
char *arn__region_take_part(unsigned least, enum growth growth);

/* Makes exactly these arenas taken, if they all lie in the region and are free. */
bool arn__region_take_at(struct region *region, char *base, size_t arenas, size_t filled_bytes);

/* Whole groups that are taken, open and zero get huge pages, if `filled_bytes` are enough. False: they are lost, and
 * not to be touched any more. */
bool arn__region_thicken(char *base, size_t bytes, size_t filled_bytes);

/* Back to the free map. */
void arn__region_put(char *base, size_t arenas);

/* The group that this arena of a region is in: has it huge pages? Is all of it free? */
bool arn__region_group_is_huge(const struct arena *arena);
bool arn__region_group_is_free(const struct arena *arena);

/* Whether some of this arena is to be made inaccessible: the heap is small, and memory is not short. */
bool arn__region_is_guarded(const struct arena *arena);

/* Unmaps regions that are wholly free, except the first; where memory is short, the free end of each, too.
 * Returns the bytes. `forget` is told of every opened arena that goes. */
size_t arn__region_release_free(void (*forget)(struct arena *));

/* The free map anew from the arenas' states; in a forked child. */
void arn__region_rebuild(void);

static inline struct arena *arn__region_arena(const struct region *region, size_t idx)
{
    return arn__arena(region->base + idx * ARENA_BYTES);
}

#endif
