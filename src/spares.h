/* spares.h - freed runs and spans that a heap keeps as they are, to hand them out again without a lock or a search.
 *
 * A program that frees a large block often asks for one of that size next. Its thread keeps the last few, up to
 * SPARE_MOST_BYTES each; all heaps together keep half of the purge budget, and no more than SPARES_MOST_BYTES. A spare
 * has the flag LARGE_SPARE in its descriptor: it cannot be freed again, and statistics count it as dirty. It goes back
 * to its arenas when a newer one takes its place, as do all when a large request is for another size, as its thread ends, in a trim, and where a request finds no memory.
 */
#ifndef ARENITE_SPARES_H
#define ARENITE_SPARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap;
struct descriptor;

enum { SPARES = 4, SPARE_MOST_BYTES = 1 << 20, SPARES_MOST_BYTES = 2 << 20 };

/* A thread whose large requests are of other sizes each time keeps nothing: each spare that was asked for makes up for
 * one request for another size; without any such worth one free in TRY is kept, to see. */
enum { SPARES_WORTH_MOST = 16, SPARES_TRY = 16 };

/* Of a heap: blocks, or NULL. They may have become something else in a forked child: the flag tells. */
struct spares {
    void *blocks[SPARES];
    uint32_t slices[SPARES]; /* of each */
    unsigned oldest;         /* the place that is to be given up first */
    uint8_t worth, tries;
};

/* All of this by the heap's thread, which is inside; but keep and take need not have entered. */

/* Keeps a run or span of so many slices that is in use, with its descriptor. False: it is as it was. Either way `evicted` is a spare that
 * is to be freed for it, see arn__spares_free, or NULL. */
bool arn__spares_keep(struct spares *spares, struct descriptor *d, void *block, unsigned slices,
                      void **evicted);

/* One that `bytes` would get as a new block; it holds anything. NULL: none. */
void *arn__spares_take(struct spares *spares, size_t bytes, size_t alignment);

/* The request was for another size: true if all are to be freed now. */
bool arn__spares_missed(struct spares *spares);

/* Frees one that was evicted; or all. */
void arn__spares_free(void *block);
void arn__spares_free_all(struct spares *spares);

/* In a forked child whose parent had threads, which has given all of them back to their arenas; NULL: no heap lives on. */
void arn__spares_after_fork(struct spares *spares);

#endif
