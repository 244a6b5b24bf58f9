/* descriptor.h - from any address to what is known about it.
 *
 * Address space is looked at in slices of 16 KiB, 16 to an arena, 2,048 to a tract of 32 MiB. Each
 * tract in use has a table: a descriptor and a remote word per slice and a record per arena, 1,216
 * bytes per arena, in lazily touched memory away from the blocks, between guards. root[] finds the
 * table; where there is none it is 0, which leads to a table of zeros: a foreign pointer is looked up like any other and
 * found to be in no pool. Nothing is read through the pointer itself.
 *
 * The root has an entry for each tract of 1 TiB; tracts whose addresses differ by a multiple of that
 * share one. Only one of them can have a table: where the OS offers address space in another one,
 * other address space is asked for. A foreign pointer may so lead to a descriptor of ours. A pool's
 * `place` tells that it does, for it is farther away than a pool is long; whoever looks at anything
 * else by a pointer from the program asks arn__has_tract, or takes arn__descriptor_if_ours.
 */
#ifndef ARENITE_DESCRIPTOR_H
#define ARENITE_DESCRIPTOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os.h"
#include "peek.h"
#include "size_class.h"

enum {
    SLICE_SHIFT = 14,
    SLICE_BYTES = 1 << SLICE_SHIFT,
    ARENA_SHIFT = 18,
    ARENA_BYTES = 1 << ARENA_SHIFT,
    ARENA_SLICES = ARENA_BYTES / SLICE_BYTES,
    TRACT_SHIFT = 25,
    TRACT_BYTES = 1 << TRACT_SHIFT,
    TRACT_SLICES = 1 << (TRACT_SHIFT - SLICE_SHIFT),
    TRACT_ARENAS = 1 << (TRACT_SHIFT - ARENA_SHIFT),
    ROOT_ENTRIES = 1 << 15,
};

struct heap;
struct block;
struct bin;

/* What a slice is for. */
enum kind {
    KIND_NONE,    /* nothing: free, or not ours */
    KIND_GUARD,   /* not to be touched: inaccessible, or lost to others */
    KIND_EMPTY,   /* blocks of no bytes: see empty.h */
    KIND_POOL,    /* blocks of one size class */
    KIND_OBJECTS, /* objects of one type: see object/typed_pool.h */
    KIND_SAMPLED, /* sampled blocks and the guards between them: see sampled.h */
    KIND_RUN,     /* one large block in slices of one arena */
    KIND_SPAN,    /* one large block in whole arenas of one region */
    KIND_MAP,     /* one large block in a mapping of its own */
    KIND_MASK = 15,
};

/* Free blocks, linked as links.h says, and how many more frees into the list until something is
 * to be done. 12 bytes: a descriptor has room for no more. */
struct free_list {
    struct block *first;
    uint32_t needed;
} __attribute__((packed, aligned(4)));

/* Flags of a pool, and of a large block. */
enum {
    LARGE_OBJECT = 16,   /* it holds an object: see object/typed_pool.h */
    POOL_FRESH = 16,     /* memory past `last` has never been written: it reads as zero */
    LARGE_SPARE = 32,    /* a run or span that is free, and waits with a heap: see spares.h */
    POOL_RECOVER = 32,   /* after fork: lists may be torn; free blocks are found by their links */
    LARGE_DEFERRED = 64, /* a signal handler has freed it, to be given back later */
    POOL_RESTING = 128,  /* full, and kept by its owner: see heap.c */
};

/* Which heap a pool is of, by the heap's number; 0: nobody's. Numbers are in the upper bits of a word, where no
 * address has any. */
enum { NUMBER_SHIFT = 48, NUMBERS = 1 << (64 - NUMBER_SHIFT) };

_Static_assert(ARN__ADDRESS_SPACE_BYTES <= (size_t)1 << NUMBER_SHIFT, "an address and a number");

/* One slice. A pool of several slices repeats place, inverse, frees_to, filled_by, class and kind in each of
 * them (a free looks no further), and keeps the rest in the first, its head. A large block has only its
 * first slice filled in. A pool of objects repeats bin, class and kind. 64 bytes: one cache line. */
struct descriptor {
    union {
        /* The number of the heap whose thread alone touches the fields below, and the end of the blocks carved
         * so far, where the next one will begin: see arn__pool_starts_block.
         * [any] read; written by whoever owns the pool or wins it. */
        _Atomic uint64_t place;
        struct {              /* of objects; all under who has the domain */
            uint32_t ordinal; /* in the domain's array of pools */
            uint16_t live;    /* objects */
            uint8_t events;   /* EVENT_… */
        };
    };
    /* Of the block size; constant in a pool's life. 0: no pool of blocks. */
    uint64_t inverse;
    union {
        /* The number of the heap that filled the pool last: a hint. [any] read. */
        _Atomic uint32_t filled_by;
        struct bin *bin; /* of objects; begins with a pointer to the type's name */
    };
    union {
        /* [owner] where its thread's frees go: `local`, or of a current pool the heap's list. */
        struct free_list *frees_to;
        uint64_t asked;         /* of a large block: see checked.h */
        struct {                /* of objects */
            uint32_t young_idx; /* with an EVENT_YOUNG: in the domain's array of such pools */
            uint32_t pass_idx;  /* 0: no part of the collection that runs */
        };
    };
    /* I1: what `local` lists, the remote word lists, a heap's list holds, and the program holds, add up
     *     to the carved blocks. */
    union {
        struct free_list local; /* [owner] see pool.h */
        struct {
            size_t block_bytes; /* of a large block: its usable size */
            uint32_t units;     /* a span's arenas, a run's slices */
        } __attribute__((packed, aligned(4)));
    };
    uint16_t carved; /* [owner] blocks */
    uint8_t class_idx;
    _Atomic uint8_t kind_flags; /* enum kind in the low 4 bits, POOL_… flags above */
    struct descriptor *next;    /* [owner, or the shard's lock] the list that the pool is in */
    struct descriptor *prev;
};

_Static_assert(sizeof(struct descriptor) == 64, "a descriptor is one cache line");

struct region;

enum arena_state {
    ARENA_NONE,   /* not ours */
    ARENA_FREE,   /* in its region's map of free arenas */
    ARENA_SLICED, /* holds pools and runs; slices free here are in `free` */
    ARENA_SPAN,   /* part of a large block */
};

/* Which free slices of an arena are dirty. */
enum dirtiness { DIRTY_NONE, DIRTY_PART, DIRTY_WHOLE /* of a free arena: it goes in one piece */ };

/* One arena's record; everything under the arena lock. 64 bytes. */
struct arena {
    char *base;
    struct region *region;
    struct arena *next, *prev; /* ARENA_SLICED with free slices: the list of its count */
    struct arena *dirty_next,
        *dirty_prev;    /* in order of age: a list of arenas with free dirty slices */
    uint16_t free;      /* slices that nobody holds */
    uint16_t dirty;     /* slices that may be resident and non-zero; meaningful for free ones */
    uint8_t state;      /* enum arena_state */
    uint8_t dirtiness;  /* enum dirtiness: the list of dirty arenas that it is in */
    uint8_t bucket;     /* the list it is in; 0: none */
    uint8_t slices;     /* its region's; 0 if nothing was ever taken here */
    uint32_t dirty_ms;  /* since when it is in that list */
    uint32_t purged_ms; /* when slices were last purged; 0: never */
};

_Static_assert(sizeof(struct arena) == 64, "1,216 bytes per arena");

/* What is known about one tract of address space. */
struct tract {
    struct descriptor slices[TRACT_SLICES];
    _Atomic uint64_t remote[TRACT_SLICES]; /* other threads' frees: see pool.h */
    struct arena arenas[TRACT_ARENAS];
    uintptr_t number; /* address >> TRACT_SHIFT; constant */
};

struct directory {
    /* Distance from `nowhere` to the tract's table; 0: there is none. Set once, never reset. */
    _Atomic uintptr_t root[ROOT_ENTRIES];
    struct descriptor nowhere[TRACT_SLICES]; /* never written */
    /* The first region's: a small program makes no system call for it. It is here because whole pages between other
     * variables would spread those over more pages; and at no multiple of a page, which would push all variables off
     * the page that initialised ones begin. See arn__head. */
    _Alignas(ARENA_SLICES * sizeof(struct descriptor)) struct tract first;
    char around_page[2 * ARN__PAGE_BYTES_MOST];
};

extern struct directory arn__directory;

/* For what must be alone on a page: see thread.c. */
static inline void *arn__directory_page(void)
{
    uintptr_t end = (uintptr_t)arn__directory.around_page + ARN__PAGE_BYTES_MOST;
    return (void *)(end & ~(uintptr_t)(ARN__PAGE_BYTES_MOST - 1));
}

/* An address in units of which each descriptor has as many bytes as the slice has units: descriptors are at a 256th
 * of the distances of slices. */
enum { UNIT_SHIFT = SLICE_SHIFT - 6 };

/* 0 where there is no table. Bits above the root's are ignored: they are those that are cut off from a number of
 * units with 32 bits, which takes an instruction less than a remainder.
 * relaxed: a pointer that is ours came to this thread after the table was entered. */
static inline uintptr_t arn__distance_at(uintptr_t units)
{
    return ARN__PEEK(arn__directory.root[(uint32_t)units >> (TRACT_SHIFT - UNIT_SHIFT)]);
}

static inline uintptr_t arn__distance(const void *pointer)
{
    return arn__distance_at((uintptr_t)pointer >> UNIT_SHIFT);
}

static inline uintptr_t arn__descriptor_index(const void *pointer)
{
    uintptr_t units = (uintptr_t)pointer >> UNIT_SHIFT;
    return arn__distance_at(units) + (units & ((TRACT_SLICES - 1) << 6));
}

_Static_assert(ROOT_ENTRIES == 1 << (32 - (TRACT_SHIFT - UNIT_SHIFT)), "32 bits of units");

static inline struct descriptor *arn__descriptor_at(uintptr_t index)
{
    return (struct descriptor *)((char *)arn__directory.nowhere + index);
}

/* Never NULL; of slices that are not ours, zeros, or that of a slice which is: see above. */
static inline struct descriptor *arn__descriptor(const void *pointer)
{
    return arn__descriptor_at(arn__descriptor_index(pointer));
}

/* The table that holds this address; it must have one. */
static inline struct tract *arn__tract(const void *pointer)
{
    return (struct tract *)((char *)arn__directory.nowhere + arn__distance(pointer));
}

/* The table is that of this very address. */
static inline bool arn__has_tract(const void *pointer)
{
    return arn__distance(pointer) != 0 &&
           arn__tract(pointer)->number == (uintptr_t)pointer >> TRACT_SHIFT;
}

/* Never NULL; of slices that are not ours, zeros. */
static inline struct descriptor *arn__descriptor_if_ours(const void *pointer)
{
    return arn__has_tract(pointer) ? arn__descriptor(pointer) : arn__directory.nowhere;
}

static inline struct arena *arn__arena(const void *pointer)
{
    return &arn__tract(pointer)->arenas[((uintptr_t)pointer >> ARENA_SHIFT) & (TRACT_ARENAS - 1)];
}

/* Which slice of its arena. */
static inline unsigned arn__slice_in_arena(const void *pointer)
{
    return (unsigned)((uintptr_t)pointer >> SLICE_SHIFT) & (ARENA_SLICES - 1);
}

static inline _Atomic uint64_t *arn__remote(const void *pointer)
{
    return &arn__tract(pointer)->remote[((uintptr_t)pointer >> SLICE_SHIFT) & (TRACT_SLICES - 1)];
}

static inline enum kind arn__kind(const struct descriptor *d)
{
    return (enum kind)(atomic_load_explicit(&d->kind_flags, memory_order_relaxed) & KIND_MASK);
}

/* acquire: pairs with the release that clears POOL_RECOVER. */
static inline unsigned arn__kind_flags(const struct descriptor *d)
{
    return atomic_load_explicit(&d->kind_flags, memory_order_acquire);
}

static inline bool arn__has_flag(const struct descriptor *d, unsigned flag)
{
    return arn__kind_flags(d) & flag;
}

/* A pool's first slice, from any of them: a pool of n slices begins at a multiple of n, and tables at a
 * multiple of an arena's descriptors. */
static inline struct descriptor *arn__head(const struct descriptor *d)
{
    uintptr_t bytes = arn__size_classes[d->class_idx].slices * sizeof *d;
    return (struct descriptor *)((uintptr_t)d & ~(bytes - 1));
}

static inline bool arn__is_head(const struct descriptor *d)
{
    return arn__head(d) == d;
}

/* Holds an object, or objects: of the type with this name. */
static inline bool arn__holds_objects(const struct descriptor *d)
{
    unsigned flags = atomic_load_explicit(&d->kind_flags, memory_order_acquire);
    return (flags & KIND_MASK) == KIND_OBJECTS ||
           ((flags & KIND_MASK) >= KIND_RUN && (flags & LARGE_OBJECT));
}

static inline const char *arn__type_name(const struct descriptor *d)
{
    return *(const char *const *)d->bin;
}

/* What the carved blocks or objects of a pool take, at the most. */
static inline size_t arn__carved_bytes(const struct descriptor *pool)
{
    const struct size_class *shape = &arn__size_classes[pool->class_idx];
    size_t bytes = (size_t)pool->carved * shape->block_bytes;
    size_t most = (size_t)shape->slices * SLICE_BYTES;
    return bytes < most ? bytes : most;
}

/* What they would take if all were carved. */
static inline size_t arn__room_bytes(const struct descriptor *pool)
{
    const struct size_class *shape = &arn__size_classes[pool->class_idx];
    return (size_t)shape->capacity * shape->block_bytes;
}

/* Tables for every tract that the range touches, all zero. False: no memory, or another tract of ours
 * has the place in the root. Lock-free: may run in a signal handler. */
bool arn__directory_cover(const void *start, size_t bytes);

/* No other tract of ours has the place in the root, so far, of one that the range touches. */
bool arn__directory_admits(const void *start, size_t bytes);

/* Memory from `take(bytes, alignment)` that `accept(start, bytes)` takes: where it does not, other
 * tracts are looked for, and `give(start, bytes)` gives back. NULL: no memory. Lock-free. */
void *arn__directory_place(void *(*take)(size_t bytes, size_t alignment),
                           bool (*give)(void *start, size_t bytes), size_t bytes, size_t alignment,
                           bool (*accept)(const void *start, size_t bytes));

/* Enters a table that lies in zeroed memory of the caller's; false: there is one already. */
bool arn__directory_enter(const void *pointer, struct tract *table);

#endif
