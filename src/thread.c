/* thread.c - the start of the allocator, of threads, and of forked children. */
#include "thread.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/single_threaded.h>

#include "arena.h"
#include "diag.h"
#include "large.h"
#include "meta.h"
#include "options.h"
#include "os.h"
#include "purge.h"
#include "region.h"
#include "sampled.h"
#include "secret.h"
#include "shard.h"

/* Stands for no heap (yet, or any more): its lists stay empty. */
static struct heap nobody = {
    .token = (uint64_t)HIDDEN_NUMBER << NUMBER_SHIFT,
    .lists = {[0 ... CLASSES - 1] = {{(struct block *)&arn__no_block, 0}}},
};

__thread struct thread arn__thread __attribute__((tls_model("initial-exec"))) = {
    .heap = &nobody,
    .token = (uint64_t)HIDDEN_NUMBER << NUMBER_SHIFT,
};

static struct lock heaps_lock;
static struct heap first_heap; /* no page of metadata for a program of one thread */
static struct heap *all_heaps, *idle_heaps;
static struct heap *next_to_look_at; /* of all heaps: see take_dead_heap */
static size_t heaps_made, heaps_idle, slices_set_aside;

/* Of heaps: the next one's, and that of the heap that a forked child has already. The orphan heap's is the last
 * before HIDDEN_NUMBER. Heaps are never given up, so there are as many as there ever were threads at a time. */
enum { ORPHAN_NUMBER = HIDDEN_NUMBER - 1 };
static unsigned next_number = 1, kept_number;

/* For threads that cannot have a heap. */
extern struct heap arn__orphan_heap;
ARN__LAID_LAST struct heap arn__orphan_heap;
static struct lock orphan_lock;

/* Blocks that signal handlers freed. The first word of a pool's stays its own: that tells that it is free. */
struct deferred {
    uint64_t first;
    uint64_t link; /* as a free block's; the end: NULL */
};
static struct deferred *_Atomic deferred_blocks;

/* ---- a page that reads as zero in a child, however it was forked: arn__directory_page ---- */

struct control {
    _Atomic uint32_t state; /* enum child_state */
    _Atomic int process;    /* for which the state is CHILD_READY */
    /* What was freed in this process before it was mended, with the first word left alone: mending drops the
     * other list, and recovery finds what holds a link, and links it. */
    struct deferred *_Atomic early;
    struct heap *_Atomic survivor; /* the forking thread's heap, when fork() told */
    atomic_bool told;              /* it did; NULL: that thread has no heap */
    atomic_bool had_threads;       /* the parent; when fork() told */
};

static struct control before_start = {.state = CHILD_READY};
static struct control *_Atomic control = &before_start;
const _Atomic uint32_t *_Atomic arn__child_state = &before_start.state;

/* glibc has room for the values of the first 32 keys in the thread itself, and allocates it for more
 * when one is set. Were that a thread's first block, and ours another such key, setting it at birth
 * would allocate the same room again, and both the room and the value would be lost. Without a key,
 * the heaps of threads that are gone are found by take_dead_heap. */
enum { STATIC_KEYS = 32 };

static pthread_key_t exit_key;
static bool have_exit_key;
static bool started;
static atomic_bool options_known, options_being_read;

/* ---- fork ---- */

/* What other threads' pools were at is unknown: each is left to whoever finds it. */
static void abandon_pool(struct descriptor *pool, char *base, struct heap *survivor)
{
    bool detached;
    if (survivor != NULL && arn__pool_number(pool) == arn__heap_number(survivor)) {
        arn__pool_mend_remote(pool);
        return;
    }
    if (!arn__pool_abandon(pool, base, &detached)) {
        memset((void *)pool, 0, sizeof *pool); /* nothing was carved: its slices are free */
        return;
    }
    if (!detached)
        arn__shard_put(pool);
}

static void note_heaps(void)
{
    atomic_store_explicit(&arn__heaps_in_use, heaps_made - heaps_idle, memory_order_relaxed);
}

static void abandon_pools(struct heap *survivor)
{
    for (struct region *region = arn__regions; region != NULL; region = region->next) {
        for (size_t i = 0; i < (size_t)region->opened * region->slices; i++) {
            char *base = region->base + i * SLICE_BYTES;
            struct descriptor *d = arn__descriptor(base);
            if (arn__kind(d) == KIND_POOL && arn__is_head(d))
                abandon_pool(d, base, survivor);
        }
    }
}

/* The child of a process that had threads. Its memory is a picture taken while they ran: no list
 * that they shared can be trusted, the descriptors can. */
static void mend(struct heap *survivor)
{
    all_heaps = survivor;
    idle_heaps = next_to_look_at = NULL;
    heaps_made = survivor != NULL;
    heaps_idle = slices_set_aside = 0;
    note_heaps();
    if (survivor != NULL) {
        survivor->next = NULL;
        survivor->held_most = survivor->held_most > 0 ? HELD_MOST_SLICES : 0;
    }
    next_number = 1;
    kept_number = survivor != NULL ? arn__heap_number(survivor) : 0;
    if (survivor != &first_heap)
        memset(&first_heap, 0, sizeof first_heap);
    memset(&arn__orphan_heap, 0, sizeof arn__orphan_heap);
    atomic_store(&deferred_blocks, NULL); /* lost: the list is not to be trusted */
    arn__large_after_fork();
    arn__spares_after_fork(survivor == NULL ? NULL : &survivor->spares);
    arn__meta_after_fork();
    abandon_pools(survivor);
    arn__arena_rebuild();
}

static void mend_child(struct control *page, struct heap *own)
{
    struct heap *survivor = atomic_load(&page->survivor);
    if (survivor == NULL)
        survivor = own;
    if (survivor != NULL)
        survivor->tenure.thread = arn__os_process();
    if (!atomic_load(&page->told))
        arn__traceback_after_fork(arn__thread.unwinds, true);
    bool had_threads =
        atomic_load(&page->told) ? atomic_load(&page->had_threads) : !__libc_single_threaded;
    arn__lock_reset(&heaps_lock);
    arn__lock_reset(&orphan_lock);
    arn__lock_reset(&arn__arena_lock);
    arn__shards_after_fork(had_threads);
    arn__pools_after_fork();
    arn__purge_after_fork();
    arn__huge_after_fork();
    if (had_threads)
        mend(survivor);
    arn__table_after_fork(had_threads);
    atomic_store(&page->process, arn__os_process());
}

/* Before any lock is taken: is this a new process? The first thread to notice mends it. False: not
 * yet, for this thread was born in the child, and only the one that forked knows which heap lives on.
 */
static bool notice_fork(struct heap *own)
{
    struct control *page = atomic_load_explicit(&control, memory_order_acquire);
    if (__builtin_expect(atomic_load_explicit(&page->state, memory_order_acquire) == CHILD_READY,
                         true))
        return true;
    if (!atomic_load(&page->told) && arn__os_thread() != arn__os_process())
        return false;
    uint32_t state = CHILD_NEW;
    if (atomic_compare_exchange_strong(&page->state, &state, CHILD_MENDING)) {
        mend_child(page, own);
        /* release: pairs with the acquire above. */
        atomic_store_explicit(&page->state, CHILD_READY, memory_order_release);
        arn__os_wake(&page->state, INT_MAX);
        return true;
    }
    while (atomic_load_explicit(&page->state, memory_order_acquire) != CHILD_READY)
        arn__os_wait(&page->state, CHILD_MENDING);
    return true;
}

static void before_fork(void)
{
    arn__traceback_before_fork(arn__thread.unwinds);
}

static void after_fork(void)
{
    arn__traceback_after_fork(arn__thread.unwinds, false);
}

/* fork() tells which thread lives on, and whether there were others; _Fork and clone tell nothing. */
static void tell_survivor(void)
{
    struct control *page = atomic_load(&control);
    arn__traceback_after_fork(arn__thread.unwinds, true);
    /* In the midst of a slow path (a handler forks), its heap may be torn; a quick push leaves it in sight. */
    bool torn = arn__thread.inside && atomic_load(&arn__thread.heap) == &nobody;
    atomic_store(&page->survivor, torn ? NULL : arn__thread.own);
    /* False from the first pthread_create on; in the child it is still the parent's. */
    atomic_store(&page->had_threads, !__libc_single_threaded);
    atomic_store(&page->told, true);
    /* The page was not wiped: the kernel is too old, or an emulator that says it did. Children of
     * _Fork and clone are not noticed then. */
    if (atomic_load(&page->process) != arn__os_process()) {
        atomic_store(&page->early, NULL);
        atomic_store(&page->state, CHILD_NEW);
    }
}

/* ---- start ---- */

static void thread_exits(void *heap);

/* First block of the process. Under the heaps lock. False: no memory, try again next time. */
static bool start(void)
{
    if (!arn__region_start())
        return false;
    struct control *fresh = arn__directory_page();
    arn__os_wipe_on_fork(fresh, arn__os_page_bytes());
    pthread_atfork(before_fork, after_fork, tell_survivor);
    atomic_store(&fresh->process, arn__os_process());
    atomic_store(&fresh->state, CHILD_READY);
    atomic_store_explicit(&control, fresh, memory_order_release);
    atomic_store_explicit(&arn__child_state, &fresh->state, memory_order_release);
    have_exit_key = pthread_key_create(&exit_key, thread_exits) == 0;
    if (have_exit_key && exit_key >= STATIC_KEYS) {
        pthread_key_delete(exit_key);
        have_exit_key = false;
    }
    return true;
}

/* ---- in and out of sight ---- */

/* relaxed: nobody else stores here but arn__thread_hide_all, which see. */
static void set_heap(struct heap *heap)
{
    atomic_store_explicit(&arn__thread.heap, heap, memory_order_relaxed);
    atomic_store_explicit(&arn__thread.token, heap->token, memory_order_relaxed);
}

/* A signal handler finds no lists then, and takes the slow paths. */
static void hide(void)
{
    set_heap(&nobody);
    atomic_signal_fence(memory_order_seq_cst);
}

/* Not while blocks are watched, not even for a moment: a handler's free would miss the trace. If that begins as
 * the heap comes into sight, either this thread sees it after, or the store of arn__thread_hide_all comes
 * last, for it follows a barrier that this thread has come by in between. */
static void show(struct heap *heap)
{
    atomic_signal_fence(memory_order_seq_cst);
    if (arn__thread_is_watched() || (heap->awaits_sample && arn__sampled_is_on()))
        return;
    set_heap(heap);
    atomic_signal_fence(memory_order_seq_cst);
    if (arn__thread_is_watched())
        set_heap(&nobody);
}

/* Its thread is gone without having told. Under the heaps lock. */
static bool is_forsaken(struct heap *heap)
{
    heap->forsaken = heap->forsaken || arn__tenure_lapsed(&heap->tenure);
    return heap->forsaken;
}

/* A thread that is refused the barrier may show its heap once more, and hides it in its next slow path. Those
 * that would not tell of their end, or have told, are left alone: their memory may be gone. One that began to
 * allocate in the last round of destructors does not tell either: it is gone a moment after, which is looked at
 * here, and its word must still be what this would change. */
void arn__thread_hide_all(void)
{
    set_heap(&nobody);
    arn__os_barrier();
    arn__lock(&heaps_lock, RANK_HEAPS);
    for (struct heap *heap = all_heaps; heap != NULL; heap = heap->next) {
        struct thread *seat = atomic_load(&heap->seat);
        struct heap *seen = heap;
        uint64_t token = heap->token;
        if (seat != NULL && !is_forsaken(heap)) {
            atomic_compare_exchange_strong(&seat->heap, &seen, &nobody);
            atomic_compare_exchange_strong(&seat->token, &token, nobody.token);
        }
    }
    arn__unlock(&heaps_lock, RANK_HEAPS);
}

/* ---- heaps ---- */

enum {
    LOOKED_AT = 4,
    /* In current pools that heaps of ended threads keep for the next threads: 8 MiB. */
    SET_ASIDE_ALL_SLICES = 512,
};

/* The heap of a thread that is gone without its destructor: it was born in the last round of
 * destructors, or there is no key. Looked for among a few heaps each time, round and round. */
static struct heap *take_dead_heap(void)
{
    for (unsigned i = 0; i < LOOKED_AT && i < heaps_made; i++) {
        struct heap *heap = next_to_look_at == NULL ? all_heaps : next_to_look_at;
        next_to_look_at = heap->next;
        if (is_forsaken(heap)) {
            arn__spares_free_all(&heap->spares);
            arn__heap_abandon(heap);
            return heap;
        }
    }
    return NULL;
}

/* Under the heaps lock; NULL: no memory, or no number. */
static struct heap *make_heap(void)
{
    struct heap *heap = idle_heaps;
    if (heap != NULL) {
        idle_heaps = heap->next_idle;
        heaps_idle--;
        note_heaps();
        slices_set_aside -= heap->set_aside;
        heap->set_aside = 0;
        heap->held_most = HELD_MOST_SLICES;
        return heap;
    }
    if ((heap = take_dead_heap()) != NULL) {
        slices_set_aside -= heap->set_aside; /* it may have died amid that */
        heap->set_aside = 0;
        heap->held_most = HELD_MOST_SLICES;
        return heap;
    }
    next_number += next_number == kept_number;
    if (next_number == ORPHAN_NUMBER)
        return NULL;
    heap = all_heaps == NULL ? &first_heap : arn__meta_alloc(sizeof *heap);
    if (heap == NULL)
        return NULL;
    arn__heap_init(heap);
    heap->token = (uint64_t)next_number++ << NUMBER_SHIFT;
    heap->chance = CHECKED_BLOCKS ? arn__secret(SECRET_HEAPS + next_number) | 1 : 0;
    heap->held_most = HELD_MOST_SLICES;
    if (heap != &first_heap)
        atomic_store(&arn__heaps_many, true);
    heap->next = all_heaps;
    all_heaps = heap;
    heaps_made++;
    note_heaps();
    return heap;
}

/* Most programs never need it. Under its lock. */
static struct heap *begin_orphan_heap(void)
{
    if (arn__orphan_heap.token == 0) {
        arn__heap_init(&arn__orphan_heap);
        arn__orphan_heap.token = (uint64_t)ORPHAN_NUMBER << NUMBER_SHIFT;
    }
    return &arn__orphan_heap;
}

static struct heap *birth(void)
{
    arn__lock(&heaps_lock, RANK_HEAPS);
    arn__links_begin();
    started = started || start();
    struct heap *heap = started ? make_heap() : NULL;
    if (heap != NULL) {
        atomic_store(&heap->seat, NULL);
        heap->forsaken = false;
        arn__tenure_begin(&heap->tenure);
    }
    arn__unlock(&heaps_lock, RANK_HEAPS);
    if (heap == NULL)
        return NULL;
    heap->exit_rounds = 0;
    /* May allocate: so the heap is in place, and this thread not inside. */
    arn__thread.own = heap;
    show(heap);
    arn__thread.inside = false;
    bool tells = have_exit_key && pthread_setspecific(exit_key, heap) == 0;
    arn__thread.inside = true;
    hide();
    if (tells)
        atomic_store(&heap->seat, &arn__thread);
    return heap;
}

/* From here on nobody hides the thread's heap but itself: it tells no more of its end. */
static void leave_seat(struct heap *heap)
{
    if (arn__thread_enter() != heap)
        return;
    arn__lock(&heaps_lock, RANK_HEAPS);
    atomic_store(&heap->seat, NULL);
    arn__unlock(&heaps_lock, RANK_HEAPS);
    arn__thread_leave(heap);
}

/* Keeps the current pools if there is room for them. Under the heaps lock. */
static bool set_aside(struct heap *heap)
{
    unsigned slices = heap->current_slices;
    if (slices == 0 || slices > SET_ASIDE_MOST_SLICES ||
        slices_set_aside + slices > SET_ASIDE_ALL_SLICES)
        return false;
    heap->set_aside = slices;
    slices_set_aside += slices;
    return true;
}

/* The destructors of other keys may allocate and free: most of them in the first round, which this
 * one lets pass. Not more, for a thread that began to allocate in a destructor has fewer rounds left.
 * What comes later is served by the orphan heap. */
static void thread_exits(void *argument)
{
    struct heap *heap = argument;
    if (atomic_load(&heap->seat) != NULL) /* this thread's doing alone */
        leave_seat(heap);
    if (heap->exit_rounds++ == 0 && pthread_setspecific(exit_key, heap) == 0)
        return;
    if (arn__thread_enter() != heap)
        return;
    arn__spares_free_all(&heap->spares);
    arn__heap_abandon_but_current(heap);
    arn__thread.departed = true;
    arn__thread.own = NULL;
    arn__lock(&heaps_lock, RANK_HEAPS);
    if (!set_aside(heap)) {
        arn__unlock(&heaps_lock, RANK_HEAPS); /* it takes long */
        arn__heap_abandon(heap);
        arn__lock(&heaps_lock, RANK_HEAPS);
    }
    arn__tenure_end(&heap->tenure);
    heap->next_idle = idle_heaps;
    idle_heaps = heap;
    heaps_idle++;
    note_heaps();
    arn__unlock(&heaps_lock, RANK_HEAPS);
    arn__thread.inside = false;
}

/* ---- blocks freed by signal handlers, and before a child is mended ---- */

void arn__thread_defer_free(void *block)
{
    struct deferred *_Atomic *first =
        arn__thread_is_settled() ? &deferred_blocks : &atomic_load(&control)->early;
    struct deferred *node = block;
    struct deferred *next = atomic_load_explicit(first, memory_order_relaxed);
    do {
        node->link = arn__link_to((const struct block *)next);
        /* release: the link, to whoever takes the stack. */
    } while (!atomic_compare_exchange_weak_explicit(first, &next, node, memory_order_release,
                                                    memory_order_relaxed));
}

/* It is one that can have been deferred: a free block of a pool, or the start of something large. */
static bool is_deferred(const void *node)
{
    const struct descriptor *d = arn__descriptor_if_ours(node);
    return arn__kind(d) == KIND_POOL ? arn__pool_starts_block(d, node) : arn__kind(d) >= KIND_RUN;
}

/* Takes the first of the list, and its link out of it; the rest is lost if that was overwritten. */
static struct deferred *take_deferred(struct deferred **list)
{
    struct deferred *node = *list;
    struct block *next;
    if (!arn__link_read(node->link, &next) || (next != NULL && !is_deferred(next))) {
        arn__misuse("free", node, "overwritten after it was freed");
        next = NULL;
    }
    *list = (struct deferred *)next;
    node->link = 0;
    return node;
}

static void free_deferred(struct heap *heap, struct deferred *_Atomic *first)
{
    if (__builtin_expect(atomic_load_explicit(first, memory_order_relaxed) == NULL, true))
        return;
    /* acquire: pairs with the release above. */
    struct deferred *list = atomic_exchange_explicit(first, NULL, memory_order_acquire);
    while (list != NULL) {
        struct deferred *node = take_deferred(&list);
        if (arn__traces(ARN_TRACE_BLOCKS))
            arn__trace_remove(node);
        if (arn__kind(arn__descriptor(node)) == KIND_POOL)
            arn__heap_free(heap, (struct block *)node);
        else
            arn__large_free_deferred(node);
    }
}

/* ---- entering ---- */

/* Again and again until libc has its environment; one thread at a time. */
void arn__thread_read_options(void)
{
    if (atomic_load_explicit(&options_known, memory_order_relaxed) ||
        atomic_exchange(&options_being_read, true))
        return;
    if (!atomic_load(&options_known))
        atomic_store(&options_known, arn__options_read());
    atomic_store(&options_being_read, false);
}

struct heap *arn__thread_enter(void)
{
    if (arn__thread.inside)
        return NULL;
    struct heap *heap = arn__thread.own;
    arn__thread.inside = true;
    hide();
    if (!notice_fork(heap)) {
        arn__thread.inside = false;
        return NULL;
    }
    if (__builtin_expect(!atomic_load_explicit(&options_known, memory_order_relaxed), false))
        arn__thread_read_options();
    if (heap == NULL)
        heap = arn__thread.departed ? NULL : birth();
    if (heap == NULL) {
        arn__lock(&orphan_lock, RANK_ORPHAN);
        atomic_store_explicit(&arn__heaps_many, true, memory_order_relaxed);
        heap = begin_orphan_heap();
    }
    free_deferred(heap, &deferred_blocks);
    free_deferred(heap, &atomic_load_explicit(&control, memory_order_acquire)->early);
    return heap;
}

struct heap *arn__thread_enter_quick(void)
{
    struct heap *heap = arn__thread.own;
    if (arn__thread.inside || heap == NULL || !arn__thread_is_settled() ||
        atomic_load_explicit(&deferred_blocks, memory_order_relaxed) != NULL)
        return NULL;
    arn__thread.inside = true;
    hide();
    return heap;
}

void arn__thread_leave_quick(struct heap *heap)
{
    show(heap);
    arn__thread.inside = false;
}

void arn__thread_leave(struct heap *heap)
{
    if (heap == &arn__orphan_heap)
        arn__unlock(&orphan_lock, RANK_ORPHAN);
    else
        show(heap);
    atomic_signal_fence(memory_order_seq_cst);
    arn__thread.inside = false;
}

bool arn__thread_has_started(void)
{
    return atomic_load_explicit(&control, memory_order_relaxed) != &before_start;
}

void arn__thread_settle(void)
{
    if (arn__thread_is_settled())
        return;
    struct heap *heap = arn__thread_enter();
    if (heap != NULL)
        arn__thread_leave(heap);
}

/* Settled first: mending begins another epoch of traces. */
bool arn__thread_take_traceback(struct traceback *traceback)
{
    arn__thread_settle();
    bool may = !arn__thread.unwinds;
    if (may) {
        arn__thread.unwinds = true;
        arn__traceback_take(traceback);
        arn__thread.unwinds = false;
    } else {
        arn__trace_lose();
    }
    return may;
}

unsigned arn__thread_take_frames(void **frames, unsigned most)
{
    if (arn__thread.inside || arn__thread.unwinds)
        return 0;
    arn__thread.unwinds = true;
    unsigned count = arn__traceback_frames(frames, most);
    arn__thread.unwinds = false;
    return count;
}

void arn__thread_collect_others(const struct heap *heap)
{
    arn__lock(&heaps_lock, RANK_HEAPS);
    for (struct heap *idle = idle_heaps; idle != NULL && slices_set_aside > 0;
         idle = idle->next_idle) {
        if (idle->set_aside > 0)
            arn__heap_abandon(idle);
        slices_set_aside -= idle->set_aside;
        idle->set_aside = 0;
    }
    arn__unlock(&heaps_lock, RANK_HEAPS);
    if (heap == &arn__orphan_heap)
        return;
    arn__lock(&orphan_lock, RANK_ORPHAN);
    arn__heap_collect(&arn__orphan_heap);
    arn__unlock(&orphan_lock, RANK_ORPHAN);
}

void arn__thread_count_heaps(size_t *heaps, size_t *idle)
{
    arn__lock(&heaps_lock, RANK_HEAPS);
    *heaps = heaps_made;
    *idle = heaps_idle;
    arn__unlock(&heaps_lock, RANK_HEAPS);
}
