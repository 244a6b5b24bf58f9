/* builtin.h - functions that the language has from the start. */
#ifndef INTERPRETER_BUILTIN_H
#define INTERPRETER_BUILTIN_H

#include "eval.h"

struct builtin {
    const char *name;
    int arguments; /* -1: any number */
    void *(*call)(struct interpreter *in, void *const *arguments,
                  size_t count); /* a new reference; NULL: failed */
};

/* NULL: there is none. */
const struct builtin *builtin_find(const struct str *name);

#endif
