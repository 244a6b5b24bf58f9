/* look.c - who refers to what, how many there are, and whether the counts are true. */
#include <errno.h>

#include "count.h"
#include "pass.h"

/* ---- every object ---- */

struct telling {
    arn_visit *visit;
    void *context;
};

static void tell(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)pool, (void)slot;
    const struct telling *telling = context;
    telling->visit(object, telling->context);
}

void arn_foreach_object(arn_visit *visit, void *context)
{
    struct telling telling = {visit, context};
    arn__domain_each(arn__domain, tell, &telling);
}

/* ---- referents and referrers ---- */

struct list {
    void **found;
    size_t most;
    size_t count;
};

static void add(void *object, void *context)
{
    struct list *list = context;
    if (object == NULL) /* from a traverse function */
        return;
    if (list->count < list->most)
        list->found[list->count] = object;
    list->count++;
}

size_t arn_get_referents(void *object, void **found, size_t most)
{
    struct list list = {found, most, 0};
    struct descriptor *pool = arn__typed_pool(object);
    if (arn__is_object(pool, object, "arn_get_referents"))
        arn__traverse(pool->bin->type, object, add, &list);
    return list.count;
}

struct search {
    const void *wanted;
    bool refers;
    struct list list;
};

static void compare(void *referent, void *context)
{
    struct search *search = context;
    search->refers |= referent == search->wanted;
}

static void look_for(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)slot;
    struct search *search = context;
    if (!arn_is_tracked(object))
        return;
    search->refers = false;
    arn__traverse(pool->bin->type, object, compare, search);
    if (search->refers)
        add(object, &search->list);
}

size_t arn_get_referrers(const void *object, void **found, size_t most)
{
    struct search search = {.wanted = object, .list = {found, most, 0}};
    arn__domain_each(arn__domain, look_for, &search);
    return search.list.count;
}

/* ---- by type ---- */

/* Into its place among the largest. */
static void rank(const struct arn_type_count *count, struct arn_type_count *counts, size_t used,
                 size_t most)
{
    size_t i = used < most ? used : most;
    for (; i > 0 && counts[i - 1].bytes < count->bytes; i--) {
        if (i < most)
            counts[i] = counts[i - 1];
    }
    if (i < most)
        counts[i] = *count;
}

static void add_bin(struct arn_type_count *count, const struct bin *bin)
{
    if (bin != NULL) {
        count->objects += bin->objects;
        count->bytes += bin->object_bytes;
    }
}

size_t arn_type_histogram(struct arn_type_count *counts, size_t most)
{
    struct arn_domain *domain = arn__domain;
    size_t used = 0;
    for (struct bin *bin = domain->bins; bin != NULL; bin = bin->next)
        bin->objects = bin->object_bytes = 0;
    for (uint32_t i = 0; i < domain->roster.pool_count; i++) {
        const struct descriptor *pool = arn__descriptor(domain->roster.pools[i]);
        struct bin *bin = pool->bin;
        bin->objects += pool->live;
        bin->object_bytes += pool->live * (bin->is_large ? pool->block_bytes : bin->slot_bytes);
    }
    for (uint32_t number = 1; number < domain->shelf_count; number++) {
        struct arn_type_count count = {.type = arn__type(number)};
        const union shelf *shelf = &domain->shelves[number];
        if (shelf->bin == NULL)
            continue;
        if (!arn__type_is_array(count.type))
            add_bin(&count, shelf->bin);
        for (unsigned i = 0; i < BINS_OF_ARRAY && arn__type_is_array(count.type); i++)
            add_bin(&count, shelf->by_class[i]);
        if (count.objects > 0)
            rank(&count, counts, used++, most);
    }
    return used;
}

/* ---- whether the counts are true ---- */

static void note_reference(void *referent, void *context)
{
    struct pass *pass = context;
    uint32_t index = arn__pass_index(pass, referent);
    if (index == 0)
        return;
    if (pass->entries[index] == 0 && (arn__kind_of(arn__header(referent)) & OBJECT_DEAD))
        arn__pass_enter(pass, index, 1); /* it is gone, and its count 0 */
    if (pass->entries[index] != 0)
        pass->entries[index]++;
}

static void enter(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    struct pass *pass = context;
    const struct arn__header *header = arn__header(object);
    if (!(arn__kind_of(header) & OBJECT_SHARED) && !arn__is_immortal(arn__count_of(header)))
        arn__pass_enter(pass, pool->pass_idx << SLOT_BITS | slot, 1);
}

static void note_references(struct descriptor *pool, uint32_t slot, char *object, void *context)
{
    (void)slot;
    arn__traverse(pool->bin->type, object, note_reference, context);
}

long arn_verify(void *const *held, size_t count,
                void (*report)(void *object, long extra, void *context), void *context)
{
    struct arn_domain *domain = arn__domain;
    struct pass pass;
    long wrong = 0;
    if (domain->collector.running)
        return 0;
    if (!arn__pass_begin(&pass, domain, domain->roster.pool_count, "arn_verify")) {
        errno = ENOMEM;
        return -1;
    }
    for (uint32_t i = 0; i < domain->roster.pool_count; i++)
        arn__pass_join(&pass, arn__descriptor(domain->roster.pools[i]), domain->roster.pools[i]);
    arn__domain_each(domain, enter, &pass);
    arn__domain_each(domain, note_references, &pass);
    for (size_t i = 0; i < count; i++) {
        if (held[i] != NULL)
            note_reference(held[i], &pass);
    }
    for (uint32_t i = 1; i <= pass.pools; i++) {
        struct descriptor *pool = arn__descriptor(pass.bases[i]);
        for (uint32_t slot = 0; slot < pool->carved; slot++) {
            uint32_t entry = pass.entries[i << SLOT_BITS | slot];
            char *object = arn__slot(pool->bin, pass.bases[i], slot);
            long extra = entry == 0 ? 0
                                    : (long)arn__references(arn__count_of(arn__header(object))) -
                                          ((long)entry - 1);
            if (extra == 0)
                continue;
            wrong++;
            if (report != NULL)
                report(object, extra, context);
        }
    }
    arn__pass_end(&pass);
    return wrong;
}
