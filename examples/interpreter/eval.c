/* eval.c - the tree, walked.
 *
 * `evaluate` gives its caller a reference, which the caller gives up in every case, failures included.
 */
#include "eval.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "builtin.h"
#include "dict.h"
#include "operation.h"

enum { DEPTH_MOST = 4000, ARGUMENTS_MOST = 16 };

enum flow { WENT_ON, RETURNED, FAILED };

static void *evaluate(struct interpreter *in, struct scope *scope, struct node *node);
static enum flow run(struct interpreter *in, struct scope *scope, struct node *node);

/* ---- failing ---- */

void *failed(struct interpreter *in, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfail(&in->failure, in->line, format, arguments);
    va_end(arguments);
    return NULL;
}

bool no_memory(struct interpreter *in)
{
    return fail(&in->failure, in->line, "no memory");
}

void *or_no_memory(struct interpreter *in, void *value)
{
    if (value == NULL)
        no_memory(in);
    return value;
}

/* ---- names ---- */

void *counted(void *value)
{
    arn_incref(value);
    return value;
}

static void *look_up(const struct scope *scope, const struct str *name)
{
    void *value = NULL;
    for (; scope != NULL && value == NULL; scope = scope->outer)
        value = dict_get(scope->names, name);
    return value;
}

static bool bind(struct interpreter *in, struct scope *scope, struct str *name, void *value)
{
    return dict_set(scope->names, name, value) || no_memory(in);
}

/* ---- expressions ---- */

static void *evaluate_name(struct interpreter *in, struct scope *scope, struct node *node)
{
    void *value = look_up(scope, node->text);
    return value != NULL ? counted(value) : failed(in, "no variable '%s'", node->text->text);
}

static void *evaluate_int(struct interpreter *in, struct node *node)
{
    errno = 0;
    int64_t number = strtoll(node->text->text, NULL, 10);
    if (errno == ERANGE)
        return failed(in, "an int that is too large");
    return or_no_memory(in, integer_new(number));
}

static void *evaluate_list(struct interpreter *in, struct scope *scope, struct node *node)
{
    struct list *list = or_no_memory(in, list_new());
    for (struct node *item = node->left; item != NULL && list != NULL; item = item->next) {
        void *value = evaluate(in, scope, item);
        if (value == NULL || !(list_append(list, value) || no_memory(in)))
            arn_clear(&list);
        arn_xdecref(value);
    }
    return list;
}

/* container[idx] = value */
static bool set_index(struct interpreter *in, struct scope *scope, void *container,
                      struct node *idx_node, struct node *value_node)
{
    void *value = evaluate(in, scope, value_node);
    void *idx = value == NULL ? NULL : evaluate(in, scope, idx_node);
    bool done = idx != NULL && operation_set_index(in, container, idx, value);
    arn_xdecref(idx);
    arn_xdecref(value);
    return done;
}

static void *evaluate_dict(struct interpreter *in, struct scope *scope, struct node *node)
{
    struct dict *dict = or_no_memory(in, dict_new());
    for (struct node *key = node->left; key != NULL && dict != NULL; key = key->next->next) {
        if (!set_index(in, scope, dict, key, key->next))
            arn_clear(&dict);
    }
    return dict;
}

/* `or` and `and`: the right one only if the left one does not decide. */
static void *evaluate_either(struct interpreter *in, struct scope *scope, struct node *node)
{
    void *left = evaluate(in, scope, node->left);
    if (left == NULL || value_is_true(left) == (node->kind == NODE_OR))
        return left;
    arn_decref(left);
    return evaluate(in, scope, node->right);
}

static void *evaluate_not(struct interpreter *in, struct scope *scope, struct node *node)
{
    void *value = evaluate(in, scope, node->left);
    if (value == NULL)
        return NULL;
    bool is_true = value_is_true(value);
    arn_decref(value);
    return or_no_memory(in, integer_new(!is_true));
}

static void *evaluate_binary(struct interpreter *in, struct scope *scope, struct node *node)
{
    void *result = NULL;
    void *left = node->left != NULL ? evaluate(in, scope, node->left)
                                    : or_no_memory(in, integer_new(0)); /* -x is 0 - x */
    void *right = left == NULL ? NULL : evaluate(in, scope, node->right);
    if (right != NULL)
        result = node->kind == NODE_INDEX ? operation_index(in, left, right)
                                          : operation_binary(in, node->kind, left, right);
    arn_xdecref(right);
    arn_xdecref(left);
    return result;
}

/* ---- calls ---- */

/* The arguments change hands: from here on the scope of the call has them. */
static bool bind_parameters(struct interpreter *in, struct scope *scope, struct node *parameter,
                            void **arguments, size_t count)
{
    size_t i = 0;
    for (; parameter != NULL && i < count; parameter = parameter->next, i++) {
        if (!bind(in, scope, parameter->text, arguments[i]))
            return false;
        arn_clear(&arguments[i]);
    }
    if (parameter == NULL && i == count)
        return true;
    failed(in, "%s arguments", parameter != NULL ? "not enough" : "too many");
    return false;
}

static void *call_function(struct interpreter *in, struct function *function, void **arguments,
                           size_t count)
{
    struct scope *scope = or_no_memory(in, scope_new(function->outer));
    const struct node *definition = function->definition;
    int line = in->line;
    void *result = NULL;
    if (scope != NULL && bind_parameters(in, scope, definition->left, arguments, count)) {
        enum flow flow = run(in, scope, definition->right);
        if (flow == RETURNED)
            result = in->result;
        else if (flow == WENT_ON)
            result = counted(in->none);
    }
    arn_xdecref(scope);
    in->line = line;
    return result;
}

/* False: one failed. What there is, is the caller's in either case. */
static bool evaluate_arguments(struct interpreter *in, struct scope *scope, struct node *node,
                               void **arguments, size_t *count)
{
    for (; node != NULL; node = node->next) {
        if (*count == ARGUMENTS_MOST)
            return failed(in, "too many arguments") != NULL;
        arguments[*count] = evaluate(in, scope, node);
        if (arguments[*count] == NULL)
            return false;
        ++*count;
    }
    return true;
}

static void *call_builtin(struct interpreter *in, const struct builtin *builtin, void **arguments,
                          size_t count)
{
    if (builtin->arguments >= 0 && (size_t)builtin->arguments != count)
        return failed(in, "%s takes %d arguments, not %zu", builtin->name, builtin->arguments,
                      count);
    return builtin->call(in, arguments, count);
}

static void *evaluate_call(struct interpreter *in, struct scope *scope, struct node *node)
{
    void *arguments[ARGUMENTS_MOST], *called = NULL, *result = NULL;
    size_t count = 0;
    const struct builtin *builtin = NULL;
    if (node->left->kind == NODE_NAME && look_up(scope, node->left->text) == NULL)
        builtin = builtin_find(node->left->text);
    if (builtin == NULL && (called = evaluate(in, scope, node->left)) == NULL)
        return NULL;
    if (evaluate_arguments(in, scope, node->right, arguments, &count)) {
        if (builtin != NULL)
            result = call_builtin(in, builtin, arguments, count);
        else if (value_is(called, types.function))
            result = call_function(in, called, arguments, count);
        else
            failed(in, "a value of type %s is called", value_type_name(called));
    }
    while (count > 0)
        arn_xdecref(arguments[--count]);
    arn_xdecref(called);
    return result;
}

/* ---- */

static void *evaluate_any(struct interpreter *in, struct scope *scope, struct node *node)
{
    switch (node->kind) {
    case NODE_NAME:
        return evaluate_name(in, scope, node);
    case NODE_INT:
        return evaluate_int(in, node);
    case NODE_FLOAT:
        return or_no_memory(in, real_new(strtod(node->text->text, NULL)));
    case NODE_STR:
        return or_no_memory(in, str_new(node->text->text, node->text->length));
    case NODE_LIST:
        return evaluate_list(in, scope, node);
    case NODE_DICT:
        return evaluate_dict(in, scope, node);
    case NODE_CALL:
        return evaluate_call(in, scope, node);
    case NODE_NOT:
        return evaluate_not(in, scope, node);
    case NODE_OR:
    case NODE_AND:
        return evaluate_either(in, scope, node);
    default:
        return evaluate_binary(in, scope, node);
    }
}

/* The C stack is finite. */
static bool goes_deeper(struct interpreter *in)
{
    if (in->depth == DEPTH_MOST)
        return failed(in, "nested too deep") != NULL;
    in->depth++;
    return true;
}

static void *evaluate(struct interpreter *in, struct scope *scope, struct node *node)
{
    if (!goes_deeper(in))
        return NULL;
    void *value = evaluate_any(in, scope, node);
    in->depth--;
    return value;
}

/* ---- statements ---- */

static bool assign(struct interpreter *in, struct scope *scope, struct node *target,
                   struct node *value_node)
{
    if (target->kind == NODE_INDEX) {
        void *container = evaluate(in, scope, target->left);
        bool done = container != NULL && set_index(in, scope, container, target->right, value_node);
        arn_xdecref(container);
        return done;
    }
    void *value = evaluate(in, scope, value_node);
    bool done = value != NULL && bind(in, scope, target->text, value);
    arn_xdecref(value);
    return done;
}

static bool define(struct interpreter *in, struct scope *scope, struct node *node)
{
    struct function *function = or_no_memory(in, function_new(node, scope));
    bool done = function != NULL && bind(in, scope, node->text, function);
    arn_xdecref(function);
    return done;
}

static bool delete (struct interpreter *in, struct scope *scope, const struct str *name)
{
    return dict_remove(scope->names, name) || failed(in, "no variable '%s' here", name->text);
}

/* Its value is of no interest. */
static bool evaluates(struct interpreter *in, struct scope *scope, struct node *node)
{
    void *value = evaluate(in, scope, node);
    arn_xdecref(value);
    return value != NULL;
}

/* False: failed. */
static bool condition(struct interpreter *in, struct scope *scope, struct node *node, bool *holds)
{
    void *value = evaluate(in, scope, node);
    *holds = value != NULL && value_is_true(value);
    arn_xdecref(value);
    return value != NULL;
}

static enum flow run_if(struct interpreter *in, struct scope *scope, struct node *node)
{
    bool holds;
    if (!condition(in, scope, node->left, &holds))
        return FAILED;
    return run(in, scope, holds ? node->right : node->otherwise);
}

static enum flow run_while(struct interpreter *in, struct scope *scope, struct node *node)
{
    enum flow flow = WENT_ON;
    bool holds = true;
    while (flow == WENT_ON && holds) {
        in->line = node->line;
        if (!condition(in, scope, node->left, &holds))
            return FAILED;
        if (holds)
            flow = run(in, scope, node->right);
    }
    return flow;
}

static enum flow run_return(struct interpreter *in, struct scope *scope, struct node *node)
{
    if (scope == in->globals)
        return failed(in, "return outside of a function"), FAILED;
    in->result = node->left != NULL ? evaluate(in, scope, node->left) : counted(in->none);
    return in->result != NULL ? RETURNED : FAILED;
}

static enum flow run_one(struct interpreter *in, struct scope *scope, struct node *node)
{
    bool done;
    switch (node->kind) {
    case NODE_IF:
        return run_if(in, scope, node);
    case NODE_WHILE:
        return run_while(in, scope, node);
    case NODE_RETURN:
        return run_return(in, scope, node);
    case NODE_ASSIGN:
        done = assign(in, scope, node->left, node->right);
        break;
    case NODE_DELETE:
        done = delete (in, scope, node->left->text);
        break;
    case NODE_DEFINE:
        done = define(in, scope, node);
        break;
    default:
        done = evaluates(in, scope, node->left);
    }
    return done ? WENT_ON : FAILED;
}

/* The statement and those after it. */
static enum flow run(struct interpreter *in, struct scope *scope, struct node *node)
{
    enum flow flow = WENT_ON;
    if (!goes_deeper(in))
        return FAILED;
    for (; node != NULL && flow == WENT_ON; node = node->next) {
        in->line = node->line;
        flow = run_one(in, scope, node);
    }
    in->depth--;
    return flow;
}

/* ---- the interpreter ---- */

bool interpreter_begin(struct interpreter *in)
{
    *in = (struct interpreter){.globals = scope_new(NULL), .none = arn_new(types.none)};
    struct str *name = str_new("none", strlen("none"));
    bool good = in->globals != NULL && in->none != NULL && name != NULL &&
                bind(in, in->globals, name, in->none);
    arn_xdecref(name);
    return good || no_memory(in);
}

bool interpreter_run(struct interpreter *in, struct node *tree)
{
    in->objects_before = objects_alive();
    return run(in, in->globals, tree) != FAILED;
}

void interpreter_end(struct interpreter *in)
{
    arn_clear(&in->globals);
    arn_clear(&in->none);
    arn_gc_collect(ARN_GENERATIONS - 1);
}

size_t objects_alive(void)
{
    struct arn_domain_stats stats;
    arn_domain_stats(NULL, &stats);
    return stats.objects;
}
