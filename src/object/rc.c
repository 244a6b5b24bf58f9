/* rc.c - counting up and down, sharing, releasing. */
#include "rc.h"

#include <string.h>
#include <sys/single_threaded.h>

#include "diag.h"
#include "weak.h"

_Static_assert((uint32_t)ARN__CALM == OBJECT_CALM, "object.h: ARN__CALM");

/* ---- misuse ---- */

static const char no_object[] = "not an object";
static const char gone[] = "released already";

bool arn__rc_is_object(const struct descriptor *pool, const void *object, const char *function)
{
    if (!arn__holds_objects(pool) || !arn__slot_starts(pool, object)) {
        arn__misuse(function, object, no_object);
        return false;
    }
    if (arn__header(object)->kind & OBJECT_DEAD) {
        arn__misuse_of(function, object, gone, pool->bin->type_name);
        return false;
    }
    return true;
}

/* ---- the list of the dead ---- */

enum { ADDRESS_UNIT_SHIFT = 3, LOW_BITS = 31, KIND_LINK_BITS = ARN__TYPE_BITS };
_Static_assert(ARN__ADDRESS_BITS - ADDRESS_UNIT_SHIFT <= LOW_BITS + KIND_LINK_BITS, "a link fits");

static void link_dead(struct arn__header *header, const void *next)
{
    uint64_t unit = (uintptr_t)next >> ADDRESS_UNIT_SHIFT;
    uint32_t kind =
        (header->kind & ~(uint32_t)(TYPES_MOST - 1)) | OBJECT_DEAD | (uint32_t)(unit >> LOW_BITS);
    __atomic_store_n(&header->kind, kind, __ATOMIC_RELAXED);
    /* release: pairs with the acquire in arn_try_incref; who sees a link knows that it is dead. */
    __atomic_store_n(&header->count, (int32_t)(0x80000000u | (unit & 0x7fffffffu)),
                     __ATOMIC_RELEASE);
}

static void *dead_link(const struct arn__header *header)
{
    uint64_t unit = ((uint32_t)header->count & 0x7fffffffu) |
                    (uint64_t)arn__type_number(header->kind) << LOW_BITS;
    return (void *)(uintptr_t)(unit << ADDRESS_UNIT_SHIFT);
}

/* ---- releasing ---- */

void arn__rc_free(struct descriptor *pool, char *object)
{
    struct collector *collector = &pool->bin->domain->collector;
    if (!(arn__header(object)->kind & OBJECT_UNTRACKED) && collector->counts[0] > 0)
        collector->counts[0]--;
    if (pool->bin->type->info.shape != ARN_LEAF)
        pool->bin->domain->objects--;
    arn__slot_put(pool, object);
}

void arn__rc_finalize(struct arn_type *type, void *object)
{
    struct arn__header *header = arn__header(object);
    if (type->info.finalize == NULL || (header->kind & OBJECT_FINALIZED))
        return;
    header->kind |= OBJECT_FINALIZED;
    type->info.finalize(object);
}

static void drop(void *referent, void *context)
{
    (void)context;
    arn_decref(referent);
}

/* One dead object: weak references, finalizer, references, memory. */
static void release_one(struct arn_domain *domain, char *object)
{
    struct descriptor *pool = arn__typed_pool(object);
    struct arn_type *type = pool->bin->type;
    struct arn__header *header = arn__header(object);
    uint32_t kind = (header->kind & ~(OBJECT_DEAD | (TYPES_MOST - 1))) | type->number;
    /* In this order for arn_try_incref: what is not dead has a count that is no link. Releases: pair with
     * the acquires there. */
    __atomic_store_n(&header->count, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&header->kind, kind, __ATOMIC_RELEASE);
    /* What is called from here on may take references, and give them back. */
    __atomic_store_n(&header->count, kind & OBJECT_SHARED ? -1 : 1, __ATOMIC_RELEASE);
    if (header->kind & OBJECT_WEAK)
        arn__weak_clear(domain, object);
    arn__rc_finalize(type, object);
    if (arn_refcount(object) != 1) { /* it lives again */
        arn_decref(object);
        return;
    }
    if (header->kind & OBJECT_WEAK) /* the finalizer made some */
        arn__weak_clear(domain, object);
    header->count = 0;
    header->kind |= OBJECT_DEAD;
    if (type->info.shape == ARN_CUSTOM)
        type->info.clear(object);
    else
        arn__traverse(type, object, drop, NULL);
    header->kind &= ~OBJECT_DEAD;
    arn__rc_free(pool, object);
}

static void release_dead(struct arn_domain *domain)
{
    if (domain->releasing)
        return;
    domain->releasing = true;
    while (domain->dead != NULL) {
        char *object = domain->dead;
        domain->dead = dead_link(arn__header(object));
        release_one(domain, object);
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

void arn__rc_release(struct arn_domain *domain, void *object)
{
    link_dead(arn__header(object), domain->dead);
    domain->dead = object;
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
        char *next = dead_link(arn__header(object));
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

/* ---- counting ---- */

static _Atomic int32_t *shared_count(void *object)
{
    return (_Atomic int32_t *)&arn__header(object)->count;
}

static void incref_shared(void *object)
{
    _Atomic int32_t *count = shared_count(object);
    if (__libc_single_threaded)
        atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) - 1,
                              memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

/* The last reference is gone. */
static bool decref_shared(void *object)
{
    _Atomic int32_t *count = shared_count(object);
    if (__libc_single_threaded) {
        int32_t left = atomic_load_explicit(count, memory_order_relaxed) + 1;
        atomic_store_explicit(count, left, memory_order_relaxed);
        return left == 0;
    }
    /* acq_rel: what this thread did to the object comes before its release, by whoever. */
    return atomic_fetch_add_explicit(count, 1, memory_order_acq_rel) == -1;
}

void arn__incref_slow(void *object)
{
    struct arn__header *header = arn__header(object);
    if (header->kind & OBJECT_DEAD || header->count == 0 ||
        !(header->kind & OBJECT_SHARED || arn__is_immortal(header->count)))
        arn__rc_is_object(arn__typed_pool(object), object, "arn_incref");
    else if (!arn__is_immortal(header->count))
        incref_shared(object);
}

/* The collector is to look at it: it may be all that is left of a cycle's outside references. */
static void suspect(void *object, const char *function)
{
    struct arn__header *header = arn__header(object);
    struct descriptor *pool = arn__typed_pool(object);
    if (!arn__rc_is_object(pool, object, function))
        return;
    header->kind &= ~OBJECT_CALM;
    arn__domain_note(pool->bin->domain, pool, EVENT_SUSPECT);
}

void arn__decref_slow(void *object)
{
    struct arn__header *header = arn__header(object);
    if (header->count > 1) { /* it was calm */
        header->count--;
        suspect(object, "arn_decref");
        return;
    }
    if (header->kind & OBJECT_DEAD) {
        arn__rc_is_object(arn__typed_pool(object), object, "arn_decref");
        return;
    }
    if (arn__is_immortal(header->count))
        return;
    struct descriptor *pool = arn__typed_pool(object);
    if (!arn__rc_is_object(pool, object, "arn_decref"))
        return;
    struct arn_domain *domain = pool->bin->domain;
    if (domain->ending)
        return;
    if (header->count < 0) {
        if (!decref_shared(object))
            return;
        if (domain != arn__domain) {
            release_remote(domain, object);
            return;
        }
    }
    arn__rc_release(domain, object);
}

size_t arn_refcount(const void *object)
{
    int32_t count = __atomic_load_n(&arn__header(object)->count, __ATOMIC_RELAXED);
    if (arn__is_immortal(count))
        return ARN_IMMORTAL;
    return count < 0 ? (size_t) - (int64_t)count : (size_t)count;
}

bool arn_try_incref(void *object)
{
    struct arn__header *header = arn__header(object);
    uint32_t kind = __atomic_load_n(&header->kind, __ATOMIC_RELAXED);
    int32_t count = __atomic_load_n(&header->count, __ATOMIC_ACQUIRE);
    if (!(kind & OBJECT_SHARED)) {
        if (count == 0 || (kind & OBJECT_DEAD))
            return false;
        arn_incref(object);
        return true;
    }
    while (count < 0 && !(__atomic_load_n(&header->kind, __ATOMIC_ACQUIRE) & OBJECT_DEAD)) {
        int32_t more = arn__is_immortal(count) ? count : count - 1;
        /* Also of an immortal one: what was loaded may have been a link of the dead since undone. */
        if (atomic_compare_exchange_weak_explicit(shared_count(object), &count, more,
                                                  memory_order_acquire, memory_order_acquire))
            return true;
    }
    return false;
}

void arn_immortalize(void *object)
{
    if (arn__rc_is_object(arn__typed_pool(object), object, "arn_immortalize"))
        __atomic_store_n(&arn__header(object)->count, COUNT_FAR_IMMORTAL, __ATOMIC_RELAXED);
}

void arn_share(void *object)
{
    struct arn__header *header = arn__header(object);
    if (!arn__rc_is_object(arn__typed_pool(object), object, "arn_share") || header->count < 0)
        return;
    header->kind = (header->kind | OBJECT_SHARED) & ~OBJECT_CALM;
    header->count = -header->count;
}

/* It changes hands: a cycle may be closed by that without any decrement. */
void arn_move(void *reference, void *object)
{
    void *before;
    memcpy(&before, reference, sizeof before);
    memcpy(reference, &object, sizeof object);
    if (object != NULL && (arn__header(object)->kind & OBJECT_CALM))
        suspect(object, "arn_move");
    arn_xdecref(before);
}

/* The same as functions, for languages that cannot inline C. */
