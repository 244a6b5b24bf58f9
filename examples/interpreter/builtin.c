/* builtin.c */
#include "builtin.h"

#include <string.h>

#include "dict.h"

static void *none(struct interpreter *in)
{
    return counted(in->none);
}

static void *integer(struct interpreter *in, size_t number)
{
    return or_no_memory(in, integer_new((int64_t)number));
}

static void *print(struct interpreter *in, void *const *arguments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? " " : "", stdout);
        value_print(arguments[i], stdout);
    }
    putchar('\n');
    return none(in);
}

/* All but the one that is the argument. */
static void *refs(struct interpreter *in, void *const *arguments, size_t count)
{
    (void)count;
    return integer(in, arn_refcount(arguments[0]) - 1);
}

static void *len(struct interpreter *in, void *const *arguments, size_t count)
{
    (void)count;
    const void *value = arguments[0];
    if (value_is(value, types.str))
        return integer(in, ((const struct str *)value)->length);
    if (value_is(value, types.list))
        return integer(in, ((const struct list *)value)->count);
    if (value_is(value, types.dict))
        return integer(in, ((const struct dict *)value)->count);
    return failed(in, "len of a value of type %s", value_type_name(value));
}

static void *type(struct interpreter *in, void *const *arguments, size_t count)
{
    (void)count;
    const char *name = value_type_name(arguments[0]);
    return or_no_memory(in, str_new(name, strlen(name)));
}

static void *append(struct interpreter *in, void *const *arguments, size_t count)
{
    (void)count;
    if (!value_is(arguments[0], types.list))
        return failed(in, "append to a value of type %s", value_type_name(arguments[0]));
    if (!list_append(arguments[0], arguments[1]))
        return failed(in, "no memory");
    return none(in);
}

static void *remove_item(struct interpreter *in, void *const *arguments, size_t count)
{
    (void)count;
    void *container = arguments[0], *idx = arguments[1];
    if (value_is(container, types.dict)) {
        if (!dict_is_key(idx) || !dict_remove(container, idx))
            return failed(in, "no such key");
        return none(in);
    }
    if (!value_is(container, types.list) || !value_is(idx, types.integer))
        return failed(in, "remove from a value of type %s by one of %s", value_type_name(container),
                      value_type_name(idx));
    int64_t at = ((const struct integer *)idx)->number;
    if (at < 0 || (uint64_t)at >= ((const struct list *)container)->count)
        return failed(in, "no such item");
    list_remove(container, (size_t)at);
    return none(in);
}

static void *objects(struct interpreter *in, void *const *arguments, size_t count)
{
    (void)arguments, (void)count;
    return integer(in, objects_alive() - in->objects_before);
}

static void *collect(struct interpreter *in, void *const *arguments, size_t count)
{
    (void)arguments, (void)count;
    long collected = arn_gc_collect(ARN_GENERATIONS - 1);
    if (collected < 0)
        return failed(in, "no memory");
    return integer(in, (size_t)collected);
}

static const struct builtin builtins[] = {
    {"print", -1, print},    {"refs", 1, refs},       {"len", 1, len},
    {"type", 1, type},       {"append", 2, append},   {"remove", 2, remove_item},
    {"objects", 0, objects}, {"collect", 0, collect},
};

const struct builtin *builtin_find(const struct str *name)
{
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++) {
        if (strlen(builtins[i].name) == name->length &&
            memcmp(builtins[i].name, name->text, name->length) == 0)
            return &builtins[i];
    }
    return NULL;
}
