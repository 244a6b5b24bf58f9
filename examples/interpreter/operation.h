/* operation.h - what operators make of values. */
#ifndef INTERPRETER_OPERATION_H
#define INTERPRETER_OPERATION_H

#include "eval.h"

/* Each gives a new reference, or NULL: failed. */
void *operation_binary(struct interpreter *in, enum node_kind kind, void *left, void *right);
void *operation_index(struct interpreter *in, void *container, void *idx);

/* False: failed. */
bool operation_set_index(struct interpreter *in, void *container, void *idx, void *value);

#endif
