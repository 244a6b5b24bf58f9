/* tenancy.h - which domain a thread has: birth, binding, end. */
#ifndef ARENITE_OBJECT_TENANCY_H
#define ARENITE_OBJECT_TENANCY_H

#include "domain.h"

/* The calling thread's, made if need be; NULL: no memory. */
struct arn_domain *arn__domain_here(void);

#endif
