/* sampled.h - a few blocks, chosen by chance, each on pages of its own between pages without access.
 *
 * As GWP-ASan does it (Serebryany, Kennelly, Phillips, Denton, Elver, Potapenko, Morehouse, Tsyrklevich, Holler,
 * Lettner, Kilzer, Brandt: "GWP-ASan: Sampling-Based Detection of Memory-Safety Bugs in Production", 2023). A sampled
 * block lies in a cell. The program faults where it reads or writes past the cell's pages, or any of them after the
 * block was freed, and the fault is explained: which block, who allocated it, who freed it.
 *
 *     guard | cell 0 | guard | cell 1 | guard | ...        cell: as long as the largest block of a pool, or a page
 *
 * Only the pages that the block touches are accessible. It ends with the cell or begins with it, by chance.
 *
 * There are as many cells as SAMPLED_CELLS, and at most SAMPLED_LIVE_MOST live blocks: the others have been freed, and
 * are used again in the order in which they were freed. No lock is taken: a cell's state changes by compare-and-swap,
 * and belongs to the thread that changed it until that changes it again. What a forked child finds half done stays so:
 * a cell for each thread at most.
 *
 * When it is a request's turn is counted by heaps, in blocks: see arn__sampled_is_due, and arm in heap.c.
 */
#ifndef ARENITE_SAMPLED_H
#define ARENITE_SAMPLED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SAMPLED_CELLS = 128, SAMPLED_LIVE_MOST = 64, SAMPLED_FRAMES = 16 };

/* Who did something. */
struct call_stack {
    int thread;     /* its number; 0: not known */
    unsigned count; /* 0: not known */
    void *frames[SAMPLED_FRAMES];
};

enum cell_state {
    CELL_FREE,   /* no access. It had a block unless `block` is NULL */
    CELL_TAKEN,  /* a thread makes a block in it */
    CELL_LIVE,   /* the block is the program's */
    CELL_GIVEN,  /* a thread frees the block */
    CELL_BROKEN, /* the kernel refused to take the access away: never used again */
};

/* What is known of a cell. In memory between guards. */
struct cell {
    _Atomic uint32_t state; /* enum cell_state */
    uint32_t bytes;         /* the block's, as it was asked for */
    char *block;
    _Atomic uint64_t freed; /* how many frees of sampled blocks there were before, and 1 */
    struct call_stack made_by;
    struct call_stack freed_by;
};

extern atomic_bool arn__sampling;

/* False: no request is ever due. */
static inline bool arn__sampled_is_on(void)
{
    /* acquire: pairs with the store that turns it on; the cells are there. */
    return __builtin_expect(atomic_load_explicit(&arn__sampling, memory_order_acquire), false);
}

/* About one in `rate` blocks is sampled from now on. The first call reserves the cells. Before the program confines
 * itself, and not within the dynamic linker: the unwinder is loaded. False: no memory. */
bool arn__sampled_begin(size_t rate);

/* Faults in cells are explained from now on, unless the program handles them itself. */
void arn__sampled_explain_faults(void);

/* Counts down by so many blocks; true: the last one is to be sampled. Each time the countdown has ended it begins anew
 * with a number of chance, of which `rate` is the mean: geometric, so that nothing tells which is next.
 * `until` is the heap's: 0 before the first call. */
bool arn__sampled_is_due(int64_t *until, uint64_t blocks);

/* Draws the first number, if sampling is on and there is none yet. */
void arn__sampled_begin_count(int64_t *until);

/* Samples, with their frees, take a hundredth of the time, however fast blocks come and go: see pace.h. Not where more
 * than one in SAMPLED_PACED blocks is asked for: whoever asks for that wants them all. */
enum { SAMPLED_PACED = 1000 };

/* The time in ns; 0: there is no rest. */
uint64_t arn__sampled_now(void);
bool arn__sampled_rests(uint64_t now);

/* A sample, or its free, began then and has ended. */
void arn__sampled_took(uint64_t since);

/* A cell for such a block; NULL: there is none, or the block is too large. */
struct cell *arn__sampled_take(size_t bytes, size_t alignment);

/* Makes the block in the cell. `made_by` is filled in. All zero if that is asked for. NULL: no access to the pages;
 * the cell is free again, and there are no more samples. */
void *arn__sampled_make(struct cell *cell, size_t bytes, size_t alignment, bool zeroed);

/* It lies in a cell, or in a guard between cells. */
bool arn__sampled_has(const void *pointer);

/* Of a pointer that lies there. */
enum sampled_block {
    SAMPLED_LIVE,  /* the start of a block that is out */
    SAMPLED_FREED, /* the start of one that was freed */
    SAMPLED_NONE,
};
enum sampled_block arn__sampled_look(const void *pointer);

/* What was asked for, of a block that is out. */
size_t arn__sampled_bytes(const void *block);

/* Takes the block from the program; NULL: it is none that is out. Then `freed_by` is to be filled in, and the pages
 * to be given back. */
struct cell *arn__sampled_give(const void *block);
void arn__sampled_give_pages(struct cell *cell);

/* The first byte beside the block that was written to, or NULL. */
const char *arn__sampled_overwritten(const struct cell *cell);

/* "arenite: FUNCTION(0xPOINTER): REASON", and what is known of the block; then abort, unless the options say to go on.
 * `where` the matter is, in or beside the block; `by`: who called that function. */
void arn__sampled_misuse(const char *function, const void *pointer, const char *reason,
                         const char *where, const struct call_stack *by);

/* Blocks that are out, and their bytes. */
void arn__sampled_count(size_t *blocks, size_t *bytes);

/* For tests: the numbers of chance from here on follow from the seed. */
void arn__sampled_seed(uint64_t seed);

/* A number of chance, at least 1, with this mean. */
uint64_t arn__sampled_draw(size_t mean);

#endif
