/* pass.h - an entry of 4 bytes for each object of the pools that take part in a collection, or in another walk
 * over references: outside of the heap, and for as long as that takes.
 *
 * What an entry says is for who makes the pass; 0 is no candidate, and what all are at first.
 */
#ifndef ARENITE_OBJECT_PASS_H
#define ARENITE_OBJECT_PASS_H

#include "diag.h"
#include "domain.h"

enum {
    SLOT_BITS = 10, /* a pool of a slice holds at most so many slots, of 16 bytes */
    POOL_SLOTS = 1 << SLOT_BITS,
    POOL_WORDS = POOL_SLOTS / 64, /* with a bit for each slot */
};

/* An entry that is done with, or links to the next to be done: the lowest bits are an index. */
#define REACHED 0x80000000u

enum {
    WAITING_MOST = 32,
    QUEUE_MOST = 32, /* a power of two */
};

struct pass {
    struct arn_domain *domain;
    const char *function; /* of the program's call, for what is said of misuse */
    uint32_t pools;       /* taking part: pass_idx 1 to this */
    bool is_kept;         /* the map, for the next pass */
    char **bases;         /* by pass_idx */
    uint32_t *entries;    /* POOL_SLOTS for each pass_idx */
    uint64_t *candidates; /* POOL_WORDS for each pass_idx, with a bit for each slot */
    uint64_t *garbage;    /* the same, of those that a collection is to release */
    size_t map_bytes;

    /* The collector's: see cycle.c. */
    unsigned oldest;   /* generation that is looked at */
    uint32_t at;       /* index that a sweep has come to */
    bool finalizes;    /* there is a type with a finalizer */
    uint32_t barred;   /* flags of those that are no candidates */
    bool shared;       /* objects are candidates, too: nobody else touches them */
    bool found_shared; /* among garbage */
    size_t selected;   /* candidates */
    size_t reached;    /* of those: referred to from outside, or from what is */
    size_t collected;  /* the others, less what was resurrected */
    size_t resurrected;
    unsigned waiting_count; /* references whose descriptors have been asked for */
    void *waiting[WAITING_MOST];
    unsigned queue_first,
        queue_count; /* objects that have been asked for, to be followed in this order */
    char *queue[QUEUE_MOST];
    uint32_t list; /* index of the first entry of those to be followed after them; 0: none */
    bool called;   /* functions of the program, since the entries were made */
    struct arn_weak *detached; /* to be called back */
};

/* What a sweep comes to. */
struct candidate {
    struct descriptor *pool;
    uint32_t *entry;
    uint32_t index;
    char *object;
};

/* Room for `most` pools. False: no memory. */
bool arn__pass_begin(struct pass *pass, struct arn_domain *domain, uint32_t most,
                     const char *function);
void arn__pass_end(struct pass *pass);

/* What is kept for the next, when the domain ends. */
void arn__pass_give_back(struct collector *collector);

void arn__pass_join(struct pass *pass, struct descriptor *pool, char *base);

/* The entry's index of what an object refers to; 0: its pool takes no part. */
static inline uint32_t arn__pass_index(const struct pass *pass, const void *object)
{
    const struct descriptor *pool = arn__typed_pool(object);
    if (__builtin_expect(!arn__holds_objects(pool), 0)) {
        if (object != NULL) /* which a traverse function need not leave out */
            arn__misuse(pass->function, object, "an object refers to this, which is none");
        return 0;
    }
    /* relaxed: another domain's may change, and is none of this pass. */
    uint32_t pass_idx = __atomic_load_n(&pool->pass_idx, __ATOMIC_RELAXED);
    if (pass_idx == 0 || pool->bin->domain != pass->domain)
        return 0;
    return pass_idx << SLOT_BITS | arn__slot_of(pool->bin, object);
}

static inline char *arn__pass_object(const struct pass *pass, uint32_t index)
{
    char *base = pass->bases[index >> SLOT_BITS];
    return arn__slot(arn__descriptor(base)->bin, base, index & (POOL_SLOTS - 1));
}

static inline void arn__pass_enter(struct pass *pass, uint32_t index, uint32_t entry)
{
    pass->entries[index] = entry;
    pass->candidates[index >> 6] |= (uint64_t)1 << (index & 63);
}

static inline bool arn__pass_is_garbage(const struct pass *pass, uint32_t index)
{
    return pass->garbage[index >> 6] >> (index & 63) & 1;
}

static inline void arn__pass_is_no_garbage(struct pass *pass, uint32_t index)
{
    pass->garbage[index >> 6] &= ~((uint64_t)1 << (index & 63));
}

/* Calls `step` for all candidates, or for all garbage: pool by pool, in order of addresses. */
static inline __attribute__((always_inline)) void
arn__pass_sweep(struct pass *pass, const uint64_t *bits,
                void (*step)(struct pass *pass, const struct candidate *candidate))
{
    for (uint32_t i = 1; i <= pass->pools; i++) {
        char *base = pass->bases[i];
        struct descriptor *pool = arn__descriptor(base);
        const struct bin *bin = pool->bin;
        uint32_t first = i << SLOT_BITS;
        for (uint32_t from = 0; from < pool->carved; from += 64) {
            for (uint64_t left = bits[(first + from) >> 6]; left != 0; left &= left - 1) {
                uint32_t slot = from + (uint32_t)__builtin_ctzll(left);
                step(pass, &(struct candidate){pool, &pass->entries[first + slot], first + slot,
                                               arn__slot(bin, base, slot)});
            }
        }
    }
}

#endif
