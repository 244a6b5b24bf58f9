/* domain.h - a set of objects that one thread works with, or who holds the caller's lock.
 *
 * All pools are in one array, at their ordinals: enumeration is a walk over it, and objects carry no
 * links. Pools with young objects are in a second one.
 */
#ifndef ARENITE_OBJECT_DOMAIN_H
#define ARENITE_OBJECT_DOMAIN_H

#include <stdatomic.h>

#include "typed_pool.h"

enum {
    LARGE_BIN = CLASSES, /* of an array type: its large objects' */
    BINS_OF_ARRAY = CLASSES + 1,
};

struct watcher {
    arn_gc_watcher *call;
    void *context;
};

/* The types of a domain that have had objects: by their numbers. */
union shelf {
    struct bin *bin;       /* of a type of one size */
    struct bin **by_class; /* of an array type: CLASSES, and one for large objects */
};

/* Weak references by their objects: open addressing, linear probing. See weak.c. */
struct weak_table {
    struct arn_weak **slots;
    size_t room; /* a power of two, or 0 */
    size_t used; /* objects */
};

/* After a collection that found few: see collector.c. */
struct rest {
    uint64_t since_ns;
    uint64_t object_parts; /* what an object took; 0: it found many */
};

struct collector {
    size_t thresholds[ARN_GENERATIONS];
    /* [0]: tracked objects allocated less released; then collections of the generation below. */
    size_t counts[ARN_GENERATIONS];
    size_t due; /* counts[0] at which a new object begins a collection */
    bool disabled;
    bool running; /* no pool leaves the domain meanwhile */
    bool emptied; /* one would have */
    unsigned debug;
    unsigned fulls;         /* automatic ones */
    size_t objects_at_full; /* when the last full pass ended */
    struct rest rests[2];   /* of young collections, and of full ones */
    void *kept_map;         /* entries for the next pass: see pass.c */
    uint32_t kept_pools;
    struct arn_gc_stats stats[ARN_GENERATIONS];
    struct watcher *watchers;
    size_t watcher_count;
    void **garbage; /* saved */
    size_t garbage_count, garbage_room;
};

struct arn_domain {
    union shelf *shelves; /* by type number */
    uint32_t shelf_count;
    uint32_t pool_count, pool_room, young_count;
    char **pools; /* where they begin; pool->ordinal is the index */
    char **young; /* those with an EVENT_YOUNG; pool->young_idx is the index; as much room */
    struct bin *bins;
    size_t held_bytes, peak_bytes, limit_bytes;
    size_t objects; /* tracked ones */

    void *dead;                  /* to be released: see rc.c */
    bool releasing;              /* somebody further up the stack does that */
    bool ending;                 /* destroyed: decrements of its objects mean nothing */
    bool is_own;                 /* a thread's, made when it needed one */
    _Atomic(void *) remote_dead; /* shared objects whose last reference another thread gave up */
    _Atomic unsigned bound;      /* threads that it is bound to */

    struct weak_table weak;
    struct collector collector;
    struct arn_domain *next_idle; /* threads' own, of threads that ended */
};

/* The calling thread's; a constant one without shelves stands for none (yet). */
extern __thread struct arn_domain *arn__domain __attribute__((tls_model("initial-exec")));

/* The calling thread's, made if need be; NULL: no memory. */
struct arn_domain *arn__domain_here(void);

/* The bin for objects of this type and size, made if need be. NULL: no memory. */
struct bin *arn__domain_bin(struct arn_domain *domain, struct arn_type *type, size_t bytes);

/* A pool joins, or leaves. Joining fails without memory, or beyond the limit. */
bool arn__domain_admit(struct arn_domain *domain, size_t bytes);
void arn__domain_join(struct arn_domain *domain, struct descriptor *pool, char *base, size_t bytes);
void arn__domain_leave(struct arn_domain *domain, struct descriptor *pool, size_t bytes);

/* Gives back the pools without objects: current ones, and what became empty while none was to leave. */
void arn__domain_release_empty(struct arn_domain *domain);

/* Something happened in the pool that the collector is to look at. */
void arn__domain_note(struct arn_domain *domain, struct descriptor *pool, unsigned events);

/* The collector has looked. */
void arn__domain_forget(struct arn_domain *domain, struct descriptor *pool, unsigned events);

/* Calls `visit` for every object that is not dead: in order of ordinals, then addresses. Pools may join
 * meanwhile, none may leave. */
static inline __attribute__((always_inline)) void arn__objects_each(
    struct descriptor *pool, char *base,
    void (*visit)(struct descriptor *pool, uint32_t slot, char *object, void *context),
    void *context)
{
    const struct bin *bin = pool->bin;
    char *object = base + bin->first_bytes;
    for (uint32_t slot = 0; slot < pool->carved; slot++, object += bin->slot_bytes) {
        if ((arn__kind_of(arn__header(object)) & OBJECT_DEAD) == 0)
            visit(pool, slot, object, context);
    }
}

static inline void arn__domain_each(struct arn_domain *domain,
                                    void (*visit)(struct descriptor *pool, uint32_t slot,
                                                  char *object, void *context),
                                    void *context)
{
    for (uint32_t i = 0; i < domain->pool_count; i++)
        arn__objects_each(arn__descriptor(domain->pools[i]), domain->pools[i], visit, context);
}

#endif
