/* spares.h - freed runs and spans that a heap keeps as they are, to hand them out again without a lock or a search.
 *
 * A program that frees a large block often asks for one of that size next. Its thread keeps the last few, up to
 * SPARE_MOST_BYTES each; all heaps together keep as much as the purge budget says, and no more than
 * SPARES_MOST_BYTES. Each heap reserves its part of that as it begins to keep: from then on it hands out and takes back
 * without a look at the others. What is reserved, the purge budget has less, but for a quarter.
 *
 * A spare has the flag LARGE_SPARE in its descriptor: it cannot be freed again, and statistics count it as dirty. It
 * goes back to its arenas when a newer one takes its place, as do all when a large request is for another size, when the
 * thread has asked for many other blocks since, as it ends, in a trim of its own, and where a request of its own finds
 * no memory.
 */
#ifndef ARENITE_SPARES_H
#define ARENITE_SPARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "large.h"
#include "options.h"

struct heap;
struct descriptor;

enum { SPARES = 4, SPARE_MOST_BYTES = 16 << 20, SPARES_MOST_BYTES = 16 << 20 };

/* A thread whose large requests are of other sizes each time keeps nothing: each spare that was asked for makes up for
 * one request for another size; without any such worth one free in TRY is kept, to see. */
enum { SPARES_WORTH_MOST = 16, SPARES_TRY = 16 };

/* All of them go when so many refills came and no request for a spare. */
enum { SPARES_PASSED_MOST = 128 };

struct spare {
    void *block;
    struct descriptor *descriptor; /* the block's; in a forked child it may be another's */
    size_t slices;
};

/* Of a heap. */
struct spares {
    struct spare kept[SPARES]; /* the oldest first */
    unsigned count;
    uint8_t worth, tries;
    uint8_t passed;  /* requests that were none for a large block since one was handed out */
    size_t slices;   /* of them */
    size_t reserved; /* slices that this heap may keep */
};

/* All of this by the heap's thread. */

/* Keeps a run or span of so many slices that is in use. False: it is as it was, and to be offered. */
static inline bool arn__spares_keep(struct spares *spares, struct descriptor *d, void *block,
                                    size_t slices)
{
    if (spares->count == SPARES || spares->slices + slices > spares->reserved ||
        !arn__large_keep(d))
        return false;
    spares->kept[spares->count] = (struct spare){block, d, slices};
    spares->slices += slices;
    spares->count++;
    return true;
}

/* What is to be handed out counts for the thread's habits. */
static inline void arn__spares_count(struct spares *spares)
{
    spares->passed = 0;
    if (__builtin_expect(spares->worth < SPARES_WORTH_MOST, false))
        spares->worth++;
}

/* One that `bytes` would get as a new block, if it was kept last; it holds anything. NULL: see arn__spares_search. */
static inline void *arn__spares_take(struct spares *spares, size_t bytes, size_t alignment)
{
    if (spares->count == 0)
        return NULL;
    struct spare *last = &spares->kept[spares->count - 1];
    void *block = last->block;
    if (last->slices != arn__large_slices_for(bytes, alignment) ||
        bytes > arn__options.map_threshold_bytes || ((uintptr_t)block & (alignment - 1)) != 0 ||
        last->descriptor->block_bytes < bytes || !arn__large_take_again(last->descriptor))
        return NULL;
    spares->slices -= last->slices;
    spares->count--;
    arn__spares_count(spares);
    return block;
}

/* The same, any of them. NULL: none. */
void *arn__spares_search(struct spares *spares, size_t bytes, size_t alignment);

/* All of this while inside. */

/* The same as arn__spares_keep, and reserves what it takes; the oldest may be freed for it. False: the block is to be
 * freed. */
bool arn__spares_offer(struct spares *spares, void *block);

/* A large request was for another size: frees all of them. */
void arn__spares_miss(struct spares *spares);

/* A request that no list served. */
static inline void arn__spares_pass(struct spares *spares)
{
    if (spares->reserved > 0 && ++spares->passed > SPARES_PASSED_MOST)
        arn__spares_miss(spares);
}

void arn__spares_free_all(struct spares *spares);

/* In a forked child whose parent had threads, which has given all of them back to their arenas. NULL: no heap lives
 * on. */
void arn__spares_after_fork(struct spares *spares);

#endif
