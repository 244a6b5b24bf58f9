/* collector.h - when collections take place. */
#ifndef ARENITE_OBJECT_COLLECTOR_H
#define ARENITE_OBJECT_COLLECTOR_H

#include "domain.h"

/* A tracked object is about to be made: collects if that is due. */
void arn__collector_due(struct arn_domain *domain);

/* Memory has run out: a full collection, unless collections are disabled. True: it released something. */
bool arn__collector_reclaim(struct arn_domain *domain);

#endif
