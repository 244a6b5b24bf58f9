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

enum { WAITING_MOST = 32 };

struct waiting {
    void *referent;
    uint32_t index;
};

struct pass {
    struct arn_domain *domain;
    const char *function; /* of the program's call, for what is said of misuse */
    uint32_t pools;       /* taking part: pass_idx 1 to this */
    bool is_kept;         /* the map, for the next pass */
    char **bases;         /* by pass_idx */
    uint32_t *entries;    /* POOL_SLOTS for each pass_idx */
    uint64_t *bits; /* POOL_WORDS: candidates, for sweeps to find them among many that are none */
    size_t map_bytes;

    /* The collector's: see cycle.c. */
    unsigned oldest; /* generation that is looked at */
    uint32_t at;     /* index that a sweep has come to */
    uint32_t list;   /* index of the first entry whose references are to be followed; 0: none */
    char *next;      /* an object whose references are to be followed before; NULL: none */
    size_t candidates, garbage, resurrected;
    unsigned waiting_count; /* references whose entries have been asked for */
    struct waiting waiting[WAITING_MOST];
    uint32_t barred;           /* flags of those that are no candidates */
    bool shared;               /* objects are candidates, too: nobody else touches them */
    bool found_shared;         /* among garbage */
    bool called;               /* functions of the program, since the entries were made */
    struct arn_weak *detached; /* to be called back */
};

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
    pass->bits[index >> 6] |= (uint64_t)1 << (index & 63);
}

/* Calls `step` for each candidate that is not REACHED, or for all: pool by pool, in order of addresses. */
static inline __attribute__((always_inline)) void
arn__pass_sweep(struct pass *pass, bool all,
                void (*step)(struct pass *pass, const struct candidate *candidate))
{
    for (uint32_t i = 1; i <= pass->pools; i++) {
        char *base = pass->bases[i];
        struct descriptor *pool = arn__descriptor(base);
        const struct bin *bin = pool->bin;
        uint32_t first = i << SLOT_BITS;
        for (uint32_t from = 0; from < pool->carved; from += 64) {
            for (uint64_t left = pass->bits[(first + from) >> 6]; left != 0; left &= left - 1) {
                uint32_t slot = from + (uint32_t)__builtin_ctzll(left);
                uint32_t *entry = &pass->entries[first + slot];
                if (*entry != 0 && (all || *entry < REACHED))
                    step(pass, &(struct candidate){pool, entry, first + slot,
                                                   arn__slot(bin, base, slot)});
            }
        }
    }
}

#endif
