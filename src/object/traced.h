/* traced.h - where objects were made, while that is traced: what is in src/trace, told of objects. */
#ifndef ARENITE_OBJECT_TRACED_H
#define ARENITE_OBJECT_TRACED_H

#include "alloc.h"
#include "domain.h"

/* A new object, which nobody else has yet. */
void arn__object_trace(void *object, const struct traceback *traceback);

/* An object with OBJECT_TRACED that is being released: before anybody else can have its slot. */
void arn__object_untrace(const void *object);

/* Whatever is in the domain. */
void arn__domain_untrace(struct arn_domain *domain);

#endif
