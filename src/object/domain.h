/* domain.h - a set of objects that one thread works with, or who holds the caller's lock.
 *
 * What every layer above typed pools keeps with it; its birth and end are tenancy.c's.
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
    bool running; /* none begins meanwhile */
    unsigned debug;
    unsigned fulls;                        /* automatic ones */
    size_t objects_at_full, bytes_at_full; /* when the last full pass ended: tracked; held */
    struct rest rests[2];                  /* of young collections, and of full ones */
    void *kept_map;                        /* entries for the next pass: see pass.c */
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
    struct bin *bins;
    struct roster roster;
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

/* Stands for none: it has no shelves. */
extern struct arn_domain arn__no_domain;

/* The calling thread's, or arn__no_domain. */
extern __thread struct arn_domain *arn__domain __attribute__((tls_model("initial-exec")));

/* The bin for objects of this type and size, made if need be. NULL: no memory. */
struct bin *arn__domain_bin(struct arn_domain *domain, struct arn_type *type, size_t bytes);

/* The domain ends: it has no bins any more. */
void arn__domain_end_bins(struct arn_domain *domain);

/* Every object that is not dead: in order of ordinals, then addresses. Pools may join meanwhile, none may
 * leave. */
static inline void arn__domain_each(struct arn_domain *domain,
                                    void (*visit)(struct descriptor *pool, uint32_t slot,
                                                  char *object, void *context),
                                    void *context)
{
    for (uint32_t i = 0; i < domain->roster.pool_count; i++)
        arn__objects_each(arn__descriptor(domain->roster.pools[i]), domain->roster.pools[i], visit,
                          context);
}

#endif
