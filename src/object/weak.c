/* weak.c - weak references and the map keyed by them.
 *
 * One lock for all tables, held for a few steps and never while something is called: weak references to shared
 * objects may be asked by any thread.
 */
#include "weak.h"

#include <errno.h>
#include <string.h>

#include "face.h"
#include "lock.h"

enum { FIRST_ROOM = 16 };

struct arn_weak {
    void *object; /* NULL: it is gone */
    struct arn_domain *domain;
    struct arn_weak *next; /* of the same object; then of those to be called back */
    void (*callback)(arn_weak *weak, void *context);
    void *context;
    bool calling;  /* or about to be called */
    bool released; /* by the program, while calling */
};

static struct lock weak_lock;

void arn__weak_after_fork(void)
{
    arn__lock_reset(&weak_lock);
}

/* ---- the table: the first weak reference of each object ---- */

/* After Knuth's multiplicative hashing (The Art of Computer Programming 3, 6.4). */
static size_t place_of(const void *object, size_t room)
{
    return (size_t)(((uintptr_t)object >> 3) * 0x9e3779b97f4a7c15u >> 20) & (room - 1);
}

static struct arn_weak **find(const struct weak_table *table, const void *object)
{
    size_t i = place_of(object, table->room);
    while (table->slots[i] != NULL && table->slots[i]->object != object)
        i = (i + 1) & (table->room - 1);
    return &table->slots[i];
}

/* To be `room` long at least twice as many as are used. False: no memory. */
static bool grow(struct weak_table *table)
{
    struct weak_table larger = {.room = table->room == 0 ? FIRST_ROOM : table->room * 2,
                                .used = table->used};
    larger.slots = arn__take_zeroed(larger.room, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < table->room; i++) {
        if (table->slots[i] != NULL)
            *find(&larger, table->slots[i]->object) = table->slots[i];
    }
    arn_free(table->slots);
    *table = larger;
    return true;
}

/* Closes the gap (Knuth, 6.4, algorithm R). */
static void take_out(struct weak_table *table, struct arn_weak **slot)
{
    size_t gap = (size_t)(slot - table->slots);
    size_t mask = table->room - 1;
    table->used--;
    for (size_t i = (gap + 1) & mask; table->slots[i] != NULL; i = (i + 1) & mask) {
        size_t home = place_of(table->slots[i]->object, table->room);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            table->slots[gap] = table->slots[i];
            gap = i;
        }
    }
    table->slots[gap] = NULL;
}

/* ---- references ---- */

arn_weak *arn_weak_new(void *object, void (*callback)(arn_weak *weak, void *context), void *context)
{
    struct descriptor *pool = arn__typed_pool(object);
    if (!arn__is_object(pool, object, "arn_weak_new"))
        return NULL;
    struct arn_weak *weak = arn__take_zeroed(1, sizeof *weak);
    if (weak == NULL)
        return NULL;
    struct arn_domain *domain = pool->bin->domain;
    weak->object = object;
    weak->domain = domain;
    weak->callback = callback;
    weak->context = context;
    arn__lock(&weak_lock, RANK_TYPES);
    bool has_room = domain->weak.used * 2 < domain->weak.room || grow(&domain->weak);
    if (has_room) {
        struct arn_weak **first = find(&domain->weak, object);
        domain->weak.used += *first == NULL;
        weak->next = *first;
        *first = weak;
        __atomic_fetch_or(&arn__header(object)->kind, OBJECT_WEAK, __ATOMIC_RELAXED);
    }
    arn__unlock(&weak_lock, RANK_TYPES);
    if (!has_room) {
        arn_free(weak);
        errno = ENOMEM;
        return NULL;
    }
    return weak;
}

void *arn_weak_get(arn_weak *weak)
{
    arn__lock(&weak_lock, RANK_TYPES);
    void *object = weak->object;
    if (object != NULL && !arn_try_incref(object))
        object = NULL;
    arn__unlock(&weak_lock, RANK_TYPES);
    return object;
}

void arn_weak_release(arn_weak *weak)
{
    if (weak == NULL)
        return;
    arn__lock(&weak_lock, RANK_TYPES);
    bool calling = weak->calling;
    if (calling) {
        weak->released = true;
    } else if (weak->object != NULL) {
        struct weak_table *table = &weak->domain->weak;
        struct arn_weak **first = find(table, weak->object);
        struct arn_weak **link = first;
        while (*link != weak)
            link = &(*link)->next;
        if (link == first && weak->next == NULL) {
            /* release: pairs with the acquire of who releases the object. */
            __atomic_fetch_and(&arn__header(weak->object)->kind, ~OBJECT_WEAK, __ATOMIC_RELEASE);
            take_out(table, first);
        } else {
            *link = weak->next;
        }
    }
    arn__unlock(&weak_lock, RANK_TYPES);
    if (!calling)
        arn_free(weak);
}

/* ---- clearing ---- */

void arn__weak_detach(struct arn_domain *domain, void *object, struct arn_weak **detached)
{
    arn__lock(&weak_lock, RANK_TYPES);
    __atomic_fetch_and(&arn__header(object)->kind, ~OBJECT_WEAK, __ATOMIC_RELAXED);
    struct arn_weak **first = find(&domain->weak, object);
    struct arn_weak *weak = *first;
    if (weak != NULL)
        take_out(&domain->weak, first);
    while (weak != NULL) {
        struct arn_weak *next = weak->next;
        weak->object = NULL;
        weak->next = NULL;
        if (weak->callback != NULL) {
            weak->calling = true;
            weak->next = *detached;
            *detached = weak;
        }
        weak = next;
    }
    arn__unlock(&weak_lock, RANK_TYPES);
}

void arn__weak_call_back(struct arn_weak *detached)
{
    while (detached != NULL) {
        struct arn_weak *weak = detached;
        detached = weak->next;
        arn__lock(&weak_lock, RANK_TYPES);
        bool released = weak->released;
        arn__unlock(&weak_lock, RANK_TYPES);
        if (!released)
            weak->callback(weak, weak->context);
        arn__lock(&weak_lock, RANK_TYPES);
        weak->calling = false;
        released = weak->released;
        arn__unlock(&weak_lock, RANK_TYPES);
        if (released)
            arn_free(weak);
    }
}

void arn__weak_clear(struct arn_domain *domain, void *object)
{
    struct arn_weak *detached = NULL;
    arn__weak_detach(domain, object, &detached);
    arn__weak_call_back(detached);
}

void arn__weak_forget_all(struct arn_domain *domain)
{
    arn__lock(&weak_lock, RANK_TYPES);
    struct weak_table table = domain->weak;
    domain->weak = (struct weak_table){.slots = NULL};
    for (size_t i = 0; i < table.room; i++) {
        for (struct arn_weak *weak = table.slots[i]; weak != NULL; weak = weak->next)
            weak->object = NULL;
    }
    arn__unlock(&weak_lock, RANK_TYPES);
    arn_free(table.slots);
}
