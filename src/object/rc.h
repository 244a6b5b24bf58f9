/* rc.h - what happens when a count reaches 0.
 *
 * A dead object waits in its domain's list, linked through its own header, until the one loop that
 * releases gets to it: what it referred to joins the list in turn. So a chain of any length takes no stack
 * and no memory. The header of a dead object:
 *
 *     bits  0..30  the link's low bits (its address / 8)
 *     bit      31  1: the count is below 0, and no inline path goes on
 *     bits 32..51  the link's other bits
 *     bits 52..63  flags, OBJECT_DEAD among them
 *
 * and of a free slot OBJECT_DEAD alone.
 */
#ifndef ARENITE_OBJECT_RC_H
#define ARENITE_OBJECT_RC_H

#include "domain.h"

/* From here on what dies waits, until the second, which is given what the first said. */
bool arn__rc_hold_back(struct arn_domain *domain);
void arn__rc_go_on(struct arn_domain *domain, bool before);

/* Takes its memory back, whatever refers to it; what it refers to is not its any more. */
static inline void arn__rc_free(struct descriptor *pool, char *object)
{
    struct arn_domain *domain = pool->bin->domain;
    if (!(arn__header(object)->kind & OBJECT_UNTRACKED) && domain->collector.counts[0] > 0)
        domain->collector.counts[0]--;
    domain->objects -= pool->bin->type->info.shape != ARN_LEAF;
    arn__slot_put(pool, object);
}

/* Calls the finalizer if there is one and it has not been called. The caller holds a reference. */
void arn__rc_finalize(struct arn_type *type, void *object);

/* Releases the shared objects of this domain that other threads have given up. */
void arn__rc_drain_remote(struct arn_domain *domain);

/* The calling thread has the domain no more; what others gave up meanwhile is released. */
void arn__rc_leave(struct arn_domain *domain);

#endif
