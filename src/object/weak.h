/* weak.h - weak references: in a table by their objects, one chain for each. */
#ifndef ARENITE_OBJECT_WEAK_H
#define ARENITE_OBJECT_WEAK_H

#include "domain.h"

/* Clears all weak references to an object that is being released, then calls them back. */
void arn__weak_clear(struct arn_domain *domain, void *object);

/* The same in two steps, for many objects: takes them all off, for arn__weak_call_back to tell. */
void arn__weak_detach(struct arn_domain *domain, void *object, struct arn_weak **detached);
void arn__weak_call_back(struct arn_weak *detached);

/* The domain ends: clears all there are; no callback. */
void arn__weak_forget_all(struct arn_domain *domain);

/* In a forked child: nobody looks at them any more. */
void arn__weak_after_fork(void);

#endif
