/* shard.c - the shared pools, and a few empty ones. */
#include "shard.h"

#include "diag.h"
#include "lock.h"
#include "pool.h"
#include "purge.h"
#include "region.h"

enum { LOOKED_AT = 4 };

/* Everything changes under the lock. Of what is atomic, others take a glance without it. */
static struct shard {
    struct lock lock;
    struct descriptor *_Atomic first; /* shared pools, linked through next and prev */
    struct descriptor *_Atomic empty; /* empty pools, linked through next */
    _Atomic uint8_t places;           /* reserved for those */
    uint8_t kept;                     /* of the places, taken up */
    uint8_t kept_so_far;              /* modulo 256 */
} shards[CLASSES];

/* Of all shards' places. relaxed: a bound, no more. */
static _Atomic unsigned reserved_slices;

/* relaxed, here and below: under the lock, or a glance that may be wrong. */
static struct descriptor *first_of(struct shard *shard)
{
    return atomic_load_explicit(&shard->first, memory_order_relaxed);
}

static void set_first(struct shard *shard, struct descriptor *pool)
{
    atomic_store_explicit(&shard->first, pool, memory_order_relaxed);
}

static struct descriptor *empty_of(struct shard *shard)
{
    return atomic_load_explicit(&shard->empty, memory_order_relaxed);
}

static void set_empty(struct shard *shard, struct descriptor *pool)
{
    atomic_store_explicit(&shard->empty, pool, memory_order_relaxed);
}

static unsigned places_of(const struct shard *shard)
{
    return atomic_load_explicit(&shard->places, memory_order_relaxed);
}

static void set_places(struct shard *shard, unsigned places)
{
    atomic_store_explicit(&shard->places, (uint8_t)places, memory_order_relaxed);
}

static void link_first(struct shard *shard, struct descriptor *pool)
{
    pool->prev = NULL;
    pool->next = first_of(shard);
    if (pool->next != NULL)
        pool->next->prev = pool;
    set_first(shard, pool);
}

static void unlink_pool(struct shard *shard, struct descriptor *pool)
{
    if (pool->prev != NULL)
        pool->prev->next = pool->next;
    else
        set_first(shard, pool->next);
    if (pool->next != NULL)
        pool->next->prev = pool->prev;
    pool->next = pool->prev = NULL;
}

static void release(struct descriptor *pool)
{
    arn__pool_release(pool);
    arn__purge_settle();
}

/* ---- empty pools ----
 *
 * Where one thread allocates and others free, these empty pools while that one makes new ones. A shard keeps a few from
 * the one to the other, without the arena lock. A shard reserves places for them. It keeps a place until another shard
 * needs one: so whoever puts a pool there, or takes it, writes nothing that all shards have in common. */

/* Of what goes from thread to thread, nothing else looks at the clock. */
enum { KEPT_PER_LOOK = 64 };

/* Caller holds the lock. */
static struct descriptor *pop_empty(struct shard *shard)
{
    struct descriptor *pool = empty_of(shard);
    if (pool != NULL) {
        set_empty(shard, pool->next);
        pool->next = NULL;
    }
    return pool;
}

/* The slices of a pool of this shard. */
static unsigned slices_of(const struct shard *shard)
{
    return arn__size_classes[shard - shards].slices;
}

static void unreserve(const struct shard *shard, unsigned places)
{
    atomic_fetch_sub_explicit(&reserved_slices, places * slices_of(shard), memory_order_relaxed);
}

/* One more place, if there is room for it. Caller holds the lock. */
static bool reserve_place(struct shard *shard)
{
    unsigned slices = slices_of(shard), places = places_of(shard);
    if (places == SHARD_EMPTY_POOLS)
        return false;
    if (atomic_fetch_add_explicit(&reserved_slices, slices, memory_order_relaxed) + slices >
        SHARD_EMPTY_SLICES) {
        unreserve(shard, 1);
        return false;
    }
    set_places(shard, places + 1);
    return true;
}

/* Takes a place from another shard, in turn. What is in it is released. */
static void take_place(const struct shard *from)
{
    static _Atomic unsigned turn;
    for (unsigned i = 0; i < CLASSES; i++) {
        /* relaxed: any one will do. */
        struct shard *shard =
            &shards[atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed) % CLASSES];
        if (shard == from || places_of(shard) == 0)
            continue;
        struct descriptor *pool = NULL;
        arn__lock(&shard->lock, RANK_SHARD);
        unsigned places = places_of(shard);
        if (places > 0) {
            if (shard->kept == places) {
                pool = pop_empty(shard);
                shard->kept--;
            }
            set_places(shard, places - 1);
        }
        arn__unlock(&shard->lock, RANK_SHARD);
        if (pool != NULL)
            release(pool);
        if (places > 0) {
            unreserve(shard, 1);
            return;
        }
    }
}

static bool has_room(const struct shard *shard)
{
    return atomic_load_explicit(&reserved_slices, memory_order_relaxed) + slices_of(shard) <=
           SHARD_EMPTY_SLICES;
}

static bool keep_empty(struct shard *shard, struct descriptor *pool)
{
    if (arn__memory_is_tight())
        return false;
    if (places_of(shard) == 0 && !has_room(shard))
        take_place(shard);
    arn__lock(&shard->lock, RANK_SHARD);
    bool keeps = shard->kept < places_of(shard) || reserve_place(shard);
    bool looks = false;
    if (keeps) {
        pool->next = empty_of(shard);
        set_empty(shard, pool);
        shard->kept++;
        looks = ++shard->kept_so_far % KEPT_PER_LOOK == 0;
    }
    arn__unlock(&shard->lock, RANK_SHARD);
    if (looks)
        arn__purge_look();
    return keeps;
}

void arn__shard_put_empty(struct descriptor *pool)
{
    ARN__ASSERT(pool->local.needed ==
                    arn__remote_count(ARN__PEEK(*arn__remote(arn__pool_base(pool)))),
                "no block of an empty pool is out");
    arn__pool_set_owner(pool, 0);
    if (!keep_empty(&shards[pool->class_idx], pool))
        release(pool);
}

struct descriptor *arn__shard_take_empty(unsigned class_idx)
{
    struct shard *shard = &shards[class_idx];
    if (empty_of(shard) == NULL)
        return NULL;
    arn__lock(&shard->lock, RANK_SHARD);
    struct descriptor *pool = pop_empty(shard);
    shard->kept -= pool != NULL;
    arn__unlock(&shard->lock, RANK_SHARD);
    return pool;
}

static void release_empty(struct shard *shard)
{
    arn__lock(&shard->lock, RANK_SHARD);
    struct descriptor *pool = empty_of(shard);
    unsigned places = places_of(shard);
    set_empty(shard, NULL);
    set_places(shard, 0);
    shard->kept = 0;
    arn__unlock(&shard->lock, RANK_SHARD);
    for (struct descriptor *next; pool != NULL; pool = next) {
        next = pool->next;
        release(pool);
    }
    unreserve(shard, places);
}

/* ---- shared pools ---- */

void arn__shard_put(struct descriptor *pool)
{
    struct shard *shard = &shards[pool->class_idx];
    arn__pool_set_owner(pool, 0);
    arn__lock(&shard->lock, RANK_SHARD);
    bool shared = arn__pool_share(pool);
    if (shared)
        link_first(shard, pool);
    arn__unlock(&shard->lock, RANK_SHARD);
    if (!shared)
        arn__shard_put_empty(pool);
}

static struct descriptor *take_first(struct shard *shard)
{
    arn__lock(&shard->lock, RANK_SHARD);
    struct descriptor *pool = first_of(shard);
    if (pool != NULL) {
        unlink_pool(shard, pool);
        arn__pool_recover(pool);
        pool->local.needed -= arn__pool_take_remote(pool);
    }
    arn__unlock(&shard->lock, RANK_SHARD);
    return pool;
}

struct descriptor *arn__shard_take(unsigned class_idx)
{
    struct shard *shard = &shards[class_idx];
    for (unsigned i = 0; i < LOOKED_AT; i++) {
        /* A glance without the lock: most classes' shards are empty most of the time. */
        if (first_of(shard) == NULL)
            return NULL;
        struct descriptor *pool = take_first(shard);
        if (pool == NULL)
            return NULL;
        if (pool->local.first != arn__link_end() || pool->carved < arn__size_classes[class_idx].capacity)
            return pool;
        /* Full after all: it was left by a thread that a fork did not bring along. */
        if (!arn__pool_detach(pool, 0))
            arn__shard_put(pool);
    }
    return NULL;
}

void arn__shard_reap(char *base, unsigned class_idx)
{
    struct shard *shard = &shards[class_idx];
    struct descriptor *pool = arn__descriptor(base);
    arn__lock(&shard->lock, RANK_SHARD);
    /* The word of a shared pool names its class, and changes to and from that under this lock: if it
     * says so now, a pool is in this shard, be it the one meant or one that took its place. */
    bool empty = arn__pool_unshare_empty(base, class_idx);
    if (empty)
        unlink_pool(shard, pool);
    arn__unlock(&shard->lock, RANK_SHARD);
    if (empty)
        arn__shard_put_empty(pool);
}

/* The next of a shard's shared pools whose blocks are all back, taken out of it. */
static struct descriptor *take_emptied(struct shard *shard, unsigned class_idx)
{
    arn__lock(&shard->lock, RANK_SHARD);
    struct descriptor *pool = first_of(shard);
    for (; pool != NULL; pool = pool->next) {
        arn__pool_recover(pool);
        if (arn__pool_unshare_empty(arn__pool_base(pool), class_idx))
            break;
    }
    if (pool != NULL)
        unlink_pool(shard, pool);
    arn__unlock(&shard->lock, RANK_SHARD);
    return pool;
}

void arn__shards_reap_all(void)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        struct descriptor *pool;
        while ((pool = take_emptied(&shards[c], c)) != NULL)
            release(pool);
        release_empty(&shards[c]);
    }
}

void arn__shards_after_fork(bool empty)
{
    for (unsigned i = 0; i < CLASSES; i++) {
        arn__lock_reset(&shards[i].lock);
        if (empty) {
            set_first(&shards[i], NULL);
            set_empty(&shards[i], NULL);
            set_places(&shards[i], 0);
            shards[i].kept = 0;
        }
    }
    if (empty)
        atomic_store(&reserved_slices, 0);
}
