/* rc.c - counting down, and releasing. */
#include "rc.h"

#include <string.h>
#include <sys/single_threaded.h>

#include "count.h"
#include "traced.h"
#include "weak.h"

/* ---- the list of the dead ---- */

enum { ADDRESS_UNIT_SHIFT = 3, LOW_BITS = 31, KIND_LINK_BITS = ARN__TYPE_BITS };
_Static_assert(ARN__ADDRESS_BITS - ADDRESS_UNIT_SHIFT <= LOW_BITS + KIND_LINK_BITS, "a link fits");

/* acquire: pairs with the release in arn_weak_release, of other threads. */
static uint32_t kind_of_dead(const struct arn__header *header)
{
    return __atomic_load_n(&header->kind, __ATOMIC_ACQUIRE);
}

/* Returns what the header's kind is then. */
static uint32_t link_dead(struct arn__header *header, const void *next)
{
    uint64_t unit = (uintptr_t)next >> ADDRESS_UNIT_SHIFT;
    uint32_t kind = (kind_of_dead(header) & ~(uint32_t)(TYPES_MOST - 1)) | OBJECT_DEAD |
                    (uint32_t)(unit >> LOW_BITS);
    __atomic_store_n(&header->kind, kind, __ATOMIC_RELAXED);
    /* release: pairs with the acquire in arn_try_incref; who sees a link knows that it is dead. */
    __atomic_store_n(&header->count, (int32_t)(0x80000000u | (unit & 0x7fffffffu)),
                     __ATOMIC_RELEASE);
    return kind;
}

static void *dead_link(const struct arn__header *header, uint32_t kind)
{
    uint64_t unit = ((uint32_t)arn__count_of(header) & 0x7fffffffu) |
                    (uint64_t)arn__type_number(kind) << LOW_BITS;
    return (void *)(uintptr_t)(unit << ADDRESS_UNIT_SHIFT);
}

/* ---- releasing ---- */

void arn__rc_finalize(struct arn_type *type, void *object)
{
    struct arn__header *header = arn__header(object);
    if (type->info.finalize == NULL || (arn__kind_of(header) & OBJECT_FINALIZED))
        return;
    arn__change_kind(header, 0, OBJECT_FINALIZED);
    type->info.finalize(object);
}

static inline void drop(void *referent, void *context)
{
    (void)context;
    arn_decref(referent);
}

/* Weak references and the finalizer of a dead object, which is whole while they are called, and its trace.
 * False: it lives again. */
static __attribute__((noinline)) bool say_farewell(struct arn_domain *domain, struct arn_type *type,
                                                   char *object)
{
    struct arn__header *header = arn__header(object);
    uint32_t kind = (arn__kind_of(header) & ~(OBJECT_DEAD | (TYPES_MOST - 1))) | type->number;
    /* In this order for arn_try_incref: what is not dead has a count that is no link. Releases: pair with
     * the acquires there. */
    __atomic_store_n(&header->count, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&header->kind, kind, __ATOMIC_RELEASE);
    /* What is called from here on may take references, and give them back. */
    __atomic_store_n(&header->count, kind & OBJECT_SHARED ? -1 : 1, __ATOMIC_RELEASE);
    if (kind & OBJECT_WEAK)
        arn__weak_clear(domain, object);
    arn__rc_finalize(type, object);
    /* acquire: what others did with it before they gave it up. */
    int32_t count = __atomic_load_n(&header->count, __ATOMIC_ACQUIRE);
    if (count != 1 && count != -1) { /* it lives again */
        arn_decref(object);
        return false;
    }
    if (arn__kind_of(header) & OBJECT_WEAK) /* the finalizer made some */
        arn__weak_clear(domain, object);
    if (arn__kind_of(header) & OBJECT_TRACED)
        arn__object_untrace(object);
    __atomic_store_n(&header->kind, arn__kind_of(header) | OBJECT_DEAD, __ATOMIC_RELAXED);
    __atomic_store_n(&header->count, 0, __ATOMIC_RELEASE);
    return true;
}

/* A dead object: what it refers to loses a reference, its memory is taken back. */
static inline void release_one(struct arn_domain *domain, struct descriptor *pool, char *object,
                               uint32_t kind)
{
    struct arn_type *type = pool->bin->type;
    if (__builtin_expect((kind & (OBJECT_WEAK | OBJECT_TRACED)) || type->info.finalize != NULL,
                         0) &&
        !say_farewell(domain, type, object))
        return;
    if (type->info.shape == ARN_CUSTOM)
        type->info.clear(object);
    else
        arn__traverse(type, object, drop, NULL);
    arn__rc_free(pool, object);
}

static void release_dead(struct arn_domain *domain)
{
    if (domain->releasing)
        return;
    domain->releasing = true;
    while (domain->dead != NULL) {
        char *object = domain->dead;
        uint32_t kind = kind_of_dead(arn__header(object));
        domain->dead = dead_link(arn__header(object), kind);
        release_one(domain, arn__typed_pool(object), object, kind);
    }
    domain->releasing = false;
}

bool arn__rc_hold_back(struct arn_domain *domain)
{
    bool before = domain->releasing;
    domain->releasing = true;
    return before;
}

void arn__rc_go_on(struct arn_domain *domain, bool before)
{
    domain->releasing = before;
    release_dead(domain);
}

/* Nobody refers to it any more: now, or by whoever is releasing in this domain already. */
static inline void release(struct arn_domain *domain, struct descriptor *pool, char *object)
{
    if (domain->ending)
        return; /* its turn comes, or has come */
    if (domain->releasing) {
        link_dead(arn__header(object), domain->dead);
        domain->dead = object;
        return;
    }
    uint32_t kind = link_dead(arn__header(object), NULL);
    domain->releasing = true;
    release_one(domain, pool, object, kind);
    domain->releasing = false;
    if (domain->dead != NULL)
        release_dead(domain);
}

/* ---- shared objects that die in another thread ---- */

void arn__rc_drain_remote(struct arn_domain *domain)
{
    if (atomic_load_explicit(&domain->remote_dead, memory_order_relaxed) == NULL)
        return;
    /* acquire: pairs with the release of release_remote. */
    char *object = atomic_exchange_explicit(&domain->remote_dead, NULL, memory_order_acquire);
    while (object != NULL) {
        char *next = dead_link(arn__header(object), arn__kind_of(arn__header(object)));
        link_dead(arn__header(object), domain->dead);
        domain->dead = object;
        object = next;
    }
    release_dead(domain);
}

void arn__rc_leave(struct arn_domain *domain)
{
    /* seq_cst, as in release_remote: one of the two sees what the other did. */
    atomic_fetch_sub(&domain->bound, 1);
    unsigned nobody = 0;
    while (atomic_load(&domain->remote_dead) != NULL &&
           atomic_compare_exchange_strong(&domain->bound, &nobody, 1)) {
        arn__rc_drain_remote(domain);
        atomic_fetch_sub(&domain->bound, 1);
        nobody = 0;
    }
}

/* For the domain's thread to release; if it is nobody's now, at once. */
static void release_remote(struct arn_domain *domain, void *object)
{
    void *first = atomic_load_explicit(&domain->remote_dead, memory_order_relaxed);
    do {
        link_dead(arn__header(object), first);
    } while (!atomic_compare_exchange_weak(&domain->remote_dead, &first, object));
    unsigned nobody = 0;
    if (atomic_compare_exchange_strong(&domain->bound, &nobody, 1))
        arn__rc_leave(domain);
}

/* ---- counting down ---- */

/* The last reference is gone. */
static bool decref_shared(void *object)
{
    _Atomic int32_t *count = arn__shared_count(object);
    if (__libc_single_threaded) {
        int32_t left = atomic_load_explicit(count, memory_order_relaxed) + 1;
        atomic_store_explicit(count, left, memory_order_relaxed);
        return left == 0;
    }
    /* acq_rel: what this thread did to the object comes before its release, by whoever. */
    return atomic_fetch_add_explicit(count, 1, memory_order_acq_rel) == -1;
}

/* Calm, immortal, shared, or no object at all. */
static __attribute__((noinline)) void decref_rare(struct descriptor *pool, void *object)
{
    struct arn__header *header = arn__header(object);
    if (arn__is_calm(header)) {
        if (arn__suspect(pool, object, "arn_decref"))
            arn_decref(object);
        return;
    }
    if (arn__is_immortal_object(header) || !arn__is_counted(pool, object, "arn_decref"))
        return;
    struct arn_domain *domain = pool->bin->domain;
    if (domain->ending || !decref_shared(object))
        return;
    if (domain == arn__domain)
        release(domain, pool, object);
    else
        release_remote(domain, object);
}

void arn_decref_slow(void *object)
{
    struct descriptor *pool = arn__typed_pool(object);
    if (__builtin_expect(arn__count_of(arn__header(object)) != 1, 0))
        decref_rare(pool, object);
    else if (__builtin_expect(arn__is_object(pool, object, "arn_decref"), 1))
        release(pool->bin->domain, pool, object);
}

/* It changes hands: a cycle may be closed by that without any decrement. */
void arn_move(void *reference, void *object)
{
    void *before;
    memcpy(&before, reference, sizeof before);
    memcpy(reference, &object, sizeof object);
    if (object != NULL && arn__is_calm(arn__header(object)))
        arn__suspect(arn__typed_pool(object), object, "arn_move");
    arn_xdecref(before);
}
