/* inlined.c - object.h's inline functions as functions, for those who cannot inline C. */
#include <arenite/arenite.h>

ARN_PUBLIC void arn_incref(void *object);
ARN_PUBLIC void arn_decref(void *object);
ARN_PUBLIC void arn_xincref(void *object);
ARN_PUBLIC void arn_xdecref(void *object);
ARN_PUBLIC void arn_clear(void *reference);
ARN_PUBLIC void arn_set(void *reference, void *object);
ARN_PUBLIC void arn_safepoint(void);

#define ARN__HOT ARN_PUBLIC
#include <arenite/object.h>
