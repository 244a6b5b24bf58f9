/* object.h - objects that are counted: released when the last reference goes, cycles included.
 *
 *     struct node { struct node *left, *right; };
 *     static const size_t fields[] = {offsetof(struct node, left), offsetof(struct node, right)};
 *     arn_type *type = arn_type_register(&(struct arn_type_info){
 *         .name = "node", .bytes = sizeof(struct node),
 *         .shape = ARN_FIXED, .offsets = fields, .offset_count = 2});
 *     struct node *a = arn_new(type);     // one reference: ours; its bytes are zero
 *     arn_set(&a->left, a);               // another: a cycle
 *     arn_decref(a);                      // not ours any more
 *     arn_gc_collect(2);                  // 1: the cycle is found and released
 *
 * An object has a header of 8 bytes before it; each type has memory of its own. Objects belong to a
 * domain: every thread has one, and a program may create more. What a domain holds is touched by one
 * thread at a time, the one it belongs to or is bound to, or who holds the caller's lock; the counts of
 * shared objects (arn_share) by any: by attached threads (arn_thread_attach), if cycles of them are to be
 * found.
 *
 * Nothing here is for signal handlers. Sizes are in bytes. "No memory" is NULL, or -1, with errno ENOMEM,
 * and nothing has changed. Misuse (a count that falls below 0, an object released twice, a pointer that is
 * no object) is one line on stderr that names the type, and abort(). See arenite-object(7).
 *
 * The cycles are found by trial deletion (Christopher, "Reference Count Garbage Collection", Software:
 * Practice and Experience 14, 1984; as in CPython's collector by Schemenauer, 2000), of which automatic full
 * passes look at what may have been left by a decrement (Lins, "Cyclic reference counting with lazy
 * mark-scan", Information Processing Letters 44, 1992); finalizers run in the order of PEP 442 (Pitrou,
 * 2013).
 */
#ifndef ARENITE_OBJECT_H
#define ARENITE_OBJECT_H

#include <arenite/arenite.h>

#ifdef __cplusplus
/* Functions and the structures that they fill in share names. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#endif

/* ---- types ---- */

typedef struct arn_type arn_type;
typedef struct arn_domain arn_domain;
typedef struct arn_weak arn_weak;

/* How objects of a type refer to others. A reference is a pointer to an object, or NULL. */
enum arn_shape {
    ARN_LEAF,     /* not at all: never part of a cycle */
    ARN_FIXED,    /* by the fields at `offsets` */
    ARN_REFARRAY, /* by these, if any, and by each item behind them */
    ARN_CUSTOM,   /* as `traverse` and `clear` say */
};

typedef void arn_visit(void *object, void *context);

struct arn_type_info {
    const char *name;      /* copied, as all of this is */
    size_t bytes;          /* of an object; of an array, the part before its items */
    size_t alignment;      /* a power of two to 4,096; 0: 8 */
    enum arn_shape shape;  /* */
    const size_t *offsets; /* in bytes, of the fields that are references */
    size_t offset_count;
    size_t
        item_bytes; /* of arn_new_array's items; 0: the type has none. REFARRAY: 0 or a pointer's */
    size_t
        count_offset; /* REFARRAY: of the size_t field that arn_new_array fills in; the program may
                          * lower it: it says how many items are references */

    /* CUSTOM: calls `visit` with every object that this one refers to, once for each reference; NULL need
     * not be left out. Changes nothing: neither counts nor objects. */
    void (*traverse)(void *object, arn_visit *visit, void *context);

    /* CUSTOM: releases the references that `traverse` tells of (arn_clear), and what else the object has
     * outside of its own memory. What these lead to may have been cleared already. Called once, just before its memory is taken back. */
    void (*clear)(void *object);

    /* Any shape: called once, before the object is released, while everything that it refers to is whole.
     * It may store a reference to the object somewhere: the object lives on, and is not finalized again. */
    void (*finalize)(void *object);

    bool shared; /* objects are shared from birth: see arn_share */
};

/* NULL with EINVAL: an offset outside of the object or not a pointer's multiple, an alignment that is none,
 * a function that the shape needs and that is missing; with ENOMEM: no memory, or 1,048,575 types. Types
 * are for ever. Any thread. */
ARN_PUBLIC arn_type *arn_type_register(const struct arn_type_info *info);
ARN_PUBLIC const char *arn_type_name(const arn_type *type);

/* ---- the header ---- */

/* Before each object. `count` is the number of references where plain arithmetic will do; else, below 0,
 * the library counts: of a shared object the negative; of an immortal one far less; of one that the collector
 * is to be told of when it is touched, the negative, too. */
struct arn__header {
    int32_t count;
    uint32_t kind; /* flags, and the type's number in the low 20 bits */
};

enum {
    ARN__TYPE_BITS = 20,
};

/* Inline, and in the library all the same. */
#ifndef ARN__HOT
#define ARN__HOT extern inline __attribute__((gnu_inline, always_inline))
#endif
#define ARN__OFTEN(condition) __builtin_expect(!!(condition), 1)

#define ARN__HEADER(object) ((struct arn__header *)(object)-1)

/* What the inline functions leave to the library. */
ARN_PUBLIC void arn_incref_slow(void *object);
ARN_PUBLIC void arn_decref_slow(void *object);

/* ---- objects ---- */

/* A new object with one reference, the caller's; zero. May collect, before it is there; and does when memory
 * has run out, if collections are enabled. */
ARN_PUBLIC void *arn_new(arn_type *type);

/* The same with `count` items behind its `bytes`. EINVAL: the type has no items. */
ARN_PUBLIC void *arn_new_array(arn_type *type, size_t count);

/* One reference more. Beyond 2^31 - 1 (of shared objects, 2^30) the object is immortal. */
ARN__HOT void arn_incref(void *object)
{
    struct arn__header *header = ARN__HEADER(object);
    int32_t count = __atomic_load_n(&header->count, __ATOMIC_RELAXED);
    if (ARN__OFTEN(count > 0))
        __atomic_store_n(&header->count, (int32_t)((uint32_t)count + 1), __ATOMIC_RELAXED);
    else
        arn_incref_slow(object);
}

/* One less; the last one releases the object, and what it alone refers to, before this returns (of a shared
 * object of another domain: soon). The stack that this takes does not depend on how much that is. */
ARN__HOT void arn_decref(void *object)
{
    struct arn__header *header = ARN__HEADER(object);
    int32_t count = __atomic_load_n(&header->count, __ATOMIC_RELAXED);
    if (ARN__OFTEN(count > 1))
        __atomic_store_n(&header->count, count - 1, __ATOMIC_RELAXED);
    else
        arn_decref_slow(object);
}

ARN__HOT void arn_xincref(void *object)
{
    if (object != NULL)
        arn_incref(object);
}

ARN__HOT void arn_xdecref(void *object)
{
    if (object != NULL)
        arn_decref(object);
}

/* The next four take the address of a reference: of a field of an object, or of a variable. */

/* Makes it NULL, then releases what it referred to. */
ARN__HOT void arn_clear(void *reference)
{
    void *object;
    __builtin_memcpy(&object, reference, sizeof object);
    if (object != NULL) {
        __builtin_memset(reference, 0, sizeof object);
        arn_decref(object);
    }
}

/* Makes it refer to `object` (or NULL), counted; then releases what it referred to before. */
ARN__HOT void arn_set(void *reference, void *object)
{
    void *before;
    arn_xincref(object);
    __builtin_memcpy(&before, reference, sizeof before);
    __builtin_memcpy(reference, &object, sizeof object);
    arn_xdecref(before);
}

/* The same with the reference that the caller has: nothing is counted, and it is not the caller's any
 * more. */
ARN_PUBLIC void arn_move(void *reference, void *object);

/* The number of references; ARN_IMMORTAL: it is not counted any more. */
enum { ARN_IMMORTAL = 0x7fffffff };
ARN_PUBLIC size_t arn_refcount(const void *object);

/* One reference more unless the last is gone. For shared objects that another thread may be releasing. */
ARN_PUBLIC bool arn_try_incref(void *object);

/* Never released from here on, and not counted. */
ARN_PUBLIC void arn_immortalize(void *object);

/* Counted atomically from here on, so that other threads may hold references, and give them up. What the
 * object refers to is not shared by that. It is released by its domain's thread. The collector looks at it
 * where it can stop the other threads (see arn_thread_attach), and else takes it for referred to from
 * outside. */
ARN_PUBLIC void arn_share(void *object);

ARN_PUBLIC arn_type *arn_typeof(const void *object);

/* Whether the collector looks at it. Objects that can refer to others are tracked from birth. Untracked,
 * it counts as a reference from outside to what it refers to. */
ARN_PUBLIC void arn_track(void *object);
ARN_PUBLIC void arn_untrack(void *object);
ARN_PUBLIC bool arn_is_tracked(const void *object);

/* Its finalizer has been called. */
ARN_PUBLIC bool arn_is_finalized(const void *object);

/* ---- threads ---- */

/* The calling thread touches shared objects: their references, counts, weak references. If all threads
 * that do are attached, a full collection that one of them begins, or a new object, finds cycles of the
 * shared objects of its domain; so it does in a process with one thread, attached or not. For that it
 * stops the others, if the domain has shared objects: it waits until each is at a safepoint or in a
 * blocking section. They go on before any function of the program is called, but those that traverse. A
 * cycle over two domains is not found.
 *
 * At a safepoint, what the thread changes must be such that a traverse function can look at it; arn_new and
 * arn_gc_collect may be safepoints. The others are stopped until the last of them has come to one, and for the
 * time that it then takes to find garbage: so who waits for long, or for a lock that is held while others
 * make objects or collect, does that in a blocking section.
 *
 * -1 with ENOMEM. A thread that is attached already stays so. It is detached as it ends, after the first
 * round of destructors of thread-specific data. In a forked child, the thread that forked is attached if it
 * was. */
ARN_PUBLIC int arn_thread_attach(void); /* 0, or -1 */
ARN_PUBLIC void arn_thread_detach(void);

/* May wait until another thread's collection has found what it looks for. */
ARN_PUBLIC void arn_safepoint_slow(void);
extern ARN_PUBLIC uint32_t arn_stop_wanted;
ARN__HOT void arn_safepoint(void)
{
    if (!ARN__OFTEN(__atomic_load_n(&arn_stop_wanted, __ATOMIC_RELAXED) == 0))
        arn_safepoint_slow();
}

/* In between, the thread touches no shared objects, and nobody waits for it. The end may wait, as a safepoint
 * does. Sections may lie in others. They mean nothing to a thread that is not attached. */
ARN_PUBLIC void arn_blocking_begin(void);
ARN_PUBLIC void arn_blocking_end(void);

/* ---- weak references ---- */

/* A reference that does not keep the object alive. `callback`, if any, is called once when the object is
 * released, after all its weak references have been cleared and before its finalizer; the object is not
 * to be had any more. NULL with ENOMEM. */
ARN_PUBLIC arn_weak *arn_weak_new(void *object, void (*callback)(arn_weak *weak, void *context),
                                  void *context);

/* The object, with a reference for the caller; NULL if it is gone. */
ARN_PUBLIC void *arn_weak_get(arn_weak *weak);

/* The weak reference goes, called back or not. Allowed in its own callback. NULL is none. */
ARN_PUBLIC void arn_weak_release(arn_weak *weak);

/* A map from objects, held weakly, to objects, held by the map. A key that is released takes its entry
 * with it. A value that refers to its own key keeps it alive. One domain's, to be destroyed before that; no
 * object itself. */
typedef struct arn_weak_map arn_weak_map;
ARN_PUBLIC arn_weak_map *arn_weak_map_new(void);
ARN_PUBLIC void arn_weak_map_destroy(arn_weak_map *map);
ARN_PUBLIC int arn_weak_map_set(arn_weak_map *map, void *key,
                                void *value); /* 0, or -1 with ENOMEM */
ARN_PUBLIC void *arn_weak_map_get(const arn_weak_map *map,
                                  const void *key); /* borrowed; NULL: none */
ARN_PUBLIC bool arn_weak_map_remove(arn_weak_map *map, const void *key);
ARN_PUBLIC size_t arn_weak_map_count(const arn_weak_map *map);

/* ---- the collector, of the calling thread's domain ---- */

enum { ARN_GENERATIONS = 3 };

/* Finds the cycles that nothing outside refers to among the objects of this generation and the younger ones,
 * and releases them: weak references first, then finalizers, then what is still not referred to. Returns how
 * many tracked objects were released (or saved: see arn_gc_set_debug); 0 while a collection runs. -1 with
 * ENOMEM, nothing done; with EINVAL: no such generation. */
ARN_PUBLIC long arn_gc_collect(int generation);

/* Automatic collections: on at first. A new object begins one of generation 0 when allocations less
 * releases since the last have reached its threshold; that becomes one of generation 1 when so many were
 * of generation 0, and a full one when so many were of generation 1 and objects, or their memory, have
 * become a quarter more since the last. After one that found hardly any garbage, the next of its kind may
 * wait longer: a full one at most until their memory has doubled and grown by 256 MiB. A threshold of 0:
 * never. At first 2,000, 10 and 10. */
ARN_PUBLIC void arn_gc_enable(void);
ARN_PUBLIC void arn_gc_disable(void);
ARN_PUBLIC bool arn_gc_is_enabled(void);
ARN_PUBLIC int arn_gc_set_threshold(const size_t thresholds[ARN_GENERATIONS]); /* 0; -1: ENOMEM */
ARN_PUBLIC void arn_gc_get_threshold(size_t thresholds[ARN_GENERATIONS]);
ARN_PUBLIC void arn_gc_get_count(size_t counts[ARN_GENERATIONS]);

struct arn_gc_stats {
    size_t collections;
    size_t collected;   /* objects released */
    size_t resurrected; /* found unreachable, and reachable again after finalizers */
    size_t examined;    /* objects looked at */
    uint64_t ns;        /* in all */
    uint64_t longest_ns;
};
ARN_PUBLIC void arn_gc_stats(struct arn_gc_stats stats[ARN_GENERATIONS]);

/* Called before and after each collection, as part of it: none begins meanwhile. */
struct arn_gc_info {
    bool ends;
    int generation;
    size_t collected; /* when it ends */
};
typedef void arn_gc_watcher(const struct arn_gc_info *info, void *context);
ARN_PUBLIC int arn_gc_callback(arn_gc_watcher *watcher, void *context); /* 0; -1: ENOMEM */
ARN_PUBLIC bool arn_gc_callback_remove(arn_gc_watcher *watcher, void *context);

/* All tracked objects that there are now are left out of collections until unfrozen: before fork, so that
 * the child's collections write to none of their pages. */
ARN_PUBLIC void arn_gc_freeze(void);
ARN_PUBLIC void arn_gc_unfreeze(void);
ARN_PUBLIC size_t arn_gc_freeze_count(void);

/* ARN_GC_SAVE_ALL: what would be released is kept in a list, with its references. arn_garbage: the list
 * (the array is the library's, until the next collection); arn_garbage_clear empties it. */
enum { ARN_GC_SAVE_ALL = 1 };
ARN_PUBLIC void arn_gc_set_debug(unsigned flags);
ARN_PUBLIC unsigned arn_gc_get_debug(void);
ARN_PUBLIC void *const *arn_garbage(size_t *count);
ARN_PUBLIC void arn_garbage_clear(void);

/* ---- looking, in the calling thread's domain ---- */

/* Every object, tracked or not, in order of pools. `visit` may neither create nor release any. */
ARN_PUBLIC void arn_foreach_object(arn_visit *visit, void *context);

/* Into `found`, at most `most`; how many there are, each reference counted. Not counted itself. */
ARN_PUBLIC size_t arn_get_referents(void *object, void **found, size_t most);

/* The tracked objects that refer to it, each once. */
ARN_PUBLIC size_t arn_get_referrers(const void *object, void **found, size_t most);

struct arn_type_count {
    arn_type *type;
    size_t objects;
    size_t bytes; /* with headers */
};
/* One for each type that has objects here, most bytes first. */
ARN_PUBLIC size_t arn_type_histogram(struct arn_type_count *counts, size_t most);

/* Compares each object's count with the references to it that exist: those in objects, and those that the
 * program says it holds (the same object as often as it is held). Tells of each object of which more are
 * counted than exist (`extra` above 0: it would never be released) or fewer (below: it would be released
 * too early, or was: then `object` is its address, and nothing else is to be had of it). Shared and immortal
 * objects are left out. Returns how many; -1 with ENOMEM. */
ARN_PUBLIC long arn_verify(void *const *held, size_t count,
                           void (*report)(void *object, long extra, void *context), void *context);

/* ---- domains ---- */

/* NULL with ENOMEM. */
ARN_PUBLIC arn_domain *arn_domain_create(void);

/* Everything in it at once, whatever the counts say: weak references are cleared (their callbacks are not
 * called), finalizers are not called, clear functions are; references to other domains' objects are
 * released. It must not be any thread's at this time, unless the caller's. */
ARN_PUBLIC void arn_domain_destroy(arn_domain *domain);

/* New objects of this thread go there, and arn_gc_… means it. NULL: the thread's own. Returns what was bound
 * before; NULL: the thread's own. */
ARN_PUBLIC arn_domain *arn_domain_bind(arn_domain *domain);

/* Its pools and large objects may take this much memory; beyond, new objects are ENOMEM, if a collection
 * does not help. 0: no limit. NULL: the calling thread's domain. */
ARN_PUBLIC void arn_domain_limit(arn_domain *domain, size_t bytes);

struct arn_domain_stats {
    size_t objects;
    size_t object_bytes; /* with headers */
    size_t held_bytes;   /* of pools and large objects */
    size_t peak_bytes;   /* the most that were ever held */
    size_t limit_bytes;
};
/* NULL: the calling thread's. */
ARN_PUBLIC void arn_domain_stats(arn_domain *domain, struct arn_domain_stats *stats);

#ifdef __cplusplus
}
#pragma GCC diagnostic pop
#endif

#endif
