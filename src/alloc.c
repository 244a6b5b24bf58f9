/* alloc.c - routes requests to pools and large blocks; realloc and alignment; what misuse is. */
#include "alloc.h"

#include <arenite/arenite.h>
#include <arenite/inline.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/single_threaded.h>

#include "arena.h"
#include "diag.h"
#include "large.h"
#include "os.h"
#include "purge.h"
#include "region.h"
#include "sampled.h"

/* ---- what inline.h says of the inside ---- */

#define SAME(inlined, inlined_member, type, member)                                   \
    _Static_assert(offsetof(struct arn__inline_##inlined, inlined_member) ==          \
                           offsetof(struct type, member) &&                           \
                       sizeof(((struct arn__inline_##inlined *)0)->inlined_member) == \
                           sizeof(((struct type *)0)->member),                        \
                   "inline.h: " #inlined)
SAME(block, link, block, link);
SAME(list, first, free_list, first);
SAME(list, needed, free_list, needed);
SAME(slice, place, descriptor, place);
SAME(slice, inverse, descriptor, inverse);
SAME(slice, frees_to, descriptor, frees_to);
SAME(extent, base, extent, base);
SAME(extent, end, extent, end);
SAME(heap, lists, heap, lists);
SAME(heap, list_index, heap, list_index);
SAME(heap, extents, heap, extents);
SAME(directory, root, directory, root);
SAME(directory, nowhere, directory, nowhere);
SAME(thread, heap, thread, heap);
SAME(thread, token, thread, token);

/* ---- allocating ---- */

/* Gives back what this thread can spare, so that a request that found no memory may. */
static void reclaim(struct heap *heap)
{
    arn__spares_free_all(&heap->spares);
    arn__heap_collect(heap);
    arn__thread_collect_others(heap);
    arn__purge_to(0);
    arn__large_release();
    arn__arena_release_regions();
}

/* NULL when the list is empty. `fresh`: it is zero without its link. */
static void *pop_zeroed(struct heap *heap, unsigned class_idx, size_t bytes, bool fresh)
{
    struct block *block = arn__heap_pop(heap, class_idx, "calloc");
    return block == NULL || fresh ? block : memset(block, 0, bytes);
}

/* What was never written to is not written to here, nor are its pages. */
static void *alloc_pooled(struct heap *heap, unsigned class_idx, bool zeroed)
{
    bool fresh;
    if (!arn__heap_refill(heap, class_idx, &fresh)) {
        reclaim(heap);
        if (!arn__heap_refill(heap, class_idx, &fresh))
            return NULL;
    }
    return zeroed ? pop_zeroed(heap, class_idx, arn__size_classes[class_idx].block_bytes, fresh)
                  : arn__heap_pop(heap, class_idx, "malloc");
}

static void *alloc_large(struct heap *heap, size_t bytes, size_t alignment, bool zeroed)
{
    arn__spares_miss(&heap->spares);
    void *block = arn__large_alloc(bytes, alignment, zeroed);
    if (block == NULL) {
        reclaim(heap);
        block = arn__large_alloc(bytes, alignment, zeroed);
    }
    return block;
}

struct request {
    size_t bytes;
    size_t alignment;
    unsigned class_idx; /* NO_CLASS: a large block */
    bool zeroed;
};

static size_t usable(void *block)
{
    const struct descriptor *d = arn__descriptor(block);
    return arn__kind(d) == KIND_POOL      ? arn__size_classes[d->class_idx].block_bytes
           : arn__kind(d) == KIND_SAMPLED ? arn__sampled_bytes(block)
                                          : d->block_bytes;
}

/* Checked blocks are overwritten where they are checked. */
static void perturb_taken(void *block, size_t bytes)
{
    if (!CHECKED_BLOCKS && __builtin_expect(arn__options.perturb != 0, false))
        memset(block, ~(int)arn__options.perturb, bytes);
}

/* Before it is anybody else's. A map is about to go. */
static void perturb_freed(void *block)
{
    if (!CHECKED_BLOCKS && __builtin_expect(arn__options.perturb != 0, false) &&
        arn__kind(arn__descriptor(block)) != KIND_MAP)
        memset(block, (int)arn__options.perturb, usable(block));
}

/* Where memory is short, the first blocks of a class whose pools are arenas get no pool: few programs that have
 * little need many of them. Counted once for all threads; more or less does no harm. */
enum { SINGLE_BLOCKS = 4 };

static bool stands_alone(const struct heap *heap, unsigned class_idx)
{
    static _Atomic uint8_t alone[CLASSES];
    if (!arn__memory_is_tight() || arn__size_classes[class_idx].slices < ARENA_SLICES ||
        heap->current[class_idx] != NULL || heap->partial[class_idx] != NULL)
        return false;
    /* relaxed: see above. */
    uint8_t so_far = atomic_load_explicit(&alone[class_idx], memory_order_relaxed);
    if (so_far == SINGLE_BLOCKS)
        return false;
    atomic_store_explicit(&alone[class_idx], (uint8_t)(so_far + 1), memory_order_relaxed);
    return true;
}

/* While inside. */
static void *alloc_inside(struct heap *heap, const struct request *request)
{
    void *block = NULL;
    bool pooled = request->class_idx != NO_CLASS;
    bool alone = pooled && stands_alone(heap, request->class_idx);
    if (pooled && !alone)
        block = alloc_pooled(heap, request->class_idx, request->zeroed);
    /* There may be room for slices, or pages, of its own where there is none for a pool; or other threads'
     * pools may have blocks where there is room for nothing. */
    if (block == NULL)
        block = alloc_large(heap, request->bytes, request->alignment, request->zeroed);
    if (block == NULL && alone)
        block = alloc_pooled(heap, request->class_idx, request->zeroed);
    return block;
}

/* In a signal handler that interrupted this thread inside: no locks. */
static void *alloc_interrupting(size_t bytes, size_t alignment)
{
    if (arn__traces(ARN_TRACE_BLOCKS))
        arn__trace_lose();
    return arn__large_map(bytes, alignment);
}

/* Is there an address space that holds it? If not, nothing that this thread gives back would help. */
static bool is_possible(size_t bytes, size_t alignment)
{
    return bytes < ARN__ADDRESS_SPACE_BYTES && alignment < ARN__ADDRESS_SPACE_BYTES - bytes;
}

/* `traceback`: NULL, or whom to trace it to. */
static void *alloc(struct request *request, const struct traceback *traceback)
{
    void *block = NULL;
    request->bytes += request->bytes == 0; /* a request of nothing is a block, too */
    if (is_possible(request->bytes, request->alignment)) {
        struct heap *heap = arn__thread_enter();
        if (heap == NULL) {
            block = alloc_interrupting(request->bytes, request->alignment);
        } else {
            arn__sampled_begin_count(&heap->until_sampled);
            arn__spares_pass(&heap->spares);
            block = alloc_inside(heap, request);
            if (traceback != NULL && block != NULL)
                arn__trace_put(block, usable(block), NULL, traceback);
            arn__thread_leave(heap);
        }
    }
    if (block == NULL)
        errno = ENOMEM;
    else if (!request->zeroed)
        perturb_taken(block, request->bytes);
    return block;
}

/* Apart: a traceback takes more of the stack than all the rest. */
ARN__ENTRY __attribute__((noinline)) static void *alloc_traced(struct request *request)
{
    struct traceback traceback;
    return alloc(request, arn__thread_take_traceback(&traceback) ? &traceback : NULL);
}

/* Not while inside, for who tells it would unwind there; not of what is traced. */
static bool is_due(const struct request *request)
{
    struct heap *heap = arn__thread.own;
    if (arn__thread.inside || arn__thread.unwinds || heap == NULL || !arn__thread_is_settled() ||
        arn__traces(ARN_TRACE_BLOCKS))
        return false;
    if (heap->awaits_sample) {
        heap->awaits_sample = false;
        if (arn__thread_enter() == heap)
            arn__thread_leave(heap); /* comes into sight again */
    }
    uint64_t taken = 1;
    if (request->class_idx != NO_CLASS)
        taken += arn__heap_count_taken(heap, request->class_idx);
    return arn__sampled_is_due(&heap->until_sampled, taken);
}

ARN__ENTRY static void take_stack(struct call_stack *stack)
{
    stack->thread = arn__thread.own == NULL ? 0 : arn__thread.own->tenure.thread;
    stack->count = arn__thread_take_frames(stack->frames, SAMPLED_FRAMES);
}

/* NULL: it is not this request's turn, or samples rest, or there is no room for it. */
ARN__ENTRY __attribute__((noinline)) static void *alloc_sampled(const struct request *request)
{
    if (!is_due(request))
        return NULL;
    size_t bytes = request->bytes + (request->bytes == 0);
    uint64_t since = arn__sampled_now();
    struct cell *cell =
        arn__sampled_rests(since) ? NULL : arn__sampled_take(bytes, request->alignment);
    if (cell == NULL)
        return NULL;
    take_stack(&cell->made_by);
    void *block = arn__sampled_make(cell, bytes, request->alignment, request->zeroed);
    if (block != NULL && !request->zeroed)
        perturb_taken(block, bytes);
    arn__sampled_took(since);
    return block;
}

static inline void end_spares(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    arn__thread.inside = false;
}

/* The spares of this thread's heap, to be touched without entering: a handler that comes meanwhile is to enter
 * nothing. Of a thread without a heap in sight there are none, and none may be kept. NULL: they are not to be touched. */
static inline struct spares *begin_spares(void)
{
    if (CHECKED_BLOCKS || arn__thread.inside)
        return NULL;
    arn__thread.inside = true;
    atomic_signal_fence(memory_order_seq_cst);
    if (arn__thread_is_settled() && !arn__thread_is_watched())
        return &ARN__PEEK(arn__thread.heap)->spares;
    end_spares();
    return NULL;
}

/* By the class if there is one, else as a large block. */
ARN__ENTRY static void *alloc_slow(size_t bytes, size_t alignment, unsigned class_idx, bool zeroed)
{
    struct request request = {bytes, alignment, class_idx, zeroed};
    void *sampled = arn__sampled_is_on() ? alloc_sampled(&request) : NULL;
    if (sampled != NULL)
        return sampled;
    return arn__traces(ARN_TRACE_BLOCKS) ? alloc_traced(&request) : alloc(&request, NULL);
}

/* The spare that was kept last does not fit. Not inline: the short way needs none of its registers. */
ARN__ENTRY __attribute__((noinline)) static void *alloc_unspared(size_t bytes, size_t alignment,
                                                                 bool zeroed)
{
    void *spare = NULL;
    struct spares *spares = begin_spares();
    if (spares != NULL) {
        spare = arn__spares_search(spares, bytes, alignment);
        end_spares();
    }
    if (spare == NULL)
        return alloc_slow(bytes, alignment, NO_CLASS, zeroed);
    return zeroed ? memset(spare, 0, bytes) : spare;
}

/* What no pool serves. */
ARN__ENTRY static void *alloc_unpooled(size_t bytes, size_t alignment, bool zeroed)
{
    void *spare = NULL;
    struct spares *spares = begin_spares();
    if (spares != NULL) {
        spare = arn__spares_take(spares, bytes, alignment);
        end_spares();
    }
    if (spare == NULL)
        return alloc_unspared(bytes, alignment, zeroed);
    return zeroed ? memset(spare, 0, bytes) : spare;
}

ARN__ENTRY void *arn__malloc_slow(size_t last)
{
    if (last == SIZE_MAX) /* a request of nothing is one of the least that there is */
        return arn__malloc_pooled(0, 1, 1);
    return alloc_unpooled(last + 1, 1, false);
}

ARN__ENTRY void *arn__malloc_refill(size_t bytes)
{
    return alloc_slow(bytes, 1, arn__class_of(bytes), false);
}

ARN__ENTRY void *arn__aligned_refill(size_t alignment, size_t bytes)
{
    unsigned class_idx = arn__class_of(arn__aligned_last(bytes - 1, alignment) + 1);
    return alloc_slow(bytes, alignment, class_idx, false);
}

ARN__ENTRY void *arn__calloc(size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    unsigned class_idx = arn__class_of(total);
    struct heap *heap = ARN__PEEK(arn__thread.heap);
    /* pthread_create asks for a thread's storage here, when it has said that there will be another:
     * the last occasion before that runs, and this one perhaps sleeps. */
    if (__builtin_expect(heap->rests_alone, false) && !__libc_single_threaded)
        return alloc_slow(total, 1, class_idx, true);
    if (class_idx == NO_CLASS)
        return alloc_unpooled(total, 1, true);
    void *block = pop_zeroed(heap, class_idx, total, false);
    return block != NULL ? block : alloc_slow(total, 1, class_idx, true);
}

ARN__ENTRY void *arn__aligned_slow(size_t alignment, size_t bytes)
{
    if (!arn__is_power_of_two(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    if (bytes == 0 && alignment <= POOLED_BYTES)
        return arn__malloc_pooled(arn__aligned_last(0, alignment), alignment, 1);
    return alignment <= QUANTUM_BYTES ? arn__malloc(bytes)
                                      : alloc_unpooled(bytes, alignment, false);
}

/* What this thread's lists were filled with before. */
void arn__count_for_samples(void)
{
    if (arn__thread.own == NULL)
        return;
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return;
    arn__sampled_begin_count(&heap->until_sampled);
    arn__spares_free_all(&heap->spares); /* none is kept from now on */
    arn__heap_arm(heap);
    arn__thread_leave(heap);
}

/* ---- what a pointer is ---- */

static const char wild[] = "wild pointer: no such address in user space";
static const char foreign[] = "not allocated by arenite";
static const char released[] = "already freed: nothing is allocated here any more";
static const char inside_large[] = "inside a large block, not its start";
static const char not_start[] = "not the start of a block";
static const char freed_twice[] = "double free";
static const char used_after[] = "already freed";
static const char other_size[] = "not of the size that it is said to have";
static const char object[] = "to be released by arn_decref";
static const char overwritten[] = "overwritten beside the block";

ARN__ENTRY __attribute__((noinline)) static void
say_sampled(const char *function, const void *pointer, const char *reason)
{
    struct call_stack by;
    take_stack(&by);
    arn__sampled_misuse(function, pointer, reason, pointer, &by);
}

ARN__ENTRY static void say(const char *function, const void *pointer, const char *reason)
{
    if (arn__sampled_has(pointer)) {
        say_sampled(function, pointer, reason);
        return;
    }
    const struct descriptor *d = arn__descriptor(pointer);
    arn__misuse_of(function, pointer, reason, reason == object ? arn__type_name(d) : NULL);
}

/* In a tract of ours: in a slice that an arena has or had. */
static bool is_in_arena(const void *pointer)
{
    const struct arena *arena = arn__arena(pointer);
    return arena->state != ARENA_NONE && arn__slice_in_arena(pointer) < arena->slices;
}

/* In a span that is free and waits with a heap. Longer ones do not. */
static bool is_in_spare_span(const void *pointer)
{
    uintptr_t base = (uintptr_t)pointer & ~(uintptr_t)(ARENA_BYTES - 1);
    for (unsigned back = 0; back < SPARE_MOST_BYTES / ARENA_BYTES; back++, base -= ARENA_BYTES) {
        const struct descriptor *d = arn__descriptor_if_ours((void *)base);
        if (arn__kind(d) == KIND_SPAN)
            return arn__has_flag(d, LARGE_SPARE) && d->units > back;
    }
    return false;
}

/* Why this address, whose slice is free or not ours, is not a block. */
static const char *why_not(const void *pointer)
{
    if ((uintptr_t)pointer >> ARN__ADDRESS_BITS != 0)
        return wild;
    if (!arn__has_tract(pointer) || !is_in_arena(pointer))
        return foreign;
    switch (arn__arena(pointer)->state) {
    case ARENA_SPAN:
        return is_in_spare_span(pointer) ? released : inside_large;
    case ARENA_FREE:
        return released;
    case ARENA_SLICED: {
        /* A run's later slices have no descriptor: look back for its first. */
        struct descriptor *d = arn__descriptor(pointer);
        unsigned slice = arn__slice_in_arena(pointer);
        for (unsigned back = 1; back <= slice; back++) {
            if (arn__kind(d - back) == KIND_RUN)
                return (d - back)->units > back && !arn__has_flag(d - back, LARGE_SPARE)
                           ? inside_large
                           : released;
        }
        return released;
    }
    default:
        return foreign;
    }
}

/* A block of a pool whose first word is a free block's link, or a copy of one. */
static bool is_free(void *block)
{
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return true; /* the lists may be in the midst of a change */
    bool is = arn__heap_knows_free(heap, block);
    arn__thread_leave(heap);
    return is;
}

static const char *why_not_sampled(const void *pointer, const char *twice)
{
    enum sampled_block is = arn__sampled_look(pointer);
    return is == SAMPLED_LIVE ? NULL : is == SAMPLED_FREED ? twice : not_start;
}

/* NULL if the pointer is a block in use; `twice` is what to call one that is free. */
static const char *misuse_of(const void *pointer, const char *twice)
{
    const struct descriptor *d = arn__descriptor_if_ours(pointer);
    if ((uintptr_t)pointer >> ARN__ADDRESS_BITS != 0)
        return wild;
    if (arn__kind(d) == KIND_NONE || arn__kind(d) == KIND_GUARD)
        return why_not(pointer);
    if (arn__kind(d) == KIND_EMPTY)
        return not_start;
    if (arn__kind(d) == KIND_SAMPLED)
        return why_not_sampled(pointer, twice);
    if (arn__holds_objects(d))
        return object;
    if (arn__kind(d) != KIND_POOL)
        return arn__large_starts(d, pointer)      ? NULL
               : arn__has_flag(d, LARGE_SPARE)    ? released
               : arn__has_flag(d, LARGE_DEFERRED) ? twice
                                                  : not_start;
    if (!arn__pool_starts_block(d, pointer))
        return not_start;
    return arn__pool_has_out(d, pointer) || !is_free((void *)(uintptr_t)pointer) ? NULL : twice;
}

/* ---- freeing ---- */

/* In a signal handler that interrupted this thread in a slow path, or in a thread of a child that its
 * first thread is still to mend: no lock may be taken. False: it is being freed already. */
static bool free_interrupting(void *pointer)
{
    struct descriptor *d = arn__descriptor(pointer);
    struct block *block = pointer;
    perturb_freed(pointer);
    /* Not at once if it may be traced: that takes a lock to end. */
    if (arn__kind(d) == KIND_MAP && !arn__traces(ARN_TRACE_BLOCKS) && arn__large_unmap(pointer))
        return true;
    if (arn__kind(d) != KIND_POOL)
        return arn__large_defer(pointer) && (arn__thread_defer_free(pointer), true);
    /* Not if the pool is to be recovered, or may yet be: that would find it by the link, once too often,
     * and link it to others while it is deferred. */
    if (arn__thread_is_settled() && !arn__has_flag(d, POOL_RECOVER))
        block->link = arn__link_to(arn__link_end());
    arn__thread_defer_free(pointer);
    return true;
}

/* Not the orphan heap; nor what could not be handed out again so; nor where each large request may be one to sample. */
static bool may_keep(const struct heap *heap)
{
    return !CHECKED_BLOCKS && heap == arn__thread.own && !arn__thread_is_watched() &&
           !arn__sampled_is_on();
}

static bool free_in(struct heap *heap, void *pointer)
{
    perturb_freed(pointer);
    if (arn__traces(ARN_TRACE_BLOCKS))
        arn__trace_remove(pointer); /* before anybody else can have the block */
    if (arn__kind(arn__descriptor(pointer)) != KIND_POOL)
        return (may_keep(heap) && arn__spares_offer(&heap->spares, pointer)) ||
               arn__large_free(pointer);
    arn__heap_free(heap, pointer);
    return true;
}

/* Without locks: also in a signal handler that interrupted this thread in a slow path, or in a child that is still to be
 * mended. */
ARN__ENTRY __attribute__((noinline)) static void free_sampled(void *pointer, const char *function)
{
    struct cell *cell = arn__sampled_give(pointer);
    if (cell == NULL) {
        const char *misuse = why_not_sampled(pointer, freed_twice);
        say_sampled(function, pointer, misuse == NULL ? freed_twice : misuse);
        return;
    }
    uint64_t since = arn__sampled_now();
    take_stack(&cell->freed_by);
    const char *written = arn__sampled_overwritten(cell);
    if (written != NULL)
        arn__sampled_misuse(function, pointer, overwritten, written, &cell->freed_by);
    arn__sampled_give_pages(cell);
    arn__sampled_took(since);
}

/* Not inline: the short way of arn__free_slow needs none of its registers. */
ARN__ENTRY __attribute__((noinline)) static void free_entering(void *pointer, const char *function)
{
    struct descriptor *d = arn__descriptor(pointer);
    const char *misuse = NULL;
    struct heap *heap;
    if (!arn__pool_has_out(d, pointer)) {
        if (arn__sampled_has(pointer)) {
            free_sampled(pointer, function);
            return;
        }
        misuse = misuse_of(pointer, freed_twice);
    } else if ((heap = arn__thread_enter_quick()) != NULL) {
        free_in(heap, pointer);
        arn__thread_leave_quick(heap);
        return;
    }
    if (misuse == NULL) {
        heap = arn__thread_enter();
        bool freed = heap == NULL ? free_interrupting(pointer) : free_in(heap, pointer);
        if (heap != NULL)
            arn__thread_leave(heap);
        if (!freed)
            misuse = freed_twice;
    }
    if (misuse != NULL)
        say(function, pointer, misuse);
}

/* A run or span that its thread keeps, without entering. False: there is more to it. */
static inline bool keep_spare(struct descriptor *d, void *pointer)
{
    size_t slices = arn__large_slices(d);
    struct spares *spares;
    if (slices == 0 || ((uintptr_t)pointer & (SLICE_BYTES - 1)) != 0 || !arn__has_tract(pointer) ||
        (spares = begin_spares()) == NULL)
        return false;
    bool kept = arn__spares_keep(spares, d, pointer, slices);
    end_spares();
    return kept;
}

ARN__ENTRY __attribute__((noinline)) static void free_large(struct descriptor *d, void *pointer,
                                                            const char *function)
{
    if (!keep_spare(d, pointer))
        free_entering(pointer, function);
}

ARN__ENTRY void arn__free_slow(void *pointer, const char *function)
{
    struct descriptor *d = arn__descriptor(pointer);
    if (arn__kind(d) >= KIND_RUN) {
        free_large(d, pointer, function);
        return;
    }
    if (arn__thread_is_settled() && !arn__thread_is_watched()) {
        bool holds = arn__heap_may_hold(ARN__PEEK(arn__thread.heap), d);
        /* A handler that forks now must not have its child mend the heap: this push goes on there. */
        bool inside = arn__thread.inside;
        arn__thread.inside = true;
        atomic_signal_fence(memory_order_seq_cst);
        bool pushed = arn__pool_push_quick(d, pointer, holds);
        atomic_signal_fence(memory_order_seq_cst);
        arn__thread.inside = inside;
        if (pushed)
            return;
    }
    free_entering(pointer, function);
}

void arn__free_emptied(const void *block)
{
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return; /* a handler, as its thread went in or out: the next collection finds the pool */
    arn__heap_pool_emptied(heap, arn__head(arn__descriptor(block)));
    arn__thread_leave(heap);
}

/* A block of a pool of more than 64 bytes is more than half full, as realloc leaves it. */
static bool cannot_be(size_t bytes, size_t block_bytes, size_t alignment)
{
    return bytes > block_bytes ||
           (alignment <= QUANTUM_BYTES && block_bytes > 64 && bytes <= block_bytes / 2);
}

bool arn__has_bytes(void *block, size_t bytes, size_t alignment, const char *function)
{
    if (block == NULL)
        return true;
    const char *misuse = misuse_of(block, freed_twice);
    const struct descriptor *d = arn__descriptor(block);
    if (misuse == NULL && (arn__kind(d) == KIND_POOL ? cannot_be(bytes, usable(block), alignment)
                                                     : bytes > usable(block)))
        misuse = other_size;
    if (misuse != NULL)
        say(function, block, misuse);
    return misuse == NULL;
}

/* ---- looking, resizing ---- */

bool arn__may_be_ours(const void *pointer)
{
    return arn__has_tract(pointer) &&
           (arn__kind(arn__descriptor(pointer)) != KIND_NONE || is_in_arena(pointer));
}

/* A block of a pool that is out; of few that are it may say no. */
static inline bool is_out(const struct descriptor *d, unsigned kind_flags,
                          const struct block *block)
{
    return (kind_flags & KIND_MASK) == KIND_POOL && arn__pool_starts_block(d, block) &&
           !arn__link_may_be(arn__link_below(block->link));
}

/* A large block in use: each flag is of one that is not, or of an object. */
static inline bool is_large(unsigned kind_flags, const void *pointer)
{
    return kind_flags - KIND_RUN <= KIND_MAP - KIND_RUN &&
           ((uintptr_t)pointer & (SLICE_BYTES - 1)) == 0 && arn__has_tract(pointer);
}

/* Of another heap's pool, or of none. */
__attribute__((noinline)) static size_t usable_slow(void *block, const char *function)
{
    const struct descriptor *d = arn__descriptor(block);
    if (is_out(d, arn__kind_flags(d), block))
        return arn__size_classes[d->class_idx].block_bytes;
    const char *misuse = block == NULL ? NULL : misuse_of(block, used_after);
    if (misuse != NULL)
        say(function, block, misuse);
    return block == NULL || misuse != NULL ? 0 : usable(block);
}

size_t arn__usable(void *block, const char *function)
{
    block = arn__block_from_program(block);
    uintptr_t index = arn__descriptor_index(block);
    const struct descriptor *d = arn__descriptor_at(index);
    if (arn__is_own(&index, block))
        return arn__size_classes[d->class_idx].block_bytes;
    return is_large(arn__kind_flags(d), block) ? d->block_bytes : usable_slow(block, function);
}

/* To a block of its own, which the caller has tried to get; without one, a block that shrinks stays
 * where it is. */
ARN__ENTRY static void *move(void *block, size_t old_bytes, size_t bytes, void *target,
                             const char *function)
{
    if (target == NULL && bytes <= old_bytes)
        return block;
    if (target == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    memcpy(target, block, old_bytes < bytes ? old_bytes : bytes);
    arn__free(block, function);
    return target;
}

/* A pooled block that has grown will grow again: a quarter more spares it two moves in three. */
static size_t with_room(size_t old_bytes, size_t bytes)
{
    size_t roomy = bytes + bytes / 4;
    return bytes > old_bytes && roomy <= POOLED_BYTES ? roomy : bytes;
}

ARN__ENTRY static void *move_to_new(void *block, size_t old_bytes, size_t bytes,
                                    const char *function)
{
    int saved = errno;
    void *target = arn__malloc(with_room(old_bytes, bytes));
    if (bytes <= old_bytes)
        errno = saved;
    return move(block, old_bytes, bytes, target, function);
}

/* Without a copy, or NULL. A traced block's trace is taken out first: its old address may be another thread's
 * as soon as the pages have moved. What stays as it was keeps its trace. */
static void *resize_inside(void *block, size_t old_bytes, size_t bytes,
                           const struct traceback *traceback)
{
    struct trace trace;
    bool traced = arn__traces(ARN_TRACE_BLOCKS) && arn__trace_take(block, &trace);
    void *resized = arn__large_resize(block, bytes);
    bool stays = resized == NULL || (resized == block && usable(block) == old_bytes);
    if (stays && traced)
        arn__trace_put_back(block, &trace);
    else if (!stays && traceback != NULL)
        arn__trace_put(resized, usable(resized), NULL, traceback);
    return resized;
}

/* Where it is to be copied to, or NULL. */
static void *alloc_growing(size_t bytes, const struct traceback *traceback)
{
    void *target = arn__large_alloc_growing(bytes);
    if (target != NULL)
        perturb_taken(target, bytes);
    if (target != NULL && traceback != NULL)
        arn__trace_put(target, usable(target), NULL, traceback);
    return target;
}

/* `traceback`: NULL, or whom to trace it to. */
ARN__ENTRY static void *resize_large(void *block, size_t old_bytes, size_t bytes,
                                     const char *function, const struct traceback *traceback)
{
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return move(block, old_bytes, bytes, alloc_interrupting(bytes, 1), function);
    void *resized = resize_inside(block, old_bytes, bytes, traceback);
    void *target = resized == NULL && bytes > old_bytes ? alloc_growing(bytes, traceback) : NULL;
    arn__thread_leave(heap);
    if (resized != NULL)
        return resized;
    return target != NULL ? move(block, old_bytes, bytes, target, function)
                          : move_to_new(block, old_bytes, bytes, function);
}

ARN__ENTRY __attribute__((noinline)) static void *
resize_large_traced(void *block, size_t old_bytes, size_t bytes, const char *function)
{
    struct traceback traceback;
    bool taken = arn__thread_take_traceback(&traceback);
    return resize_large(block, old_bytes, bytes, function, taken ? &traceback : NULL);
}

/* Would a block of `old_bytes` serve `bytes` about as well as a new one? */
static bool fits(size_t old_bytes, size_t bytes)
{
    return bytes <= old_bytes && (bytes > old_bytes / 2 || old_bytes <= 64);
}

/* A block in use that `bytes` change nothing of; of few that are it may say no. */
static inline bool stays(void *block, size_t bytes)
{
    const struct descriptor *d = arn__descriptor(block);
    unsigned kind_flags = arn__kind_flags(d);
    if (is_out(d, kind_flags, block))
        return bytes > 0 && fits(arn__size_classes[d->class_idx].block_bytes, bytes);
    return is_large(kind_flags, block) && arn__large_is_made_for(d, kind_flags & KIND_MASK, bytes);
}

ARN__ENTRY __attribute__((noinline)) static void *realloc_slow(void *block, size_t bytes,
                                                               const char *function)
{
    const char *misuse = misuse_of(block, used_after);
    if (misuse != NULL) {
        say(function, block, misuse);
        errno = EINVAL;
        return NULL;
    }
    if (bytes == 0) { /* as glibc has it */
        arn__free(block, function);
        return NULL;
    }
    if (!is_possible(bytes, 1)) {
        errno = ENOMEM;
        return NULL;
    }
    size_t old_bytes = usable(block);
    enum kind kind = arn__kind(arn__descriptor(block));
    if (kind == KIND_POOL && fits(old_bytes, bytes))
        return block;
    if (kind >= KIND_RUN && bytes > POOLED_BYTES)
        return arn__traces(ARN_TRACE_BLOCKS)
                   ? resize_large_traced(block, old_bytes, bytes, function)
                   : resize_large(block, old_bytes, bytes, function, NULL);
    return move_to_new(block, old_bytes, bytes, function);
}

ARN__ENTRY void *arn__realloc(void *block, size_t bytes, const char *function)
{
    if (block == NULL)
        return arn__malloc(bytes);
    block = arn__block_from_program(block);
    return stays(block, bytes) ? block : realloc_slow(block, bytes, function);
}

void arn__perturb(unsigned value)
{
    arn__thread_settle();
    arn__thread_read_options(); /* they come first, and this last */
    arn__options.perturb = value;
    if (value != 0)
        arn__thread_hide_all();
}

bool arn__trim(size_t keep_bytes)
{
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return false;
    arn__spares_free_all(&heap->spares);
    arn__heap_collect(heap);
    arn__thread_collect_others(heap);
    bool closed = arn__large_waiting() > keep_bytes && arn__large_release() > 0;
    size_t waiting_bytes = arn__large_waiting();
    bool purged = arn__purge_to(keep_bytes > waiting_bytes ? keep_bytes - waiting_bytes : 0);
    bool released_regions = keep_bytes == 0 && arn__arena_release_regions() > 0;
    arn__thread_leave(heap);
    return closed || purged || released_regions;
}

/* ---- what libc makes of sizes and alignments ---- */

/* glibc rounds up what is not a power of two. */
size_t arn__memalign_power(size_t alignment)
{
    if (__builtin_expect(arn__is_power_of_two(alignment), true))
        return alignment;
    size_t power = QUANTUM_BYTES;
    while (power != 0 && power < alignment)
        power *= 2;
    return power;
}

size_t arn__pvalloc_bytes(size_t bytes)
{
    size_t page_bytes = arn__os_page_bytes();
    if (bytes > PTRDIFF_MAX)
        return bytes;
    size_t rounded = (bytes + page_bytes - 1) & ~(page_bytes - 1);
    return rounded == 0 ? page_bytes : rounded;
}
