/* value.c */
#include "value.h"

#include <inttypes.h>
#include <string.h>

#include "dict.h"

struct types types;

bool values_begin(void)
{
    static const size_t list_fields[] = {offsetof(struct list, items)};
    static const size_t scope_fields[] = {offsetof(struct scope, names),
                                          offsetof(struct scope, outer)};
    static const size_t function_fields[] = {offsetof(struct function, definition),
                                             offsetof(struct function, outer)};
    const struct {
        arn_type **type;
        struct arn_type_info info;
    } kinds[] = {
        {&types.none, {.name = "none", .shape = ARN_LEAF}},
        {&types.integer, {.name = "int", .bytes = sizeof(struct integer), .shape = ARN_LEAF}},
        {&types.real, {.name = "float", .bytes = sizeof(struct real), .shape = ARN_LEAF}},
        {&types.str,
         {.name = "str", .bytes = sizeof(struct str), .shape = ARN_LEAF, .item_bytes = 1}},
        {&types.items,
         {.name = "items",
          .bytes = sizeof(struct items),
          .shape = ARN_REFARRAY,
          .count_offset = offsetof(struct items, room)}},
        {&types.list,
         {.name = "list",
          .bytes = sizeof(struct list),
          .shape = ARN_FIXED,
          .offsets = list_fields,
          .offset_count = 1}},
        {&types.dict,
         {.name = "dict",
          .bytes = sizeof(struct dict),
          .shape = ARN_CUSTOM,
          .traverse = dict_traverse,
          .clear = dict_clear}},
        {&types.scope,
         {.name = "scope",
          .bytes = sizeof(struct scope),
          .shape = ARN_FIXED,
          .offsets = scope_fields,
          .offset_count = 2}},
        {&types.function,
         {.name = "function",
          .bytes = sizeof(struct function),
          .shape = ARN_FIXED,
          .offsets = function_fields,
          .offset_count = 2}},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        *kinds[i].type = arn_type_register(&kinds[i].info);
        if (*kinds[i].type == NULL)
            return false;
    }
    return true;
}

/* ---- making ---- */

struct integer *integer_new(int64_t number)
{
    struct integer *integer = arn_new(types.integer);
    if (integer != NULL)
        integer->number = number;
    return integer;
}

struct real *real_new(double number)
{
    struct real *real = arn_new(types.real);
    if (real != NULL)
        real->number = number;
    return real;
}

struct str *str_new(const char *text, size_t length)
{
    struct str *str = arn_new_array(types.str, length + 1);
    if (str != NULL) {
        str->length = length;
        memcpy(str->text, text, length);
    }
    return str;
}

struct str *str_join(const struct str *first, const struct str *second)
{
    struct str *str = arn_new_array(types.str, first->length + second->length + 1);
    if (str != NULL) {
        str->length = first->length + second->length;
        memcpy(str->text, first->text, first->length);
        memcpy(str->text + first->length, second->text, second->length);
    }
    return str;
}

struct list *list_new(void)
{
    return arn_new(types.list);
}

struct scope *scope_new(struct scope *outer)
{
    struct scope *scope = arn_new(types.scope);
    if (scope == NULL)
        return NULL;
    arn_set(&scope->outer, outer);
    scope->names = dict_new();
    if (scope->names == NULL)
        arn_clear(&scope);
    return scope;
}

struct function *function_new(struct node *definition, struct scope *outer)
{
    struct function *function = arn_new(types.function);
    if (function != NULL) {
        arn_set(&function->definition, definition);
        arn_set(&function->outer, outer);
    }
    return function;
}

/* ---- lists ---- */

enum { LIST_ROOM_LEAST = 4 };

static bool grow(struct list *list)
{
    struct items *items =
        arn_new_array(types.items, list->count == 0 ? LIST_ROOM_LEAST : 2 * list->count);
    if (items == NULL)
        return false;
    for (size_t i = 0; i < list->count; i++)
        arn_move(&items->at[i], list->items->at[i]);
    if (list->items != NULL)
        list->items->room = 0; /* its references have moved: none to release */
    arn_move(&list->items, items);
    return true;
}

bool list_append(struct list *list, void *value)
{
    if ((list->items == NULL || list->count == list->items->room) && !grow(list))
        return false;
    arn_set(&list->items->at[list->count++], value);
    return true;
}

void list_remove(struct list *list, size_t idx)
{
    void **at = list->items->at;
    void *removed = at[idx];
    list->count--;
    memmove(at + idx, at + idx + 1, (list->count - idx) * sizeof *at);
    at[list->count] = NULL;
    arn_decref(removed);
}

/* ---- asking ---- */

const char *value_type_name(const void *value)
{
    return arn_type_name(arn_typeof(value));
}

bool value_number(const void *value, double *number)
{
    if (value_is(value, types.integer))
        *number = (double)((const struct integer *)value)->number;
    else if (value_is(value, types.real))
        *number = ((const struct real *)value)->number;
    else
        return false;
    return true;
}

bool value_is_true(const void *value)
{
    double number;
    if (value_number(value, &number))
        return number != 0;
    if (value_is(value, types.str))
        return ((const struct str *)value)->length > 0;
    if (value_is(value, types.list))
        return ((const struct list *)value)->count > 0;
    if (value_is(value, types.dict))
        return ((const struct dict *)value)->count > 0;
    return !value_is(value, types.none);
}

static int str_compare(const struct str *a, const struct str *b)
{
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->text, b->text, shorter);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

bool value_compare(const void *a, const void *b, int *order)
{
    double x, y;
    if (value_is(a, types.integer) && value_is(b, types.integer)) {
        int64_t i = ((const struct integer *)a)->number, j = ((const struct integer *)b)->number;
        *order = (i > j) - (i < j);
        return true;
    }
    if (value_number(a, &x) && value_number(b, &y)) {
        *order = (x > y) - (x < y);
        return x == x && y == y;
    }
    if (value_is(a, types.str) && value_is(b, types.str)) {
        *order = str_compare(a, b);
        return true;
    }
    return false;
}

bool value_equals(const void *a, const void *b)
{
    int order;
    return a == b || (value_compare(a, b, &order) && order == 0);
}

/* ---- printing ---- */

enum { PRINT_DEPTH_MOST = 50 };

/* The containers that are being printed, from the inside out: what is in itself ends as "...". */
struct around {
    const void *container;
    const struct around *outer;
    int depth;
};

static void print(const void *value, const struct around *around, FILE *file);

static void print_items(const struct list *list, const struct around *around, FILE *file)
{
    fputc('[', file);
    for (size_t i = 0; i < list->count; i++) {
        fputs(i > 0 ? ", " : "", file);
        print(list->items->at[i], around, file);
    }
    fputc(']', file);
}

static void print_entries(const struct dict *dict, const struct around *around, FILE *file)
{
    const char *separator = "";
    fputc('{', file);
    for (size_t i = 0; i < dict->used; i++) {
        const struct entry *entry = &dict->entries[i];
        if (entry->key == NULL)
            continue;
        fputs(separator, file);
        separator = ", ";
        print(entry->key, around, file);
        fputs(": ", file);
        print(entry->value, around, file);
    }
    fputc('}', file);
}

/* Never as if it were an int. */
static void print_real(double number, FILE *file)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%.12g", number);
    bool is_whole = strspn(text, "-0123456789") == (size_t)length;
    fprintf(file, "%s%s", text, is_whole ? ".0" : "");
}

static void print_str(const struct str *str, bool quoted, FILE *file)
{
    fputs(quoted ? "\"" : "", file);
    fwrite(str->text, 1, str->length, file);
    fputs(quoted ? "\"" : "", file);
}

static void print(const void *value, const struct around *outer, FILE *file)
{
    struct around around = {value, outer, outer == NULL ? 1 : outer->depth + 1};
    bool again = around.depth > PRINT_DEPTH_MOST;
    for (const struct around *a = outer; a != NULL && !again; a = a->outer)
        again = a->container == value;
    if (again)
        fputs("...", file);
    else if (value_is(value, types.integer))
        fprintf(file, "%" PRId64, ((const struct integer *)value)->number);
    else if (value_is(value, types.real))
        print_real(((const struct real *)value)->number, file);
    else if (value_is(value, types.str))
        print_str(value, outer != NULL, file);
    else if (value_is(value, types.list))
        print_items(value, &around, file);
    else if (value_is(value, types.dict))
        print_entries(value, &around, file);
    else
        fputs(value_type_name(value), file);
}

void value_print(const void *value, FILE *file)
{
    print(value, NULL, file);
}
