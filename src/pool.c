/* pool.c - one pool. No locks but the arena lock below it; the remote word is the protocol. */
#include "pool.h"

#include "arena.h"
#include "diag.h"
#include "tail.h"

enum { CARVE_STRIDE = 4096 }; /* bytes of the pool that one carve may begin blocks in */

static const char leads_back[] = "double free: a list of free blocks leads back to it";

static unsigned slices_of(const struct descriptor *pool)
{
    return arn__size_classes[pool->class_idx].slices;
}

/* relaxed: it tells a thread only about itself, and of blocks that it has. */
static void set_place(struct descriptor *pool, unsigned number, const char *end)
{
    for (unsigned i = 0; i < slices_of(pool); i++)
        atomic_store_explicit(&pool[i].place, (uint64_t)number << NUMBER_SHIFT | (uintptr_t)end,
                              memory_order_relaxed);
}

void arn__pool_set_owner(struct descriptor *pool, unsigned number)
{
    arn__pool_set_frees_to(pool, &pool->local);
    set_place(pool, number, arn__pool_end(pool));
}

void arn__pool_set_frees_to(struct descriptor *pool, struct free_list *list)
{
    for (unsigned i = 0; i < slices_of(pool); i++)
        pool[i].frees_to = list;
}

/* Of the block that is skipped, what is looked at when the one behind it is freed. */
static void clear_end(struct block *behind)
{
    for (unsigned word = 1; word <= 4; word++)
        behind[-(int)word].link = 0;
}

struct descriptor *arn__pool_create(unsigned class_idx, unsigned number)
{
    const struct size_class *shape = &arn__size_classes[class_idx];
    bool clean;
    char *base = arn__slices_take_told(shape->slices, &clean);
    if (base == NULL)
        return NULL;
    struct block *first = arn__pool_carved(base, class_idx, 0);
    unsigned flags = clean ? POOL_FRESH : 0;
    struct descriptor *pool = arn__descriptor(base);
    /* relaxed: nobody has a block of it yet. */
    atomic_store_explicit(arn__remote(base), arn__remote_word(POOL_OWNED, 0, 0),
                          memory_order_relaxed);
    if (SHUFFLED_POOLS && !(flags & POOL_FRESH))
        clear_end(first);
    pool->local.first = arn__link_end();
    pool->local.needed = 0;
    pool->carved = 0;
    pool->next = pool->prev = NULL;
    for (unsigned i = 0; i < shape->slices; i++) {
        struct descriptor *d = &pool[i];
        d->class_idx = (uint8_t)class_idx;
        d->inverse = shape->inverse;
        d->frees_to = &pool->local;
        atomic_store_explicit(&d->place, (uint64_t)number << NUMBER_SHIFT | (uintptr_t)first,
                              memory_order_relaxed);
        atomic_store_explicit(&d->filled_by, 0, memory_order_relaxed);
        /* Last: a slice of this kind is part of a pool, also to a child forked in between. */
        atomic_store_explicit(&d->kind_flags, KIND_POOL | flags, memory_order_release);
    }
    atomic_fetch_add_explicit(&arn__arena_totals.pool_bytes, arn__room_bytes(pool),
                              memory_order_relaxed);
    arn__pool_carve(pool);
    return pool;
}

/* ---- the order in which blocks are carved ---- */

enum { CARVED_MOST = CARVE_STRIDE / (2 * QUANTUM_BYTES) + 1 }; /* of the blocks that are shuffled */

/* A number of chance below `most`, which is below 2^16, of a pool. */
static unsigned chance_of(const char *base, unsigned most)
{
    uint64_t mixed = ((uintptr_t)base >> SLICE_SHIFT) * arn__pool_times;
    return (unsigned)((mixed >> 16 & 0xffffffff) * most >> 32);
}

/* Blocks in an order that nobody can tell (Durstenfeld's shuffle, 1964; Knuth's generator). */
static void link_shuffled(struct descriptor *pool, unsigned count)
{
    size_t block_bytes = arn__size_classes[pool->class_idx].block_bytes;
    char *end = arn__pool_end(pool);
    bool fresh = arn__has_flag(pool, POOL_FRESH);
    uint64_t chance = (uintptr_t)end * arn__pool_times;
    uint8_t order[CARVED_MOST];
    for (unsigned i = 0; i < count; i++)
        order[i] = (uint8_t)i;
    for (unsigned left = count; left > 0; left--) {
        chance = chance * 6364136223846793005 + 1442695040888963407;
        unsigned at = (unsigned)((chance >> 32) * left >> 32);
        struct block *block = (struct block *)(end + order[at] * block_bytes);
        order[at] = order[left - 1];
        if (!fresh) {
            for (size_t word = 0; word < block_bytes / sizeof block->link; word++)
                (&block->link)[word] = 0;
        }
        block->link = arn__link_to(pool->local.first);
        pool->local.first = block;
        if (CHECKED_BLOCKS)
            arn__tail_begin(block, block_bytes);
    }
}

/* One after the other; in a new pool from one of them on that chance decides. Linked from the last to the first:
 * each block's next is known when it is written. */
static void link_rotated(struct descriptor *pool, unsigned count)
{
    size_t block_bytes = arn__size_classes[pool->class_idx].block_bytes;
    char *end = arn__pool_end(pool);
    unsigned turn = pool->carved == 0 ? chance_of(end, count) : 0;
    struct block *next = pool->local.first;
    for (unsigned i = count; i-- > 0;) {
        unsigned at = i + turn < count ? i + turn : i + turn - count;
        struct block *block = (struct block *)(end + at * block_bytes);
        block->link = arn__link_to(next);
        next = block;
    }
    pool->local.first = next;
}

unsigned arn__pool_carve(struct descriptor *pool)
{
    const struct size_class *shape = &arn__size_classes[pool->class_idx];
    unsigned left = (unsigned)shape->capacity - pool->carved;
    if (left == 0)
        return 0;
    char *end = arn__pool_end(pool);
    size_t to_page = CARVE_STRIDE - ((uintptr_t)end & (CARVE_STRIDE - 1));
    unsigned count = (unsigned)((to_page + shape->block_bytes - 1) / shape->block_bytes);
    if (count > left)
        count = left;
    if (SHUFFLED_POOLS)
        link_shuffled(pool, count);
    else
        link_rotated(pool, count);
    pool->carved = (uint16_t)(pool->carved + count);
    atomic_fetch_add_explicit(&arn__arena_totals.carved_bytes, (size_t)count * shape->block_bytes,
                              memory_order_relaxed);
    set_place(pool, arn__pool_number(pool), end + (size_t)count * shape->block_bytes);
    return count;
}

/* The end of a chain of `count` blocks. One that leads back to itself is cut, which is misuse. */
static struct block *last_of(const struct descriptor *pool, struct block *first, unsigned count)
{
    struct block *last = first, *next;
    while ((next = arn__pool_next(pool, last, "malloc")) != arn__link_end()) {
        if (--count == 0) {
            arn__misuse("free", next, leads_back);
            break;
        }
        last = next;
    }
    return last;
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
    if (pool->local.first != arn__link_end())
        last_of(pool, first, count)->link = arn__link_to(pool->local.first);
    pool->local.first = first;
    return count;
}

struct block *arn__pool_next(const struct descriptor *pool, const struct block *block,
                             const char *function)
{
    struct block *next;
    if (arn__pool_links(pool, block->link) && arn__link_read(block->link, &next))
        return next;
    arn__misuse(function, block,
                "overwritten after it was freed, or past the end of the block before");
    return arn__link_end();
}

/* What the slices hold next may be copied before it is written to: no copy shall look like a free block. */
static void clear_links(struct descriptor *pool, char *base)
{
    for (unsigned i = 0; i < pool->carved; i++)
        arn__pool_carved(base, pool->class_idx, i)->link = 0;
}

void arn__pool_release(struct descriptor *pool)
{
    unsigned slices = slices_of(pool);
    char *base = arn__pool_base(pool);
    size_t carved_bytes = (size_t)pool->carved * arn__size_classes[pool->class_idx].block_bytes;
    clear_links(pool, base);
    size_t end = (size_t)(arn__pool_end(pool) - base);
    unsigned touched = (unsigned)((end + SLICE_BYTES - 1) / SLICE_BYTES);
    for (unsigned i = 0; i < slices; i++) {
        struct descriptor *d = &pool[i];
        atomic_store_explicit(&d->kind_flags, KIND_NONE, memory_order_relaxed);
        atomic_store_explicit(&d->place, 0, memory_order_relaxed);
        d->inverse = 0;
    }
    atomic_fetch_sub_explicit(&arn__arena_totals.carved_bytes, carved_bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&arn__arena_totals.pool_bytes, arn__room_bytes(pool),
                              memory_order_relaxed);
    arn__slices_put(base, slices, touched);
}

bool arn__pool_detach(struct descriptor *pool, unsigned number)
{
    uint64_t expected = arn__remote_word(POOL_OWNED, 0, 0);
    for (unsigned i = 0; i < slices_of(pool); i++)
        atomic_store_explicit(&pool[i].filled_by, number, memory_order_relaxed);
    arn__pool_set_owner(pool, 0);
    /* release: pairs with the acquire of the push that claims: it reads the owner's fields. */
    if (atomic_compare_exchange_strong_explicit(arn__remote(arn__pool_base(pool)), &expected,
                                                arn__remote_word(POOL_DETACHED, 0, 0),
                                                memory_order_release, memory_order_relaxed))
        return true;
    arn__pool_set_owner(pool, number);
    return false;
}

bool arn__pool_share(struct descriptor *pool)
{
    _Atomic uint64_t *remote = arn__remote(arn__pool_base(pool));
    /* acquire, here and if the exchange fails: the blocks, for whoever releases the pool. */
    uint64_t word = atomic_load_explicit(remote, memory_order_acquire);
    uint64_t shared;
    do {
        if (arn__remote_count(word) == pool->local.needed)
            return false; /* nobody pushes any more */
        shared = arn__remote_word(POOL_SHARED, 0, 0) | (word & 0xffffffff) |
                 (uint64_t)pool->local.needed << REMOTE_OUT_SHIFT |
                 (uint64_t)pool->class_idx << REMOTE_CLASS_SHIFT;
        /* release: the owner's fields, to who takes it out of the shard. acquire: the chain. */
    } while (!atomic_compare_exchange_weak_explicit(remote, &word, shared, memory_order_acq_rel,
                                                    memory_order_acquire));
    return true;
}

bool arn__pool_unshare_empty(char *base, unsigned class_idx)
{
    _Atomic uint64_t *remote = arn__remote(base);
    uint64_t word = atomic_load_explicit(remote, memory_order_relaxed);
    while (arn__remote_state(word) == POOL_SHARED && word >> REMOTE_CLASS_SHIFT == class_idx &&
           arn__remote_count(word) == arn__remote_out(word)) {
        uint64_t owned = arn__remote_word(POOL_OWNED, 0, 0) | (word & 0xffffffff);
        if (atomic_compare_exchange_weak_explicit(remote, &word, owned, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}

enum push_result arn__pool_push(struct descriptor *pool, struct block *block, unsigned claim_at)
{
    char *base = arn__pool_base(pool);
    _Atomic uint64_t *remote = arn__remote(base);
    unsigned idx = arn__pool_idx(base, block);
    arn__pool_recover(pool); /* before the link */
    uint64_t word = atomic_load_explicit(remote, memory_order_relaxed);
    uint64_t pushed;
    unsigned total;
    bool claims;
    do {
        block->link = arn__link_to(arn__pool_block(base, (unsigned)(word & 0xffff)));
        total = arn__remote_count(word) + 1;
        claims = arn__remote_state(word) == POOL_DETACHED && total >= claim_at;
        pushed = claims ? arn__remote_word(POOL_OWNED, 0, 0)
                        : (word & ~(uint64_t)0xffffffff) | arn__remote_word(0, total, idx);
        /* acq_rel: release gives the link to whoever takes the chain; acquire is for the claimer, who
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

static bool has_link(const struct block *block, uint64_t link)
{
    const uint32_t *half = (const uint32_t *)&block->link; /* little endian: the lower one first */
    return arn__os_word_is(half, (uint32_t)link) &&
           arn__os_word_is(half + 1, (uint32_t)(link >> 32));
}

/* Such pools have few blocks: each link that a free one can have is tried. */
bool arn__pool_is_free_apart(const struct descriptor *pool, const struct block *block)
{
    char *base = arn__pool_base(pool);
    for (unsigned i = 0; i < pool->carved; i++) {
        if (has_link(block, arn__link_to(arn__pool_carved(base, pool->class_idx, i))))
            return true;
    }
    return has_link(block, arn__link_to(arn__link_end()));
}

/* Of blocks that are looked at one after the other. */
struct look {
    uintptr_t page; /* the last one that was asked for */
    bool readable;
};

/* Whether the block's first word can be read. Pages that others have a share in may be missing in a child, too:
 * MADV_DONTFORK hides whole pages. */
static bool can_read(struct look *look, const struct block *block)
{
    uintptr_t page = (uintptr_t)block & ~(uintptr_t)(arn__os_page_bytes() - 1);
    if (page != look->page)
        *look = (struct look){page, arn__os_readable(block)};
    return look->readable;
}

static bool is_free_in_child(struct look *look, const struct descriptor *pool,
                             const struct block *block)
{
    return can_read(look, block) && arn__pool_links(pool, block->link);
}

bool arn__pool_abandon(struct descriptor *pool, char *base, bool *detached)
{
    const struct size_class *shape = &arn__size_classes[pool->class_idx];
    char *end = arn__pool_end(pool);
    if (end <= base || end > base + (size_t)(shape->capacity + POOL_SKIPPED) * shape->block_bytes)
        return false;
    pool->carved = (uint16_t)((size_t)(end - base) / shape->block_bytes - POOL_SKIPPED);
    if (pool->carved == 0)
        return false;
    _Atomic uint64_t *remote = arn__remote(base);
    *detached =
        arn__remote_state(atomic_load(remote)) == POOL_DETACHED && pool->carved == shape->capacity;
    atomic_store(remote, arn__remote_word(*detached ? POOL_DETACHED : POOL_OWNED, 0, 0));
    pool->local.needed = pool->carved;
    pool->local.first = arn__link_end();
    pool->next = pool->prev = NULL;
    set_place(pool, 0, end);
    arn__pool_set_frees_to(pool, &pool->local);
    for (unsigned i = 0; i < shape->slices; i++)
        atomic_store(&pool[i].kind_flags, KIND_POOL | POOL_RECOVER);
    return true;
}

/* ---- free blocks that a child finds ----
 *
 * Their links are mostly those of lists that are whole, and each page that is written to is no longer the parent's, too.
 * So links stay where they can: chains are joined, and what no chain reaches is linked anew. */

enum { MOST_POSITIONS = SLICE_BYTES / QUANTUM_BYTES, ENDS = MOST_POSITIONS, OUT };

/* Of the pool that is being recovered, by position: where the block's link leads, ENDS, or OUT if it is not free. Under
 * the lock. Each link is read once: who knows what a program does. */
static uint16_t targets[MOST_POSITIONS];

typedef uint64_t bits[MOST_POSITIONS / 64]; /* by position */

static bool has(const bits set, unsigned position)
{
    return set[position / 64] >> (position % 64) & 1;
}

static void add(bits set, unsigned position)
{
    set[position / 64] |= (uint64_t)1 << (position % 64);
}

static uint16_t target_of(struct look *look, const struct descriptor *pool, const char *base,
                          const struct block *block)
{
    if (!can_read(look, block))
        return OUT;
    uint64_t link = block->link;
    struct block *next;
    if (!arn__pool_links(pool, link) || !arn__link_read(link, &next))
        return OUT;
    if (next == arn__link_end())
        return ENDS;
    size_t offset = (size_t)((char *)next - base);
    size_t position = offset / arn__size_classes[pool->class_idx].block_bytes - POOL_SKIPPED;
    return position < pool->carved ? (uint16_t)position
                                   : OUT; /* one that is skipped starts a block, too */
}

static unsigned find_free(const struct descriptor *pool, char *base)
{
    struct look look = {0, false};
    unsigned found = 0;
    for (unsigned i = 0; i < pool->carved; i++) {
        targets[i] = target_of(&look, pool, base, arn__pool_carved(base, pool->class_idx, i));
        found += targets[i] != OUT;
    }
    return found;
}

/* Two links to one block, or one to a block that is out, are no list's: all but the first end there. */
static void cut(const struct descriptor *pool, bits pointed)
{
    for (unsigned i = 0; i < pool->carved; i++) {
        unsigned target = targets[i];
        if (target >= ENDS)
            continue;
        if (targets[target] == OUT || has(pointed, target))
            targets[i] = ENDS;
        else
            add(pointed, target);
    }
}

/* A chain in front of others; returns its first. */
static struct block *prepend(const struct descriptor *pool, char *base, unsigned head,
                             unsigned last, const struct block *others)
{
    struct block *end = arn__pool_carved(base, pool->class_idx, last);
    uint64_t link = arn__link_to(others);
    if (end->link != link)
        end->link = link;
    return arn__pool_carved(base, pool->class_idx, head);
}

/* Links the free blocks; returns the first. */
static struct block *join(const struct descriptor *pool, char *base)
{
    struct block *first = arn__link_end();
    bits pointed = {0}, seen = {0};
    cut(pool, pointed);
    for (unsigned i = 0; i < pool->carved; i++) {
        if (targets[i] == OUT || has(pointed, i))
            continue;
        unsigned last = i;
        for (add(seen, i); targets[last] != ENDS; add(seen, last))
            last = targets[last];
        first = prepend(pool, base, i, last, first);
    }
    for (unsigned i = 0; i < pool->carved; i++) {
        if (targets[i] != OUT && !has(seen, i)) /* in a ring */
            first = prepend(pool, base, i, i, first);
    }
    return first;
}

void arn__pool_recover(struct descriptor *pool)
{
    if (!arn__has_flag(pool, POOL_RECOVER))
        return;
    arn__lock(&recover_lock, RANK_RECOVER);
    if (arn__has_flag(pool, POOL_RECOVER)) {
        char *base = arn__pool_base(pool);
        unsigned found = find_free(pool, base);
        struct block *first = join(pool, base);
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
    /* A block without a link was not linked yet as far as this process can see: the rest of the
     * chain is lost, to be on the safe side. */
    while (block != arn__link_end() && count < arn__remote_count(word) &&
           arn__head(arn__descriptor(block)) == pool && is_free_in_child(&look, pool, block)) {
        last = block;
        arn__link_read(block->link, &block);
        count++;
    }
    if (last != NULL)
        last->link = arn__link_to(arn__link_end());
    atomic_store(arn__remote(base),
                 arn__remote_word(POOL_OWNED, count, count == 0 ? 0 : (unsigned)(word & 0xffff)));
}

void arn__pools_after_fork(void)
{
    arn__lock_reset(&recover_lock);
}

bool arn__pool_lists(const struct descriptor *pool, const struct block *first,
                     const struct block *block)
{
    uint64_t word = atomic_load_explicit(arn__remote(arn__pool_base(pool)), memory_order_acquire);
    const struct block *lists[] = {
        first, arn__pool_block(arn__pool_base(pool), (unsigned)(word & 0xffff))};
    for (unsigned i = 0; i < 2; i++) {
        const struct block *listed = lists[i];
        for (unsigned n = 0; n < pool->carved && listed != arn__link_end(); n++) {
            struct block *next;
            if (listed == block)
                return true;
            if (!arn__link_read(listed->link, &next) || !arn__pool_links(pool, listed->link))
                break;
            listed = next;
        }
    }
    return false;
}

unsigned arn__pool_local_count(struct descriptor *pool)
{
    unsigned count = 0;
    struct block *block = pool->local.first, *last = NULL, *next;
    for (; block != arn__link_end() && count < pool->carved; block = next, count++) {
        last = block;
        next = arn__pool_next(pool, block, "malloc");
        if (next == arn__link_end() && block->link != arn__link_to(next))
            block->link = arn__link_to(next); /* told once */
    }
    if (block == arn__link_end())
        return count;
    arn__misuse("free", block, leads_back);
    last->link = arn__link_to(arn__link_end());
    return arn__pool_local_count(pool);
}
