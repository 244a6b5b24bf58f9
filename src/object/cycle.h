/* cycle.h - one collection: finds what only refers to itself, and releases it. */
#ifndef ARENITE_OBJECT_CYCLE_H
#define ARENITE_OBJECT_CYCLE_H

#include "domain.h"

/* Of the generations up to this; or, for the oldest, of what may have lost a reference since it was last
 * looked at (`suspects`), and what that leads to. Returns how many objects were released or saved; -1 with
 * ENOMEM: no memory, and nothing is done. No collection may run. */
long arn__cycle_collect(struct arn_domain *domain, unsigned oldest, bool suspects);

/* The young ones are old from here on, and suspects. */
void arn__cycle_pass_over_young(struct arn_domain *domain);

#endif
