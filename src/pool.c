/* pool.c - one pool. No locks but the arena lock below it; the remote word is the protocol. */
#include "pool.h"

#include "arena.h"
#include "diag.h"

enum { CARVE_STRIDE = 4096 }; /* bytes of the pool that one carve may begin blocks in */

static unsigned slices_of(const struct descriptor *pool)
{
    return arn__size_classes[pool->class_idx].slices;
}

static void set_last(struct descriptor *pool, char *last)
{
    for (unsigned i = 0; i < slices_of(pool); i++)
        atomic_store_explicit(&pool[i].last, last, memory_order_relaxed);
}

void arn__pool_set_owner(struct descriptor *pool, struct heap *heap)
{
    /* relaxed: the field tells a thread only about itself. */
    for (unsigned i = 0; i < slices_of(pool); i++) {
        pool[i].frees_to = &pool->local;
        atomic_store_explicit(&pool[i].owner, heap, memory_order_relaxed);
    }
}

void arn__pool_set_frees_to(struct descriptor *pool, struct free_list *list)
{
    for (unsigned i = 0; i < slices_of(pool); i++)
        pool[i].frees_to = list;
}

struct descriptor *arn__pool_create(unsigned class_idx, struct heap *heap)
{
    const struct size_class *shape = &arn__size_classes[class_idx];
    char *base = arn__slices_take(shape->slices, true);
    if (base == NULL)
        return NULL;
    unsigned flags = arn__slices_clean(base, shape->slices) ? POOL_FRESH : 0;
    struct descriptor *pool = arn__descriptor(base);
    /* relaxed: nobody has a block of it yet. */
    atomic_store_explicit(arn__remote(base), arn__remote_word(POOL_OWNED, 0, 0),
                          memory_order_relaxed);
    pool->local.first = NULL;
    pool->local.needed = 0;
    pool->carved = 0;
    pool->next = pool->prev = NULL;
    for (unsigned i = 0; i < shape->slices; i++) {
        struct descriptor *d = &pool[i];
        d->class_idx = (uint8_t)class_idx;
        d->inverse = shape->inverse;
        d->frees_to = &pool->local;
        atomic_store_explicit(&d->last, base - shape->block_bytes, memory_order_relaxed);
        atomic_store_explicit(&d->owner, heap, memory_order_relaxed);
        /* Last: a slice of this kind is part of a pool, also to a child forked in between. */
        atomic_store_explicit(&d->kind_flags, KIND_POOL | flags, memory_order_release);
    }
    arn__pool_carve(pool);
    return pool;
}

unsigned arn__pool_carve(struct descriptor *pool)
{
    const struct size_class *shape = &arn__size_classes[pool->class_idx];
    unsigned left = (unsigned)shape->capacity - pool->carved;
    if (left == 0)
        return 0;
    char *end = arn__pool_last(pool) + shape->block_bytes;
    size_t to_page = CARVE_STRIDE - ((uintptr_t)end & (CARVE_STRIDE - 1));
    unsigned count = (unsigned)((to_page + shape->block_bytes - 1) / shape->block_bytes);
    if (count > left)
        count = left;
    /* Linked from the last to the first: each block's next is known when it is written. */
    struct block *next = pool->local.first;
    bool fresh = arn__has_flag(pool, POOL_FRESH);
    for (unsigned i = count; i-- > 0;) {
        struct block *block = (struct block *)(end + (size_t)i * shape->block_bytes);
        block->next = next;
        block->mark = fresh ? arn__fresh_mark(block) : arn__mark(block);
        next = block;
    }
    pool->carved = (uint16_t)(pool->carved + count);
    atomic_fetch_add_explicit(&arn__arena_totals.carved_bytes, (size_t)count * shape->block_bytes,
                              memory_order_relaxed);
    set_last(pool, end + (size_t)(count - 1) * shape->block_bytes);
    pool->local.first = next;
    return count;
}

unsigned arn__pool_take_remote(struct descriptor *pool)
{
    _Atomic uint64_t *remote = arn__remote(arn__pool_base(pool));
    const uint64_t nothing = arn__remote_word(POOL_OWNED, 0, 0);
    if (atomic_load_explicit(remote, memory_order_relaxed) == nothing)
        return 0;
    /* acquire: pairs with the release in arn__pool_push, which linked the blocks. */
    uint64_t word = atomic_exchange_explicit(remote, nothing, memory_order_acquire);
    unsigned count = arn__remote_count(word);
    if (count == 0)
        return 0;
    struct block *first = arn__pool_block(arn__pool_base(pool), (unsigned)(word & 0xffff));
    if (pool->local.first != NULL) {
        struct block *last = first;
        for (unsigned i = 1; i < count; i++)
            last = last->next;
        last->next = pool->local.first;
    }
    pool->local.first = first;
    return count;
}

void arn__pool_release(struct descriptor *pool)
{
    unsigned slices = slices_of(pool);
    char *base = arn__pool_base(pool);
    size_t carved_bytes = (size_t)pool->carved * arn__size_classes[pool->class_idx].block_bytes;
    unsigned touched = (unsigned)((carved_bytes + SLICE_BYTES - 1) / SLICE_BYTES);
    for (unsigned i = 0; i < slices; i++) {
        struct descriptor *d = &pool[i];
        atomic_store_explicit(&d->kind_flags, KIND_NONE, memory_order_relaxed);
        atomic_store_explicit(&d->owner, NULL, memory_order_relaxed);
    }
    atomic_fetch_sub_explicit(&arn__arena_totals.carved_bytes, carved_bytes, memory_order_relaxed);
    arn__slices_put(base, slices, touched);
}

bool arn__pool_detach(struct descriptor *pool, struct heap *filled_by)
{
    uint64_t expected = arn__remote_word(POOL_OWNED, 0, 0);
    arn__pool_set_owner(pool, filled_by == NULL ? NULL : arn__pool_filled_by(filled_by));
    /* release: pairs with the acquire of the push that claims: it reads the owner's fields. */
    if (atomic_compare_exchange_strong_explicit(arn__remote(arn__pool_base(pool)), &expected,
                                                arn__remote_word(POOL_DETACHED, 0, 0),
                                                memory_order_release, memory_order_relaxed))
        return true;
    arn__pool_set_owner(pool, filled_by);
    return false;
}

bool arn__pool_share(struct descriptor *pool)
{
    _Atomic uint64_t *remote = arn__remote(arn__pool_base(pool));
    uint64_t word = atomic_load_explicit(remote, memory_order_relaxed);
    uint64_t shared;
    do {
        if (arn__remote_count(word) == pool->local.needed) {
            pool->local.needed -= arn__pool_take_remote(pool);
            return false;
        }
        shared = arn__remote_word(POOL_SHARED, 0, 0) | (word & 0xffffffff) |
                 (uint64_t)pool->local.needed << REMOTE_OUT_SHIFT |
                 (uint64_t)pool->class_idx << REMOTE_CLASS_SHIFT;
        /* release: the owner's fields, to who takes it out of the shard. acquire: the chain. */
    } while (!atomic_compare_exchange_weak_explicit(remote, &word, shared, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return true;
}

bool arn__pool_unshare_empty(char *base, unsigned class_idx)
{
    _Atomic uint64_t *remote = arn__remote(base);
    uint64_t word = atomic_load_explicit(remote, memory_order_relaxed);
    while (arn__remote_state(word) == POOL_SHARED && word >> REMOTE_CLASS_SHIFT == class_idx &&
           arn__remote_count(word) == arn__remote_out(word)) {
        if (atomic_compare_exchange_weak_explicit(remote, &word, arn__remote_word(POOL_OWNED, 0, 0),
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    }
    return false;
}

enum push_result arn__pool_push(struct descriptor *pool, struct block *block, unsigned claim_at)
{
    char *base = arn__pool_base(pool);
    _Atomic uint64_t *remote = arn__remote(base);
    unsigned idx = arn__pool_idx(base, block);
    arn__pool_recover(pool); /* before the mark */
    block->mark = arn__mark(block);
    uint64_t word = atomic_load_explicit(remote, memory_order_relaxed);
    uint64_t pushed;
    unsigned total;
    bool claims;
    do {
        block->next = arn__pool_block(base, (unsigned)(word & 0xffff));
        total = arn__remote_count(word) + 1;
        claims = arn__remote_state(word) == POOL_DETACHED && total >= claim_at;
        pushed = claims ? arn__remote_word(POOL_OWNED, 0, 0)
                        : (word & ~(uint64_t)0xffffffff) | arn__remote_word(0, total, idx);
        /* acq_rel: release gives the link and the mark to who takes the chain; acquire is for the claimer, who
         * reads what the detacher and other pushers wrote. */
    } while (!atomic_compare_exchange_weak_explicit(remote, &word, pushed, memory_order_acq_rel,
                                                    memory_order_relaxed));
    /* From here on the pool may be gone, unless it was claimed. */
    if (claims) {
        pool->local.first = block;
        pool->local.needed = pool->carved - total;
        return PUSH_CLAIMED;
    }
    return arn__remote_state(word) == POOL_SHARED && total == arn__remote_out(word) ? PUSH_EMPTIED
                                                                                    : PUSH_DONE;
}

/* ---- after fork ---- */

static struct lock recover_lock;

bool arn__is_marked_apart(const struct block *block)
{
    const uint32_t *half = (const uint32_t *)&block->mark; /* little endian: the lower one first */
    uint64_t mark = arn__mark(block), fresh = arn__fresh_mark(block);
    return arn__os_word_is(half, (uint32_t)mark) &&
           (arn__os_word_is(half + 1, (uint32_t)(mark >> 32)) ||
            arn__os_word_is(half + 1, (uint32_t)(fresh >> 32)));
}

/* Of blocks that are looked at one after the other. */
struct look {
    uintptr_t page; /* the last one that was asked for */
    bool readable;
};

/* Whether the block's two words can be read. Pages that others have a share in may be missing in a child, too:
 * MADV_DONTFORK hides whole pages. */
static bool can_read(struct look *look, const struct block *block)
{
    uintptr_t page = (uintptr_t)&block->mark & ~(uintptr_t)(arn__os_page_bytes() - 1);
    if (page != look->page)
        *look = (struct look){page, arn__os_readable(&block->mark)};
    return look->readable;
}

static bool is_free_in_child(struct look *look, const struct block *block, size_t block_bytes)
{
    if (arn__has_page_of_its_own(block, block_bytes))
        return arn__is_marked_apart(block);
    return can_read(look, block) && arn__is_marked(block);
}

bool arn__pool_abandon(struct descriptor *pool, char *base, bool *detached)
{
    const struct size_class *shape = &arn__size_classes[pool->class_idx];
    char *last = arn__pool_last(pool);
    if (last < base || last >= base + (size_t)shape->capacity * shape->block_bytes)
        return false;
    pool->carved = (uint16_t)((size_t)(last - base) / shape->block_bytes + 1);
    _Atomic uint64_t *remote = arn__remote(base);
    *detached =
        arn__remote_state(atomic_load(remote)) == POOL_DETACHED && pool->carved == shape->capacity;
    atomic_store(remote, arn__remote_word(*detached ? POOL_DETACHED : POOL_OWNED, 0, 0));
    pool->local.needed = pool->carved;
    pool->local.first = NULL;
    pool->next = pool->prev = NULL;
    set_last(pool, last);
    arn__pool_set_owner(pool, NULL);
    for (unsigned i = 0; i < shape->slices; i++)
        atomic_store(&pool[i].kind_flags, KIND_POOL | POOL_RECOVER);
    return true;
}

void arn__pool_recover(struct descriptor *pool)
{
    if (!arn__has_flag(pool, POOL_RECOVER))
        return;
    arn__lock(&recover_lock, RANK_RECOVER);
    if (arn__has_flag(pool, POOL_RECOVER)) {
        size_t block_bytes = arn__size_classes[pool->class_idx].block_bytes;
        char *base = arn__pool_base(pool);
        struct block *first = NULL;
        unsigned found = 0;
        struct look look = {0, false};
        for (unsigned i = 0; i < pool->carved; i++) {
            struct block *block = (struct block *)(base + (size_t)i * block_bytes);
            if (is_free_in_child(&look, block, block_bytes)) {
                block->next = first;
                /* Not fresh: a thread that is not here may have been writing to it. */
                block->mark = arn__mark(block);
                first = block;
                found++;
            }
        }
        /* Nobody pushed before: a push comes after a recovery. */
        uint64_t word = atomic_load(arn__remote(base));
        if (found > 0)
            word |= arn__remote_word(0, found, arn__pool_idx(base, first));
        atomic_store(arn__remote(base), word);
        for (unsigned i = 0; i < slices_of(pool); i++) {
            /* release: pairs with arn__has_flag. */
            atomic_store_explicit(&pool[i].kind_flags, KIND_POOL, memory_order_release);
        }
    }
    arn__unlock(&recover_lock, RANK_RECOVER);
}

void arn__pool_mend_remote(struct descriptor *pool)
{
    char *base = arn__pool_base(pool);
    uint64_t word = atomic_load(arn__remote(base));
    if (word == arn__remote_word(POOL_OWNED, 0, 0))
        return; /* and no page is written */
    struct block *block = arn__pool_block(base, (unsigned)(word & 0xffff));
    struct block *last = NULL;
    struct look look = {0, false};
    unsigned count = 0;
    /* A block without its mark was not linked yet as far as this process can see: the rest of the
     * chain is lost, to be on the safe side. */
    while (block != NULL && count < arn__remote_count(word) &&
           arn__head(arn__descriptor(block)) == pool && arn__pool_starts_block(pool, block) &&
           can_read(&look, block) && arn__is_marked(block)) {
        last = block;
        block = block->next;
        count++;
    }
    if (last != NULL)
        last->next = NULL;
    atomic_store(arn__remote(base),
                 arn__remote_word(POOL_OWNED, count, count == 0 ? 0 : (unsigned)(word & 0xffff)));
}

void arn__pools_after_fork(void)
{
    arn__lock_reset(&recover_lock);
}

unsigned arn__pool_local_count(const struct descriptor *pool)
{
    unsigned count = 0;
    for (struct block *block = pool->local.first; block != NULL; block = block->next)
        count++;
    return count;
}
