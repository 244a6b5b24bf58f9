/* objects_cpython.c - the cases that CPython tests its collector with, as far as they can be asked in C.
 *
 * After Lib/test/test_gc.py, and what concerns the collector of test_weakref.py (callbacks in trash) and
 * test_finalization.py (PEP 442). The names of theirs stand above ours. Left out:
 *
 *  - legacy_finalizer, get_garbage of legacy ones: no object here is uncollectable, finalizers are all
 *    PEP 442's; garbage_at_shutdown, main_module, ast_fini, PythonFinalization: there is no interpreter
 *    that ends;
 *  - frame, function, tp_clear consistency, bug21435, subclasses before finalization: what matters of
 *    them is a graph (here: classes, functions), the rest is the interpreter's own types;
 *  - tuple_untrack, dict untracking of is_tracked: nothing is untracked by itself but leaves;
 *  - get_objects' arguments, indirect_calls: functions that C has not;
 *  - trashcan: a container's release is a loop here; the depth is tested, not the macros;
 *  - refcount_errors: see objects_misuse.c; DEBUG_STATS, incremental collection: there are none.
 */
#include <arenite/object.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

/* ---- Python's objects, roughly ---- */

/* A list: its items are elsewhere, and become more. */
struct list {
    size_t count;
    void **items;
};

/* A dict of a few names; values in the order of their names. */
enum { NAMES = 6 };
struct dict {
    void *values[NAMES];
};

struct tuple {
    size_t count;
    void *items[];
};

struct class
{
    void *bases, *dict, *mro;
};

/* Also a bound method, a function, a closure: something that refers to two others. */
struct instance {
    void *class, *dict;
    int number;
};

static arn_type *list_type, *dict_type, *tuple_type, *class_type, *instance_type;

static void list_traverse(void *object, arn_visit *visit, void *context)
{
    struct list *list = object;
    for (size_t i = 0; i < list->count; i++)
        visit(list->items[i], context);
}

static void list_clear(void *object)
{
    struct list *list = object;
    void **items = list->items;
    size_t count = list->count;
    list->items = NULL;
    list->count = 0;
    for (size_t i = 0; i < count; i++)
        arn_decref(items[i]);
    arn_free(items);
}

static void list_append(struct list *list, void *object)
{
    list->items = arn_reallocarray(list->items, list->count + 1, sizeof *list->items);
    arn_incref(object);
    list->items[list->count++] = object;
}

static arn_type *make_instance_type(const char *name, void (*finalize)(void *))
{
    static const size_t offsets[] = {offsetof(struct instance, class),
                                     offsetof(struct instance, dict)};
    return arn_type_register(&(struct arn_type_info){.name = name,
                                                     .bytes = sizeof(struct instance),
                                                     .shape = ARN_FIXED,
                                                     .offsets = offsets,
                                                     .offset_count = 2,
                                                     .finalize = finalize});
}

/* Starts a case: nothing is collected by itself. */
static void begin(void)
{
    static const size_t names[NAMES] = {0,
                                        sizeof(void *),
                                        2 * sizeof(void *),
                                        3 * sizeof(void *),
                                        4 * sizeof(void *),
                                        5 * sizeof(void *)};
    static const size_t class_offsets[] = {
        offsetof(struct class, bases), offsetof(struct class, dict), offsetof(struct class, mro)};
    list_type = arn_type_register(&(struct arn_type_info){.name = "list",
                                                          .bytes = sizeof(struct list),
                                                          .shape = ARN_CUSTOM,
                                                          .traverse = list_traverse,
                                                          .clear = list_clear});
    dict_type = arn_type_register(&(struct arn_type_info){.name = "dict",
                                                          .bytes = sizeof(struct dict),
                                                          .shape = ARN_FIXED,
                                                          .offsets = names,
                                                          .offset_count = NAMES});
    tuple_type = arn_type_register(&(struct arn_type_info){
        .name = "tuple", .bytes = sizeof(struct tuple), .shape = ARN_REFARRAY});
    class_type = arn_type_register(&(struct arn_type_info){.name = "type",
                                                           .bytes = sizeof(struct class),
                                                           .shape = ARN_FIXED,
                                                           .offsets = class_offsets,
                                                           .offset_count = 3});
    instance_type = make_instance_type("instance", NULL);
    arn_gc_disable();
}

/* A class as CPython makes them: it is in its own method resolution order. */
static struct class *new_class(struct class *base)
{
    struct class *class = arn_new(class_type);
    class->dict = arn_new(dict_type);
    struct tuple *mro = arn_new_array(tuple_type, base == NULL ? 1 : 2);
    arn_set(&mro->items[0], class);
    if (base != NULL) {
        arn_set(&mro->items[1], base);
        class->bases = arn_new_array(tuple_type, 1);
        arn_set(&((struct tuple *)class->bases)->items[0], base);
    }
    class->mro = mro;
    return class;
}

static struct instance *new_instance(arn_type *type, struct class *class)
{
    struct instance *instance = arn_new(type);
    arn_set(&instance->class, class);
    instance->dict = arn_new(dict_type);
    return instance;
}

static void set_name(struct instance *instance, int name, void *value)
{
    arn_set(&((struct dict *)instance->dict)->values[name], value);
}

static void *get_name(struct instance *instance, int name)
{
    return ((struct dict *)instance->dict)->values[name];
}

static size_t alive(void)
{
    struct arn_domain_stats stats;
    arn_domain_stats(NULL, &stats);
    return stats.objects;
}

#define CASE(name_, claim_)               \
    static void name_(void);              \
    TEST(objects_cpython, claim_)         \
    {                                     \
        IN_OWN_PROCESS(begin(); name_()); \
    }                                     \
    static void name_(void)

/* ---- what a collection finds ---- */

/* test_list, test_dict, test_tuple */
CASE(containers, lists_dicts_and_tuples_in_cycles_are_collected)
{
    struct list *l = arn_new(list_type);
    list_append(l, l);
    arn_gc_collect(2);
    arn_decref(l);
    EXPECT_EQ(arn_gc_collect(2), 1);

    struct dict *d = arn_new(dict_type);
    arn_set(&d->values[1], d);
    arn_gc_collect(2);
    arn_decref(d);
    EXPECT_EQ(arn_gc_collect(2), 1);

    l = arn_new(list_type);
    struct tuple *t = arn_new_array(tuple_type, 1);
    arn_set(&t->items[0], l);
    list_append(l, t);
    arn_gc_collect(2);
    arn_decref(t);
    arn_decref(l);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_EQ(alive(), 0);
}

/* test_class, test_newstyleclass, test_instance, test_newinstance, test_method */
CASE(classes, classes_instances_and_methods_are_collected)
{
    struct class *a = new_class(NULL);
    arn_set(&((struct dict *)a->dict)->values[0], a);
    arn_gc_collect(2);
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 3);

    a = new_class(NULL);
    struct instance *i = new_instance(instance_type, a);
    set_name(i, 0, i);
    arn_gc_collect(2);
    arn_decref(i);
    EXPECT_EQ(arn_gc_collect(2), 2);
    struct class *b = new_class(a);
    i = new_instance(instance_type, b);
    set_name(i, 0, i);
    arn_decref(b);
    arn_decref(i);
    EXPECT_EQ(arn_gc_collect(2), 2 + 4);
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 3);

    i = new_instance(instance_type, NULL);
    struct instance *method = arn_new(instance_type); /* (function, self) */
    arn_set(&method->dict, i);
    set_name(i, 0, method);
    arn_decref(method);
    arn_gc_collect(2);
    arn_decref(i);
    EXPECT_EQ(arn_gc_collect(2), 3);
    EXPECT_EQ(alive(), 0);
}

/* test_function, test_function_tp_clear_leaves_consistent_state */
CASE(functions, functions_and_their_globals_are_collected)
{
    struct dict *globals = arn_new(dict_type);
    struct instance *f = arn_new(instance_type);
    arn_set(&f->dict, globals);
    arn_move(&globals->values[0], f);
    arn_gc_collect(2);
    arn_decref(globals);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_EQ(alive(), 0);
}

/* test_saveall */
CASE(save_all, saved_garbage_is_in_the_list_and_only_there)
{
    size_t count;
    arn_gc_collect(2);
    arn_garbage(&count);
    EXPECT_EQ(count, 0);
    struct list *l = arn_new(list_type);
    list_append(l, l);
    arn_gc_set_debug(arn_gc_get_debug() | ARN_GC_SAVE_ALL);
    arn_decref(l);
    EXPECT_EQ(arn_gc_collect(2), 1);
    arn_gc_set_debug(0);
    void *const *garbage = arn_garbage(&count);
    ASSERT_EQ(count, 1);
    EXPECT_EQ(garbage[0], l);
    EXPECT_EQ(l->count, 1);
    list_clear(l); /* the cycle is broken: the list's reference is the last */
    arn_garbage_clear();
    EXPECT_EQ(alive(), 0);
}

/* ---- counts, generations, stats ---- */

static void look_around(void *object)
{
    arn_decref(new_instance(instance_type, ((struct instance *)object)->class));
}

/* test_del, test_del_newclass */
CASE(finalizers_that_allocate, finalizers_may_begin_collections)
{
    size_t always[] = {1, 1, 1};
    arn_type *type = make_instance_type("A", look_around);
    arn_gc_enable();
    arn_gc_set_threshold(always);
    struct instance *a = new_instance(type, NULL);
    arn_decref(a);
    for (int i = 0; i < 50; i++) {
        a = new_instance(type, NULL);
        set_name(a, 0, a);
        arn_decref(a);
    }
    arn_gc_disable();
    arn_gc_collect(2);
    EXPECT_EQ(alive(), 0);
}

/* test_get_count, test_collect_generations */
CASE(counts, counts_begin_anew_with_each_collection)
{
    size_t counts[3];
    arn_gc_collect(2);
    arn_gc_get_count(counts);
    EXPECT_EQ(counts[0] + counts[1] + counts[2], 0);
    void *a = arn_new(dict_type);
    arn_gc_get_count(counts);
    EXPECT_EQ(counts[0], 1);
    arn_gc_collect(0);
    arn_gc_get_count(counts);
    EXPECT_EQ(counts[0], 0);
    EXPECT_EQ(counts[1], 1);
    EXPECT_EQ(counts[2], 0);
    arn_gc_collect(1);
    arn_gc_get_count(counts);
    EXPECT_EQ(counts[0], 0);
    EXPECT_EQ(counts[1], 0);
    EXPECT_EQ(counts[2], 1);
    arn_gc_collect(2);
    arn_gc_get_count(counts);
    EXPECT_EQ(counts[0] + counts[1] + counts[2], 0);
    arn_decref(a);
    arn_gc_get_count(counts);
    EXPECT_EQ(counts[0], 0); /* not below */
}

/* test_get_stats */
CASE(stats, each_collection_is_in_the_stats_of_its_generation)
{
    struct arn_gc_stats before[3], after[3];
    arn_gc_collect(2);
    arn_gc_stats(before);
    arn_gc_collect(0);
    arn_gc_stats(after);
    EXPECT_EQ(after[0].collections, before[0].collections + 1);
    EXPECT_EQ(after[1].collections, before[1].collections);
    EXPECT_EQ(after[2].collections, before[2].collections);
    struct list *l = arn_new(list_type);
    list_append(l, l);
    arn_decref(l);
    arn_gc_collect(2);
    arn_gc_stats(after);
    EXPECT_EQ(after[2].collections, before[2].collections + 1);
    EXPECT_EQ(after[2].collected, before[2].collected + 1);
    EXPECT_GE(after[2].examined, before[2].examined + 1);
    EXPECT_GE(after[2].ns, after[2].longest_ns);
}

/* ---- depth ---- */

static int released;

static void count_release(void *object)
{
    (void)object;
    released++;
}

/* test_trashcan */
CASE(trashcan, deep_nesting_is_released_without_a_stack)
{
    enum { DEPTH = 200000 };
    arn_type *type = make_instance_type("Ouch", count_release);
    struct tuple *t = NULL;
    for (int i = 0; i < DEPTH; i++) { /* tuples, lists and dicts in turn, with finalizers between */
        struct tuple *outer = arn_new_array(tuple_type, 2);
        arn_move(&outer->items[0], t);
        outer->items[1] = arn_new(type);
        if (i % 3 == 1) {
            struct list *l = arn_new(list_type);
            list_append(l, outer);
            arn_decref(outer);
            outer = arn_new_array(tuple_type, 1);
            arn_move(&outer->items[0], l);
        }
        t = outer;
    }
    arn_decref(t);
    EXPECT_EQ(released, DEPTH);
    EXPECT_EQ(alive(), 0);
}

static void *nest_and_release(void *argument)
{
    (void)argument;
    arn_gc_disable();
    for (int round = 0; round < 3; round++) {
        struct list *l = NULL;
        for (int i = 0; i < 20000; i++) {
            struct list *outer = arn_new(list_type);
            if (l != NULL) {
                list_append(outer, l);
                arn_decref(l);
            }
            l = outer;
        }
        arn_decref(l);
    }
    EXPECT_EQ(alive(), 0);
    return NULL;
}

/* test_trashcan_threads */
CASE(trashcan_threads, deep_nesting_is_released_in_several_threads_at_once)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, nest_and_release, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* ---- functions of the program in the midst of it ---- */

static void drop_attribute(void *object)
{
    struct instance *instance = object;
    if (instance->dict != NULL)
        set_name(instance, 0, NULL);
}

/* test_boom, test_boom2, and their new-style ones: what the collector asks of an object breaks its cycle. */
CASE(boom, finalizers_may_break_the_cycle_they_are_in)
{
    arn_type *type = make_instance_type("Boom", drop_attribute);
    struct instance *a = new_instance(type, NULL), *b = new_instance(type, NULL);
    set_name(a, 0, b);
    set_name(b, 0, a);
    arn_gc_collect(2);
    arn_decref(a);
    arn_decref(b);
    EXPECT_EQ(arn_gc_collect(2), 4); /* two instances, two dicts */
    EXPECT_EQ(alive(), 0);
}

/* ---- looking ---- */

static int compare_pointers(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t) * (void *const *)left, b = (uintptr_t) * (void *const *)right;
    return (a > b) - (a < b);
}

/* test_get_referents, gc.get_referrers */
CASE(referents, referents_and_referrers_are_told)
{
    void *found[8];
    struct list *alist = arn_new(list_type);
    struct dict *adict = arn_new(dict_type);
    struct tuple *atuple = arn_new_array(tuple_type, 2);
    arn_type *leaf =
        arn_type_register(&(struct arn_type_info){.name = "int", .bytes = 8, .shape = ARN_LEAF});
    void *one = arn_new(leaf);
    list_append(alist, one);
    list_append(alist, one);
    list_append(alist, adict);
    ASSERT_EQ(arn_get_referents(alist, found, 8), 3); /* each reference */
    qsort(found, 3, sizeof *found, compare_pointers);
    EXPECT_TRUE(found[0] == adict || found[2] == adict);
    EXPECT_EQ(found[1], one);
    arn_set(&atuple->items[0], alist);
    arn_set(&adict->values[3], atuple);
    EXPECT_EQ(arn_get_referents(atuple, found, 8), 1);
    EXPECT_EQ(found[0], alist);
    EXPECT_EQ(arn_get_referents(one, found, 8), 0); /* an int has none */
    found[0] = NULL;
    EXPECT_EQ(arn_get_referents(alist, found, 0), 3);
    EXPECT_EQ(found[0], NULL);
    EXPECT_EQ(arn_get_referrers(one, found, 8), 1); /* each object once */
    EXPECT_EQ(found[0], alist);
    EXPECT_EQ(arn_get_referrers(alist, found, 8), 1);
    EXPECT_EQ(found[0], atuple);
    EXPECT_EQ(arn_get_referrers(atuple, found, 8), 1);
    EXPECT_EQ(found[0], adict);
    EXPECT_EQ(arn_refcount(alist), 2);
    arn_untrack(atuple);
    EXPECT_EQ(arn_get_referrers(alist, found, 8), 0); /* of the tracked */
}

/* test_is_tracked */
CASE(tracked, what_cannot_refer_is_not_tracked)
{
    arn_type *leaf =
        arn_type_register(&(struct arn_type_info){.name = "int", .bytes = 8, .shape = ARN_LEAF});
    EXPECT_FALSE(arn_is_tracked(arn_new(leaf)));
    EXPECT_TRUE(arn_is_tracked(arn_new(list_type)));
    EXPECT_TRUE(arn_is_tracked(arn_new(dict_type)));
    EXPECT_TRUE(arn_is_tracked(arn_new_array(tuple_type, 0)));
    EXPECT_TRUE(arn_is_tracked(new_class(NULL)));
}

static struct instance *storage[4];
static int stored;

static void store(void *object)
{
    arn_incref(object);
    storage[stored++] = object;
}

/* test_is_finalized */
CASE(is_finalized, a_resurrected_object_says_that_it_was_finalized)
{
    arn_type *type = make_instance_type("Lazarus", store);
    struct instance *lazarus = new_instance(type, NULL);
    EXPECT_FALSE(arn_is_finalized(lazarus));
    EXPECT_FALSE(arn_is_finalized(arn_new(list_type)));
    arn_decref(lazarus);
    EXPECT_EQ(storage[0], lazarus);
    EXPECT_TRUE(arn_is_finalized(lazarus));
    arn_decref(storage[0]);
    EXPECT_EQ(stored, 1);
}

struct seen {
    const void *wanted;
    int times;
};

static void see(void *object, void *context)
{
    struct seen *seen = context;
    seen->times += object == seen->wanted;
}

static int times_among_objects(const void *object)
{
    struct seen seen = {object, 0};
    arn_foreach_object(see, &seen);
    return seen.times;
}

/* test_get_objects, test_get_objects_generations: there is one list for all generations */
CASE(get_objects, every_object_is_met_once_however_old)
{
    struct list *l = arn_new(list_type);
    list_append(l, l);
    for (int generation = 0; generation < ARN_GENERATIONS; generation++) {
        EXPECT_EQ(times_among_objects(l), 1);
        arn_gc_collect(generation);
    }
    EXPECT_EQ(times_among_objects(l), 1);
    arn_decref(l);
    EXPECT_EQ(times_among_objects(l), 1);
    arn_gc_collect(2);
    EXPECT_EQ(times_among_objects(l), 0);
}

/* test_freeze */
CASE(freeze, frozen_objects_are_counted_until_unfrozen)
{
    void *a = arn_new(dict_type);
    arn_gc_freeze();
    EXPECT_GT(arn_gc_freeze_count(), 0);
    EXPECT_TRUE(arn_is_tracked(a));
    arn_gc_unfreeze();
    EXPECT_EQ(arn_gc_freeze_count(), 0);
}

/* ---- finalizers and resurrection ---- */

/* test_resurrection_only_happens_once_per_object */
CASE(once, resurrection_happens_once_per_object)
{
    arn_type *type = make_instance_type("Lazarus", store);
    struct instance *l = new_instance(type, NULL);
    set_name(l, 0, l);
    arn_gc_collect(2);
    arn_decref(l);
    EXPECT_EQ(arn_gc_collect(2), 0);
    ASSERT_EQ(stored, 1);
    EXPECT_EQ(storage[0], l);
    EXPECT_EQ(get_name(l, 0), l);
    arn_clear(&storage[0]);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_EQ(stored, 1);
    EXPECT_EQ(alive(), 0);
}

/* test_resurrection_is_transitive */
CASE(transitive, what_a_resurrected_object_leads_to_lives_too)
{
    arn_type *type = make_instance_type("Lazarus", store);
    struct instance *l = new_instance(type, NULL), *cargo = new_instance(instance_type, NULL);
    set_name(l, 0, cargo);
    set_name(cargo, 0, l);
    set_name(cargo, 1, cargo);
    arn_decref(cargo);
    arn_decref(l);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(alive(), 4);
    EXPECT_EQ(get_name(storage[0], 0), cargo);
    EXPECT_EQ(arn_refcount(cargo), 2);
    arn_clear(&storage[0]);
    EXPECT_EQ(arn_gc_collect(2), 4);
}

/* test_resurrection_does_not_block_cleanup_of_other_objects */
CASE(others, resurrection_does_not_save_other_garbage)
{
    enum { MANY = 100 };
    arn_type *type = make_instance_type("Z", store);
    for (int i = 0; i < MANY; i++) {
        struct instance *a = new_instance(instance_type, NULL);
        set_name(a, 0, a);
        arn_decref(a);
    }
    EXPECT_EQ(arn_gc_collect(2), 2 * MANY);
    for (int i = 0; i < MANY; i++) {
        struct instance *a = new_instance(instance_type, NULL);
        set_name(a, 0, a);
        arn_decref(a);
    }
    for (int i = 0; i < 3; i++) {
        struct instance *z = new_instance(type, NULL);
        set_name(z, 0, z);
        arn_decref(z);
    }
    EXPECT_EQ(arn_gc_collect(2), 2 * MANY);
    EXPECT_EQ(stored, 3);
    EXPECT_EQ(alive(), 6);
    for (int i = 0; i < 3; i++)
        arn_clear(&storage[i]);
    EXPECT_EQ(arn_gc_collect(2), 6);
    EXPECT_EQ(stored, 3);
}

/* test_finalization's CycleChain, with lengths */
static const int chain_lengths[] = {1, 2, 5, 10, 200};

static struct instance *chain_of(arn_type *first, arn_type *rest, int length)
{
    struct instance *start = new_instance(first, NULL), *last = start;
    for (int i = 1; i < length; i++) {
        struct instance *next = new_instance(rest, NULL);
        next->number = i;
        set_name(last, 0, next);
        arn_decref(next);
        last = next;
    }
    set_name(last, 0, start);
    return start;
}

static void finalized_chain(int length)
{
    begin();
    arn_type *plain = make_instance_type("plain", count_release);
    arn_decref(chain_of(plain, plain, length));
    EXPECT_EQ(arn_gc_collect(2), 2 * length);
    EXPECT_EQ(released, length);
    EXPECT_EQ(alive(), 0);
    arn_type *phoenix = make_instance_type("phoenix", store);
    arn_decref(chain_of(phoenix, plain, length));
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(released, length + length - 1);
    EXPECT_EQ(alive(), 2 * length);
    arn_clear(&storage[0]);
    EXPECT_EQ(arn_gc_collect(2), 2 * length);
    EXPECT_EQ(released, length + length - 1);
    EXPECT_EQ(alive(), 0);
}

TEST_EACH(objects_cpython, chains_of_finalizers_run_once_each_and_may_be_resurrected, int, length,
          chain_lengths)
{
    IN_OWN_PROCESS(finalized_chain(length));
}

/* test_finalization's several resurrectors in one cycle */
CASE(several, several_objects_of_a_cycle_may_be_resurrected)
{
    arn_type *phoenix = make_instance_type("phoenix", store);
    arn_decref(chain_of(phoenix, phoenix, 4));
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(stored, 4);
    for (int i = 0; i < 3; i++)
        arn_clear(&storage[i]);
    EXPECT_EQ(arn_gc_collect(2), 0); /* one holds them all */
    EXPECT_EQ(alive(), 8);
    arn_clear(&storage[3]);
    EXPECT_EQ(arn_gc_collect(2), 8);
}

static void clear_all_names(void *object)
{
    struct instance *instance = object;
    struct dict *dict = instance->dict;
    for (int i = 0; i < NAMES; i++)
        arn_clear(&dict->values[i]);
    released++;
}

/* test_finalization's SelfCycleResurrector without its cycle, clearing finalizers */
CASE(clearing, finalizers_may_clear_everything_and_their_objects_are_still_collected)
{
    arn_type *type = make_instance_type("clearing", clear_all_names);
    arn_decref(chain_of(type, type, 10));
    EXPECT_EQ(arn_gc_collect(2), 20);
    EXPECT_EQ(released, 10);
    EXPECT_EQ(alive(), 0);
}

/* ---- weak references in trash ---- */

static char told[64];

static void tell(arn_weak *weak, void *context)
{
    EXPECT_EQ(arn_weak_get(weak), NULL);
    strcat(told, context);
}

static void *named(const char *name)
{
    return (void *)(uintptr_t)name;
}

static arn_weak *wr_of_finalizer;
static void *seen_by_finalizer;

static void look_at_weak(void *object)
{
    (void)object;
    seen_by_finalizer = arn_weak_get(wr_of_finalizer);
    strcat(told, "f");
}

/* test_bug1055820b: weak references and their callbacks to what is all trash */
CASE(all_trash, callbacks_of_trash_cannot_get_it_back)
{
    struct instance *c0 = new_instance(instance_type, NULL);
    struct instance *c1 = new_instance(instance_type, NULL);
    set_name(c0, 0, c0);
    set_name(c1, 0, c1);
    set_name(c1, 1, c0);
    arn_weak *w0 = arn_weak_new(c0, tell, named("0")), *w1 = arn_weak_new(c1, tell, named("1"));
    arn_decref(c0);
    arn_decref(c1);
    void *again = arn_weak_get(w1);
    EXPECT_EQ(again, c1);
    arn_decref(again);
    EXPECT_EQ(arn_gc_collect(2), 4);
    EXPECT_EQ(strlen(told), 2);
    EXPECT_EQ(arn_weak_get(w0), NULL);
    EXPECT_EQ(arn_weak_get(w1), NULL);
    arn_weak_release(w0);
    arn_weak_release(w1);
}

static arn_weak *to_c2;

static void try_to_save_c2(arn_weak *weak, void *context)
{
    tell(weak, context);
    storage[0] = arn_weak_get(to_c2);
}

/* test_bug1055820c: c2 refers to c1, which an older generation refers to; c0 is trash, and its callback
 * looks for the others */
CASE(bug_c, a_callback_cannot_get_at_other_trash_but_at_what_lives)
{
    struct instance *c0 = new_instance(instance_type, NULL),
                    *c1 = new_instance(instance_type, NULL);
    set_name(c0, 0, c0);
    set_name(c0, 1, c1);
    set_name(c1, 0, c1);
    arn_gc_collect(2); /* c0 and c1 are old */
    struct instance *c2 = new_instance(instance_type, NULL);
    set_name(c2, 0, c2);
    set_name(c2, 1, c1);
    to_c2 = arn_weak_new(c2, tell, named("2"));
    arn_weak *w0 = arn_weak_new(c0, try_to_save_c2, named("0"));
    arn_decref(c1);
    arn_decref(c0);
    arn_decref(c2);
    EXPECT_EQ(arn_gc_collect(0), 2); /* c2 alone: c0 and c1 are too old */
    EXPECT_STREQ(told, "2");
    EXPECT_EQ(arn_gc_collect(2), 4);
    EXPECT_STREQ(told, "20");
    EXPECT_EQ(storage[0], NULL);
    EXPECT_EQ(alive(), 0);
    arn_weak_release(w0);
    arn_weak_release(to_c2);
}

/* test_bug1055820d: as before, with a finalizer instead of a callback */
CASE(bug_d, a_finalizer_cannot_get_at_trash_by_weak_references)
{
    arn_type *type = make_instance_type("finalized", look_at_weak);
    struct instance *d = new_instance(type, NULL), *c = new_instance(instance_type, NULL);
    set_name(d, 0, d);
    set_name(d, 1, c);
    set_name(c, 0, d);
    seen_by_finalizer = c;
    wr_of_finalizer = arn_weak_new(c, tell, named("c"));
    arn_decref(c);
    arn_decref(d);
    EXPECT_EQ(arn_gc_collect(2), 4);
    EXPECT_STREQ(told, "cf"); /* the callback first */
    EXPECT_EQ(seen_by_finalizer, NULL);
    arn_weak_release(wr_of_finalizer);
}

/* test_weakref: callbacks of one object, the newest first */
CASE(order, callbacks_of_an_object_are_called_after_all_were_cleared)
{
    struct instance *a = new_instance(instance_type, NULL);
    arn_weak *weak[3] = {arn_weak_new(a, tell, named("1")), arn_weak_new(a, tell, named("2")),
                         arn_weak_new(a, tell, named("3"))};
    arn_decref(a);
    EXPECT_EQ(strlen(told), 3);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(strcspn(told, (const char[]){(char)('1' + i), 0}) < 3, true);
        arn_weak_release(weak[i]);
    }
}

static void release_itself(arn_weak *weak, void *context)
{
    tell(weak, context);
    arn_weak_release(weak);
}

static void release_other(arn_weak *weak, void *context)
{
    arn_weak **other = context;
    tell(weak, named("x"));
    arn_weak_release(*other);
    *other = NULL;
}

/* test_callback_in_cycle, test_callbacks_on_callback: a weak reference that goes before its callback is
 * not called back */
CASE(gone, a_weak_reference_that_is_gone_is_not_called_back)
{
    struct instance *a = chain_of(instance_type, instance_type, 2);
    arn_weak *one, *two;
    two = arn_weak_new(get_name(a, 0), release_other, &one);
    one = arn_weak_new(a, release_other, &two);
    arn_weak_new(a, release_itself, named("s"));
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 4);
    EXPECT_EQ(strlen(told), 2); /* one of the two released the other */
    EXPECT_TRUE((one == NULL) != (two == NULL));
    arn_weak_release(one);
    arn_weak_release(two);
}

static void collect_now(arn_weak *weak, void *context)
{
    tell(weak, context);
    EXPECT_EQ(arn_gc_collect(2), 0); /* one runs */
    for (int i = 0; i < 1000; i++) { /* and memory is taken and given back meanwhile */
        struct list *l = arn_new(list_type);
        list_append(l, l);
        arn_decref(l);
    }
}

/* test_callback_gcs */
CASE(callback_collects, callbacks_that_collect_and_allocate_do_no_harm)
{
    struct instance *a = chain_of(instance_type, instance_type, 10);
    arn_weak *weak = arn_weak_new(a, collect_now, named("c"));
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 20);
    EXPECT_STREQ(told, "c");
    EXPECT_EQ(arn_gc_collect(2), 1000);
    EXPECT_EQ(alive(), 0);
    arn_weak_release(weak);
}

/* test_callback_in_cycle_resurrection: the weak reference stays cleared although its object lives on */
CASE(weak_and_resurrection, a_resurrected_object_has_lost_its_weak_references)
{
    arn_type *type = make_instance_type("Lazarus", store);
    struct instance *a = new_instance(type, NULL);
    set_name(a, 0, a);
    arn_weak *weak = arn_weak_new(a, tell, named("w"));
    arn_decref(a);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_STREQ(told, "w");
    EXPECT_EQ(storage[0], a);
    EXPECT_EQ(arn_weak_get(weak), NULL);
    arn_weak *later = arn_weak_new(a, tell, named("l"));
    arn_clear(&storage[0]);
    EXPECT_EQ(arn_gc_collect(2), 2);
    EXPECT_STREQ(told, "wl");
    arn_weak_release(weak);
    arn_weak_release(later);
}

/* ---- watchers ---- */

static struct arn_gc_info visits[16];
static int visit_count;

static void visit(const struct arn_gc_info *info, void *context)
{
    *(int *)context += 1;
    visits[visit_count++] = *info;
}

/* GCCallbackTests: test_collect, test_collect_generation, test_collect_garbage */
CASE(callbacks, watchers_are_told_generation_and_what_was_collected)
{
    int mine = 0, other = 0;
    ASSERT_EQ(arn_gc_callback(visit, &mine), 0);
    ASSERT_EQ(arn_gc_callback(visit, &other), 0);
    arn_gc_collect(2);
    EXPECT_EQ(mine, 2);
    EXPECT_EQ(other, 2);
    EXPECT_FALSE(visits[0].ends);
    EXPECT_FALSE(visits[1].ends);
    EXPECT_TRUE(visits[2].ends);
    EXPECT_EQ(visits[3].generation, 2);
    EXPECT_EQ(visits[3].collected, 0);
    EXPECT_TRUE(arn_gc_callback_remove(visit, &other));
    visit_count = 0;
    struct list *l = arn_new(list_type);
    list_append(l, l);
    arn_decref(l);
    arn_gc_collect(1);
    EXPECT_EQ(other, 2);
    ASSERT_EQ(visit_count, 2);
    EXPECT_EQ(visits[1].generation, 1);
    EXPECT_EQ(visits[1].collected, 1);
    EXPECT_TRUE(arn_gc_callback_remove(visit, &mine));
}

/* test_garbage_at_shutdown's neighbour: garbage that a domain still has when it ends */
CASE(at_the_end, garbage_that_was_never_collected_goes_with_its_domain)
{
    arn_domain *domain = arn_domain_create();
    arn_domain_bind(domain);
    arn_type *type = make_instance_type("never", count_release);
    struct list *l = arn_new(list_type);
    list_append(l, l);
    arn_decref(l);
    arn_decref(chain_of(type, type, 5));
    arn_domain_destroy(domain);
    EXPECT_EQ(released, 0);
    EXPECT_EQ(alive(), 0);
}
