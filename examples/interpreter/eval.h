/* eval.h - runs a tree. */
#ifndef INTERPRETER_EVAL_H
#define INTERPRETER_EVAL_H

#include "failure.h"
#include "parser.h"
#include "value.h"

struct interpreter {
    struct scope *globals;
    void *none;            /* the only one */
    void *result;          /* what a function is returning */
    size_t objects_before; /* that are not the script's */
    int line;              /* of the statement that is being run */
    int depth;             /* of calls, expressions and statements within each other */
    struct failure failure;
};

/* False: no memory. */
bool interpreter_begin(struct interpreter *in);

/* False: `failure` says why. */
bool interpreter_run(struct interpreter *in, struct node *tree);

/* Gives up all that it has, and collects the cycles of the script. */
void interpreter_end(struct interpreter *in);

/* Objects that there are, of whatever type. */
size_t objects_alive(void);

/* ---- for those who evaluate ---- */

/* Something went wrong, in the line that is being run. NULL, for the caller to return. */
void *failed(struct interpreter *in, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* That there is no memory. False, for the caller to return. */
bool no_memory(struct interpreter *in);

/* The value, or that failure. */
void *or_no_memory(struct interpreter *in, void *value);

/* The value, with one reference more. */
void *counted(void *value);

#endif
