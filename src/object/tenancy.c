/* tenancy.c - domains: birth, binding, limits, end. */
#include "tenancy.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "face.h"
#include "lock.h"
#include "pass.h"
#include "rc.h"
#include "traced.h"
#include "weak.h"
#include "world.h"

enum {
    THRESHOLD_YOUNG = 2000,
    THRESHOLD_OTHERS = 10,
};

static struct lock domains_lock;
static struct arn_domain *idle_domains; /* threads' own, of threads that have ended */
static pthread_key_t exit_key;
static bool have_exit_key;

/* ---- birth ---- */

static struct arn_domain *create(void)
{
    struct arn_domain *domain = arn__take_zeroed(1, sizeof *domain);
    if (domain == NULL)
        return NULL;
    domain->collector.thresholds[0] = domain->collector.due = THRESHOLD_YOUNG;
    domain->collector.thresholds[1] = domain->collector.thresholds[2] = THRESHOLD_OTHERS;
    return domain;
}

static void put_idle(struct arn_domain *first, struct arn_domain *last)
{
    arn__lock(&domains_lock, RANK_DOMAINS);
    last->next_idle = idle_domains;
    idle_domains = first;
    arn__unlock(&domains_lock, RANK_DOMAINS);
}

/* The destructors of other keys may touch objects: an attached thread stays so in the first round of them. */
static bool waits_for_others(void *own)
{
    static __thread bool has_waited __attribute__((tls_model("initial-exec")));
    arn__world_end_blocking();
    if (has_waited)
        return false;
    has_waited = true;
    return pthread_setspecific(exit_key, own) == 0;
}

/* What was bound is left; the thread's own waits for another thread, once nothing is left in it. */
static void thread_exits(void *own)
{
    struct arn_domain *domain = own;
    if (arn__world_is_attached() && waits_for_others(own))
        return;
    arn_domain_bind(NULL);
    arn__domain = &arn__no_domain;
    arn__rc_drain_remote(domain);
    arn__typed_pools_drop_empty(&domain->roster);
    arn__rc_leave(domain);
    put_idle(domain, domain);
    arn__world_detach();
}

static void forked(void)
{
    arn__weak_after_fork();
    arn__world_after_fork();
    arn__types_after_fork();
    arn__lock_reset(&domains_lock);
}

static void make_exit_key(void)
{
    have_exit_key = pthread_key_create(&exit_key, thread_exits) == 0;
    pthread_atfork(NULL, NULL, forked);
}

static void prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_exit_key);
}

static bool is_empty(const struct arn_domain *domain)
{
    for (uint32_t i = 0; i < domain->roster.pool_count; i++) {
        if (arn__descriptor(domain->roster.pools[i])->live > 0)
            return false;
    }
    return true;
}

/* If nobody has it, it is this thread's to look at; with nothing in it, for good. */
static bool take_if_empty(struct arn_domain *domain)
{
    unsigned unbound = 0;
    /* acquire: what who had it before did to it. */
    if (!atomic_compare_exchange_strong_explicit(&domain->bound, &unbound, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        return false;
    if (is_empty(domain))
        return true;
    arn__rc_leave(domain);
    return false;
}

/* One that an ended thread left, with nothing in it: what else is somebody's who was given the objects. All
 * are taken off the list meanwhile, for finalizers may run. */
static struct arn_domain *take_idle(void)
{
    arn__lock(&domains_lock, RANK_DOMAINS);
    struct arn_domain *first = idle_domains;
    idle_domains = NULL;
    arn__unlock(&domains_lock, RANK_DOMAINS);
    struct arn_domain **link = &first;
    while (*link != NULL && !take_if_empty(*link))
        link = &(*link)->next_idle;
    struct arn_domain *domain = *link;
    if (domain != NULL)
        *link = domain->next_idle;
    struct arn_domain *last = first;
    while (last != NULL && last->next_idle != NULL)
        last = last->next_idle;
    if (last != NULL)
        put_idle(first, last);
    return domain;
}

/* The thread's own; NULL: it has none and can have none. */
static struct arn_domain *own(void)
{
    prepare();
    struct arn_domain *domain = have_exit_key ? pthread_getspecific(exit_key) : NULL;
    if (domain != NULL)
        return domain;
    /* What others gave up there is released meanwhile. */
    bool was_attached = arn__world_is_attached();
    arn__world_attach();
    domain = take_idle();
    if (!was_attached)
        arn__world_detach();
    if (domain == NULL && (domain = create()) != NULL) {
        domain->is_own = true;
        domain->bound = 1;
    }
    if (domain != NULL && have_exit_key && pthread_setspecific(exit_key, domain) != 0) {
        domain->bound = 0;
        put_idle(domain, domain);
        errno = ENOMEM;
        return NULL;
    }
    return domain;
}

struct arn_domain *arn__domain_here(void)
{
    if (arn__domain == &arn__no_domain) {
        struct arn_domain *domain = own();
        if (domain != NULL)
            arn__domain = domain;
        return domain;
    }
    return arn__domain;
}

arn_domain *arn_domain_create(void)
{
    return create();
}

arn_domain *arn_domain_bind(arn_domain *domain)
{
    struct arn_domain *before = arn__domain;
    if (domain != NULL) {
        /* acquire: what who had it before did to it. */
        atomic_fetch_add_explicit(&domain->bound, 1, memory_order_acquire);
        arn__domain = domain;
        arn__rc_drain_remote(domain);
    } else {
        /* Not own(): a thread that ends makes none. */
        struct arn_domain *mine = have_exit_key ? pthread_getspecific(exit_key) : NULL;
        arn__domain = mine != NULL ? mine : &arn__no_domain;
        if (mine != NULL)
            arn__rc_drain_remote(mine);
    }
    if (before->is_own || before == &arn__no_domain)
        return NULL;
    arn__rc_leave(before);
    return before;
}

/* ---- attached threads ---- */

/* It is detached when it gives up its own domain, as it ends. */
int arn_thread_attach(void)
{
    prepare(); /* a child forked from here on is mended */
    bool was_attached = arn__world_is_attached();
    arn__world_attach();
    if (own() != NULL && have_exit_key)
        return 0;
    if (!was_attached)
        arn__world_detach();
    errno = ENOMEM;
    return -1;
}

void arn_thread_detach(void)
{
    arn__world_detach();
}

/* ---- limits ---- */

void arn_domain_limit(arn_domain *domain, size_t bytes)
{
    if (domain == NULL)
        domain = arn__domain_here();
    if (domain != NULL)
        domain->roster.limit_bytes = bytes;
}

void arn_domain_stats(arn_domain *domain, struct arn_domain_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    if (domain == NULL)
        domain = arn__domain;
    for (uint32_t i = 0; i < domain->roster.pool_count; i++) {
        const struct descriptor *pool = arn__descriptor(domain->roster.pools[i]);
        stats->objects += pool->live;
        stats->object_bytes +=
            pool->live * (pool->bin->is_large ? pool->block_bytes : pool->bin->slot_bytes);
    }
    stats->held_bytes = domain->roster.held_bytes;
    stats->peak_bytes = domain->roster.peak_bytes;
    stats->limit_bytes = domain->roster.limit_bytes;
}

/* ---- the end ---- */

static void release_outside(void *referent, void *context)
{
    const struct arn_domain *domain = context;
    if (arn__typed_pool(referent)->bin->domain != domain)
        arn_decref(referent);
}

static void end_object(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)slot;
    struct arn_type *type = pool->bin->type;
    if (type->info.shape == ARN_CUSTOM)
        type->info.clear(object);
    else
        arn__traverse(type, object, release_outside, context);
}

void arn_domain_destroy(arn_domain *domain)
{
    if (arn__domain == domain)
        arn_domain_bind(NULL);
    arn__rc_drain_remote(domain);
    domain->ending = true;
    domain->collector.running = domain->roster.stays = true;
    arn__weak_forget_all(domain);
    for (uint32_t i = 0; i < domain->roster.pool_count; i++) {
        struct descriptor *pool = arn__descriptor(domain->roster.pools[i]);
        if (pool->bin->type->info.shape != ARN_LEAF)
            arn__objects_each(pool, domain->roster.pools[i], end_object, domain);
    }
    arn__domain_untrace(domain);
    while (domain->roster.pool_count > 0)
        arn__typed_pool_release(
            arn__descriptor(domain->roster.pools[domain->roster.pool_count - 1]));
    arn__domain_end_bins(domain);
    arn__pass_give_back(&domain->collector);
    arn__roster_end(&domain->roster);
    arn_free(domain->collector.watchers);
    arn_free(domain->collector.garbage);
    arn_free(domain);
}
