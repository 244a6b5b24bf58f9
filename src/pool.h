/* pool.h - blocks of one size class in 1, 4 or 16 slices.
 *
 * Who may touch a pool is decided by its remote word alone (the number in `place` only tells a thread
 * quickly whether it is itself the owner):
 *
 *   OWNED     one heap's thread, or whoever is moving the pool, has the owner fields to itself. Its
 *             current pool, its partial ones, and those that rest: see heap.c.
 *             Others push freed blocks onto the word.
 *   DETACHED  full, nobody's: all blocks are out. Freed blocks are pushed onto the word; the first
 *             push by a thread that is to hold the pool (arn__heap_may_hold), or the one that brings
 *             them to the class's threshold, makes it OWNED by the pusher with the same
 *             compare-and-swap.
 *   SHARED    in its class's shard, under the shard's lock: taking it there makes it OWNED. An empty pool that a
 *             shard keeps is OWNED, and nobody pushes onto its word: its owner fields are under the shard's lock, too.
 *
 * While a heap allocates from a pool (its current one), the pool's free blocks are the heap's list, and
 * its thread's frees go there: the block freed last is handed out first. That list's `needed` is no count of
 * blocks: it ends when the heap is to look (count_frees in heap.c). Otherwise, unless the pool rests, `needed` is the number of blocks
 * out, and the free that brings it to 0 has emptied the pool.
 */
#ifndef ARENITE_POOL_H
#define ARENITE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "descriptor.h"
#include "hardened.h"
#include "links.h"
#include "size_class.h"

enum pool_state { POOL_OWNED, POOL_DETACHED, POOL_SHARED };

enum { NEEDED_CURRENT = 1 << 30 };

/* Blocks at the start of a pool that are never handed out: what a program writes before the first one that is, it
 * writes into no other pool. */
enum { POOL_SKIPPED = SHUFFLED_POOLS };

/* The remote word: the offset of the chain's first block in units of 16 bytes, plus 1 (16 bits);
 * number of blocks in the chain (16); state (8); and, of a shared pool, the number of blocks that
 * were out when it was shared (16: when as many have come back, it is empty) and its class (8). */
enum {
    REMOTE_COUNT_SHIFT = 16,
    REMOTE_STATE_SHIFT = 32,
    REMOTE_OUT_SHIFT = 40,
    REMOTE_CLASS_SHIFT = 56,
};

static inline uint64_t arn__remote_word(enum pool_state state, unsigned count, unsigned first)
{
    return (uint64_t)state << REMOTE_STATE_SHIFT | (uint64_t)count << REMOTE_COUNT_SHIFT | first;
}

static inline enum pool_state arn__remote_state(uint64_t word)
{
    return (enum pool_state)(word >> REMOTE_STATE_SHIFT & 0xff);
}

static inline unsigned arn__remote_out(uint64_t word)
{
    return (unsigned)(word >> REMOTE_OUT_SHIFT) & 0xffff;
}

static inline unsigned arn__remote_count(uint64_t word)
{
    return (unsigned)(word >> REMOTE_COUNT_SHIFT) & 0xffff;
}

/* ---- a free block: one word of its own memory ---- */

/* A program can protect a page if it has all of it: not the page that a block begins in, unless the block begins
 * with the page and is no smaller. */
static inline bool arn__has_page_of_its_own(const void *block, size_t block_bytes)
{
    size_t page_bytes = arn__os_page_bytes();
    return block_bytes >= page_bytes && ((uintptr_t)block & (page_bytes - 1)) == 0;
}

/* Where the compiler optimises a program together with this library, it thinks of blocks as libc's:
 * what the program frees next need not be stored to, and what it has just been given holds anything.
 * Not so the link. */

/* Clears the link of a block that goes to the program. */
static inline void arn__block_hand_out(struct block *block)
{
    block->link = 0;
    __asm__ volatile("" : : "m"(block->link)); /* it is needed */
}

/* A pointer from the program, of which the compiler knows nothing. */
static inline void *arn__block_from_program(void *pointer)
{
    __asm__("" : "+r"(pointer));
    return pointer;
}

/* ---- looking; any thread, for a block that is out ---- */

/* The number of the heap that owns it; 0: none. */
static inline unsigned arn__pool_number(const struct descriptor *pool)
{
    return (unsigned)(ARN__PEEK(pool->place) >> NUMBER_SHIFT);
}

/* Behind the last block carved so far.
 * relaxed: a block's address came to this thread after it was carved. */
static inline char *arn__pool_end(const struct descriptor *pool)
{
    return (char *)(ARN__PEEK(pool->place) & (((uint64_t)1 << NUMBER_SHIFT) - 1));
}

/* The first byte of the pool that a block of this class is in. */
static inline char *arn__pool_base_of(const void *block, unsigned class_idx)
{
    size_t bytes = (size_t)arn__size_classes[class_idx].slices * SLICE_BYTES;
    return (char *)((uintptr_t)block & ~(uintptr_t)(bytes - 1));
}

static inline char *arn__pool_base(const struct descriptor *pool)
{
    return arn__pool_base_of(arn__pool_end(pool) - 1, pool->class_idx);
}

/* All of its slices. */
static inline size_t arn__pool_bytes(const struct descriptor *pool)
{
    return (size_t)arn__size_classes[pool->class_idx].slices * SLICE_BYTES;
}

/* The block that was carved at this position. */
static inline struct block *arn__pool_carved(const char *base, unsigned class_idx, size_t position)
{
    return (struct block *)((uintptr_t)base + (position + POOL_SKIPPED) *
                                                  arn__size_classes[class_idx].block_bytes);
}

/* How a remote word names a block: 16 bits, never 0. */
static inline unsigned arn__pool_idx(const char *base, const struct block *block)
{
    return (unsigned)((size_t)((const char *)block - base) / QUANTUM_BYTES) + 1;
}

/* The block that a remote word names; for 0 the end of a list. */
static inline struct block *arn__pool_block(char *base, unsigned idx)
{
    return idx == 0 ? arn__link_end()
                    : (struct block *)(base + (size_t)(idx - 1) * QUANTUM_BYTES);
}

/* The pointer is the start of a carved block of this slice's pool. */
static inline bool arn__pool_starts_block(const struct descriptor *d, const void *pointer)
{
    uint64_t from_end = (uintptr_t)pointer - (uintptr_t)arn__pool_end(d);
    return from_end >= -(uint64_t)ARENA_BYTES && arn__is_multiple_below(from_end, d->inverse);
}

/* The word is the link of a free block of the pool: it leads to another one, or ends the list. */
static inline bool arn__pool_links(const struct descriptor *d, uint64_t link)
{
    struct block *next;
    return arn__link_read(link, &next) &&
           (next == arn__link_end() ||
            (arn__pool_starts_block(d, next) &&
             arn__pool_base_of(next, d->class_idx) == arn__pool_base(d)));
}

/* A block of a pool that is out: its start, without a free block's link. If false, it may still be one, which
 * holds a copy of such a link: arn__pool_lists knows. */
static inline bool arn__pool_has_out(const struct descriptor *d, const void *pointer)
{
    return arn__kind(d) == KIND_POOL && arn__pool_starts_block(d, pointer) &&
           !arn__pool_links(d, ((const struct block *)pointer)->link);
}

/* The block after this free one of the pool; the end, and the rest of the list is lost, if the block was
 * overwritten: that is misuse, noticed by `function`. */
struct block *arn__pool_next(const struct descriptor *pool, const struct block *block,
                             const char *function);

/* Whether a block of the pool that has pages of its own is free: its program may have made them unreadable, or
 * have mapped something over them. The kernel looks. */
bool arn__pool_is_free_apart(const struct descriptor *pool, const struct block *block);

/* ---- owner's operations ---- */

/* A new pool of the heap with this number, its first page carved into `local`: a pool is never without a carved
 * block. NULL: no memory. */
struct descriptor *arn__pool_create(unsigned class_idx, unsigned number);

/* Carves the blocks that begin on the next page, at least one, in front of `local`;
 * returns how many: 0 when all are carved. */
unsigned arn__pool_carve(struct descriptor *pool);

/* Moves the chain of the remote word into `local`, and makes the pool OWNED if it was SHARED;
 * returns the number of blocks. What follows an overwritten block of the chain is cut off if `local` has blocks, and so
 * is a chain that leads back to itself; both are misuse. */
unsigned arn__pool_take_remote(struct descriptor *pool);

/* Gives the slices back, without links in them. No block is out: all are in `local`, or in the remote word. */
void arn__pool_release(struct descriptor *pool);

/* Its frees go to its own list. */
void arn__pool_set_owner(struct descriptor *pool, unsigned number);

void arn__pool_set_frees_to(struct descriptor *pool, struct free_list *list);

/* Full, no chain: OWNED becomes DETACHED. False if blocks came back meanwhile: still OWNED.
 * `number` is that of the heap that filled it, which is kept as a hint for who claims it; or 0. */
bool arn__pool_detach(struct descriptor *pool, unsigned number);

/* OWNED becomes SHARED, `needed` blocks out; caller holds the shard's lock. False if all of them
 * have come back: still OWNED, its chain in the remote word, which nobody pushes to any more. */
bool arn__pool_share(struct descriptor *pool);

/* Of the pool at `base`, which may be gone: if one is SHARED there in this class and all its blocks
 * are back, makes it OWNED by the caller, who holds the shard's lock. Its chain stays in the remote word. */
bool arn__pool_unshare_empty(char *base, unsigned class_idx);

/* In a forked child, for a pool that the forking thread does not own: what it was at is unknown.
 * Makes it DETACHED again if it was, else leaves it OWNED by the caller, its blocks to be found.
 * False: no block was ever carved. `base` is the pool's first slice. */
bool arn__pool_abandon(struct descriptor *pool, char *base, bool *detached);

/* Finds the free blocks of an abandoned pool by their links and puts them into the remote word. What is on a
 * page that the child cannot read is out for ever.
 * Must come before any block of it is freed in this process. Does nothing to other pools. */
void arn__pool_recover(struct descriptor *pool);

/* In a forked child, for a pool of the forking thread's: cuts the chain in the remote word where a
 * thread that is not here was linking it. */
void arn__pool_mend_remote(struct descriptor *pool);

void arn__pools_after_fork(void);

/* The block is in the list that begins with `first`, or in the remote word's. */
bool arn__pool_lists(const struct descriptor *pool, const struct block *first,
                     const struct block *block);

/* Blocks in `local`: a walk. What follows an overwritten block is cut off, and a list that leads back to itself ends
 * before it does; both are misuse. */
unsigned arn__pool_local_count(struct descriptor *pool);

/* ---- everybody's operation ---- */

enum push_result {
    PUSH_DONE,
    PUSH_CLAIMED, /* it was DETACHED and is now OWNED by the caller, the chain in `local`,
                   * `needed` counted */
    PUSH_EMPTIED, /* it was SHARED and all its blocks are back: see arn__shard_reap */
};

/* Pushes a block that is out onto its pool's remote word. A DETACHED pool is claimed if
 * that makes `claim_at` blocks. The block belongs to the caller until then, and keeps the pool alive. */
enum push_result arn__pool_push(struct descriptor *pool, struct block *block, unsigned claim_at);

/* One more block calls for more than a push: the pool is to be claimed, or empty. */
static inline bool arn__pool_push_is_last(const struct descriptor *d, uint64_t word, bool holds)
{
    unsigned total = arn__remote_count(word) + 1;
    return arn__remote_state(word) == POOL_DETACHED
               ? holds || total >= arn__size_classes[d->class_idx].threshold
               : total == arn__remote_out(word);
}

/* The same when there is nothing more to it; `d` is that of the block's slice, `holds` whether this
 * thread is to hold the pool if that is nobody's. False: the block may be free, or be none; or the pool is
 * to be claimed, was found empty, or is to be recovered. The block is as it was. */
static inline bool arn__pool_push_quick(const struct descriptor *d, struct block *block, bool holds)
{
    /* acquire: see arn__has_flag. */
    unsigned flags = atomic_load_explicit(&d->kind_flags, memory_order_acquire);
    if (__builtin_expect((flags & (KIND_MASK | POOL_RECOVER)) != KIND_POOL ||
                             !arn__pool_starts_block(d, block) ||
                             arn__link_may_be(arn__link_below(block->link)),
                         false))
        return false;
    char *base = arn__pool_base_of(block, d->class_idx);
    /* By the block's address: the pool is in the same tract. */
    _Atomic uint64_t *remote =
        &arn__tract(block)->remote[(uintptr_t)base >> SLICE_SHIFT & (TRACT_SLICES - 1)];
    unsigned idx = arn__pool_idx(base, block);
    uint64_t word = atomic_load_explicit(remote, memory_order_relaxed);
    uint64_t pushed;
    do {
        if (__builtin_expect(word >> REMOTE_STATE_SHIFT != POOL_OWNED, false) &&
            arn__pool_push_is_last(d, word, holds)) {
            block->link = 0; /* it is the caller's still: a recovery must not find it */
            return false;
        }
        block->link = arn__link_to(arn__pool_block(base, (unsigned)(word & 0xffff)));
        pushed = (word & ~(uint64_t)0xffff) + arn__remote_word(POOL_OWNED, 1, idx);
        /* release: the link, to whoever takes the chain. */
    } while (!atomic_compare_exchange_weak_explicit(remote, &word, pushed, memory_order_release,
                                                    memory_order_relaxed));
    return true;
}

#endif
