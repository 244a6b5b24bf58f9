/* operation.c */
#include "operation.h"

#include "dict.h"

/* ---- numbers ---- */

static void *integers(struct interpreter *in, enum node_kind kind, int64_t x, int64_t y)
{
    int64_t number;
    bool overflows = kind == NODE_ADD        ? __builtin_add_overflow(x, y, &number)
                     : kind == NODE_SUBTRACT ? __builtin_sub_overflow(x, y, &number)
                                             : __builtin_mul_overflow(x, y, &number);
    if (overflows)
        return failed(in, "an int that is too large");
    return or_no_memory(in, integer_new(number));
}

static void *reals(struct interpreter *in, enum node_kind kind, double x, double y)
{
    if (kind == NODE_DIVIDE && y == 0)
        return failed(in, "division by 0");
    double number = kind == NODE_ADD        ? x + y
                    : kind == NODE_SUBTRACT ? x - y
                    : kind == NODE_MULTIPLY ? x * y
                                            : x / y;
    return or_no_memory(in, real_new(number));
}

static void *arithmetic(struct interpreter *in, enum node_kind kind, const void *left,
                        const void *right)
{
    double x, y;
    if (value_is(left, types.integer) && value_is(right, types.integer) && kind != NODE_DIVIDE)
        return integers(in, kind, ((const struct integer *)left)->number,
                        ((const struct integer *)right)->number);
    if (value_number(left, &x) && value_number(right, &y))
        return reals(in, kind, x, y);
    if (kind == NODE_ADD && value_is(left, types.str) && value_is(right, types.str))
        return or_no_memory(in, str_join(left, right));
    return failed(in, "no such operation on values of types %s and %s", value_type_name(left),
                  value_type_name(right));
}

/* ---- comparison ---- */

static void *comparison(struct interpreter *in, enum node_kind kind, const void *left,
                        const void *right)
{
    int order = 0;
    if (!value_compare(left, right, &order))
        return failed(in, "no order of values of types %s and %s", value_type_name(left),
                      value_type_name(right));
    bool holds = kind == NODE_LESS         ? order < 0
                 : kind == NODE_LESS_EQUAL ? order <= 0
                 : kind == NODE_GREATER    ? order > 0
                                           : order >= 0;
    return or_no_memory(in, integer_new(holds));
}

void *operation_binary(struct interpreter *in, enum node_kind kind, void *left, void *right)
{
    switch (kind) {
    case NODE_EQUAL:
    case NODE_UNEQUAL:
        return or_no_memory(in, integer_new(value_equals(left, right) == (kind == NODE_EQUAL)));
    case NODE_LESS:
    case NODE_LESS_EQUAL:
    case NODE_GREATER:
    case NODE_GREATER_EQUAL:
        return comparison(in, kind, left, right);
    default:
        return arithmetic(in, kind, left, right);
    }
}

/* ---- containers ---- */

/* Where it is in the list; NULL: failed. */
static void **item(struct interpreter *in, const struct list *list, const void *idx)
{
    if (!value_is(idx, types.integer))
        return failed(in, "an index of type %s", value_type_name(idx));
    int64_t at = ((const struct integer *)idx)->number;
    if (at < 0 || (uint64_t)at >= list->count)
        return failed(in, "no item %lld in a list of %zu", (long long)at, list->count);
    return &list->items->at[at];
}

static bool can_be_key(struct interpreter *in, const void *key)
{
    if (!dict_is_key(key))
        failed(in, "a key of type %s", value_type_name(key));
    return dict_is_key(key);
}

void *operation_index(struct interpreter *in, void *container, void *idx)
{
    void *value;
    if (value_is(container, types.list)) {
        void **place = item(in, container, idx);
        if (place == NULL)
            return NULL;
        value = *place;
    } else if (value_is(container, types.dict)) {
        if (!can_be_key(in, idx))
            return NULL;
        value = dict_get(container, idx);
        if (value == NULL)
            return failed(in, "no such key");
    } else {
        return failed(in, "nothing in a value of type %s", value_type_name(container));
    }
    return counted(value);
}

bool operation_set_index(struct interpreter *in, void *container, void *idx, void *value)
{
    if (value_is(container, types.list)) {
        void **place = item(in, container, idx);
        if (place != NULL)
            arn_set(place, value);
        return place != NULL;
    }
    if (value_is(container, types.dict))
        return can_be_key(in, idx) && (dict_set(container, idx, value) || no_memory(in));
    failed(in, "nothing in a value of type %s", value_type_name(container));
    return false;
}
