/* value.h - what variables hold: objects of arenite's, a type of objects for each of the language's.
 *
 * Who makes a value gets a reference to it, and gives it up by arn_decref; NULL: no memory. What is passed
 * to a function stays the caller's; a function that keeps it counts it.
 */
#ifndef INTERPRETER_VALUE_H
#define INTERPRETER_VALUE_H

#include <arenite/object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct node;

struct integer {
    int64_t number;
};

struct real {
    double number;
};

/* The text lies behind, and a 0. */
struct str {
    size_t length;
    char text[];
};

/* The storage of a list: `room` references, NULL from the list's `count` on. */
struct items {
    size_t room;
    void *at[];
};

/* Its storage is another object, so that it can grow; NULL as long as there are no items. */
struct list {
    struct items *items;
    size_t count;
};

/* The names that a call, or the whole script, has bound; what is not among them is looked for in `outer`. */
struct scope {
    struct dict *names;
    struct scope *outer;
};

/* With the scope in which it was defined: a scope that binds it is part of a cycle. */
struct function {
    struct node *definition;
    struct scope *outer;
};

extern struct types {
    arn_type *none, *integer, *real, *str, *items, *list, *dict, *scope, *function;
} types;

/* Before all else. False: no memory. */
bool values_begin(void);

struct integer *integer_new(int64_t number);
struct real *real_new(double number);
struct str *str_new(const char *text, size_t length);
struct str *str_join(const struct str *first, const struct str *second);
struct list *list_new(void);
struct scope *scope_new(struct scope *outer);
struct function *function_new(struct node *definition, struct scope *outer);

/* False: no memory. */
bool list_append(struct list *list, void *value);

void list_remove(struct list *list, size_t idx);

static inline bool value_is(const void *value, const arn_type *type)
{
    return arn_typeof(value) == type;
}

const char *value_type_name(const void *value);
bool value_is_true(const void *value);

/* Below, at or above 0; false: there is no order between them. */
bool value_compare(const void *a, const void *b, int *order);

/* Containers and functions are equal to themselves only. */
bool value_equals(const void *a, const void *b);

/* An integer's or a real's. */
bool value_number(const void *value, double *number);

/* A str as it is; within others, in quotes. */
void value_print(const void *value, FILE *file);

#endif
