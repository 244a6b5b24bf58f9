/* domain.c - the bins of a domain, by type. */
#include "domain.h"

#include <string.h>

#include "face.h"

enum { SHELVES_AT_ONCE = 64 };

struct arn_domain arn__no_domain;

__thread struct arn_domain *arn__domain __attribute__((tls_model("initial-exec"))) =
    &arn__no_domain;

static bool make_shelves(struct arn_domain *domain, uint32_t number)
{
    uint32_t count = (number / SHELVES_AT_ONCE + 1) * SHELVES_AT_ONCE;
    union shelf *shelves = arn_reallocarray(domain->shelves, count, sizeof *shelves);
    if (shelves == NULL)
        return false;
    memset(shelves + domain->shelf_count, 0, (count - domain->shelf_count) * sizeof *shelves);
    domain->shelves = shelves;
    domain->shelf_count = count;
    return true;
}

static struct bin **bin_place(struct arn_domain *domain, struct arn_type *type, size_t bytes)
{
    if (type->number >= domain->shelf_count && !make_shelves(domain, type->number))
        return NULL;
    union shelf *shelf = &domain->shelves[type->number];
    if (!arn__type_is_array(type))
        return &shelf->bin;
    if (shelf->by_class == NULL)
        shelf->by_class = arn__take_zeroed(BINS_OF_ARRAY, sizeof *shelf->by_class);
    if (shelf->by_class == NULL)
        return NULL;
    /* As arn__bin_shape has it: NO_CLASS is the large one's. */
    struct bin shape;
    arn__bin_shape(&shape, type, bytes);
    return &shelf->by_class[shape.is_large ? LARGE_BIN : shape.class_idx];
}

struct bin *arn__domain_bin(struct arn_domain *domain, struct arn_type *type, size_t bytes)
{
    struct bin **place = bin_place(domain, type, bytes);
    if (place == NULL || *place != NULL)
        return place == NULL ? NULL : *place;
    struct bin *bin = arn__take_zeroed(1, sizeof *bin);
    if (bin == NULL)
        return NULL;
    arn__bin_shape(bin, type, bytes);
    bin->domain = domain;
    bin->roster = &domain->roster;
    bin->current = &arn__no_typed_pool;
    bin->next = domain->bins;
    domain->bins = bin;
    return *place = bin;
}

void arn__domain_end_bins(struct arn_domain *domain)
{
    for (uint32_t i = 0; i < domain->shelf_count; i++) {
        struct arn_type *type = arn__type(i);
        if (type != NULL && arn__type_is_array(type))
            arn_free(domain->shelves[i].by_class);
    }
    while (domain->bins != NULL) {
        struct bin *bin = domain->bins;
        domain->bins = bin->next;
        arn_free(bin);
    }
    arn_free(domain->shelves);
}
