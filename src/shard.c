/* shard.c - the shared pools. */
#include "shard.h"

#include "lock.h"
#include "pool.h"
#include "purge.h"

enum { LOOKED_AT = 4 };

static struct shard {
    struct lock lock;
    struct descriptor *_Atomic first; /* linked through next and prev; changes under the lock */
} shards[CLASSES];

/* relaxed: under the lock, or a glance that may be wrong. */
static struct descriptor *first_of(struct shard *shard)
{
    return atomic_load_explicit(&shard->first, memory_order_relaxed);
}

static void set_first(struct shard *shard, struct descriptor *pool)
{
    atomic_store_explicit(&shard->first, pool, memory_order_relaxed);
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
        release(pool);
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
        release(pool);
}

/* The next empty pool of a shard, taken out of it. */
static struct descriptor *take_empty(struct shard *shard, unsigned class_idx)
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
        while ((pool = take_empty(&shards[c], c)) != NULL)
            release(pool);
    }
}

void arn__shards_after_fork(bool empty)
{
    for (unsigned i = 0; i < CLASSES; i++) {
        arn__lock_reset(&shards[i].lock);
        if (empty)
            set_first(&shards[i], NULL);
    }
}
