/* objects_random.c - random programs over objects, compared with a model that knows only reachability.
 *
 * A program is a row of operations that mean something in whatever state they find, so that any part of it
 * is a program, too: one that fails is shortened until nothing can be left out.
 */
#include <arenite/object.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <sys/wait.h>
#include <unistd.h>

#include "object/cycle.h"
#include "object/rc.h"
#include "object/tenancy.h"
#include "shim.h"

enum { OBJECTS = 400, FIELDS = 3, OPERATIONS = 1200, PROGRAMS = 60, NONE = -1 };
enum { WEAKS = 3, DOMAINS = 2 };

enum shape { PAIR, FINALIZED, PHOENIX, ARRAY, LIST, LEAF, SHARED, SHAPES };

/* ---- the objects ---- */

struct pair {
    void *fields[FIELDS];
    int number;
};
struct array {
    size_t count;
    int number; /* then padding, and the fields */
};
struct list { /* its references are elsewhere */
    void **fields;
    int number;
};

static arn_type *types[SHAPES];

/* Objects are larger in some programs, so that there are more pools, and large arrays. */
static const size_t paddings[] = {0, 0, 1000, 4000, 20000, 40000};
static size_t padding_bytes;

static size_t array_bytes(void)
{
    return sizeof(struct array) + padding_bytes;
}

static void finalized(void *object);
static void resurrected(void *object);

static void list_traverse(void *object, arn_visit *visit, void *context)
{
    struct list *list = object;
    for (int i = 0; list->fields != NULL && i < FIELDS; i++) {
        if (list->fields[i] != NULL)
            visit(list->fields[i], context);
    }
}

static int lists_cleared;

static void list_clear(void *object)
{
    lists_cleared++;
    struct list *list = object;
    for (int i = 0; list->fields != NULL && i < FIELDS; i++)
        arn_clear(&list->fields[i]);
    arn_free(list->fields);
    list->fields = NULL;
}

static void register_types(void)
{
    static const size_t offsets[FIELDS] = {0, sizeof(void *), 2 * sizeof(void *)};
    struct arn_type_info pair = {.name = "pair",
                                 .bytes = sizeof(struct pair) + padding_bytes,
                                 .shape = ARN_FIXED,
                                 .offsets = offsets,
                                 .offset_count = FIELDS};
    types[PAIR] = arn_type_register(&pair);
    pair.shared = true;
    types[SHARED] = arn_type_register(&pair);
    pair.shared = false;
    pair.finalize = finalized;
    types[FINALIZED] = arn_type_register(&pair);
    pair.finalize = resurrected;
    types[PHOENIX] = arn_type_register(&pair);
    types[ARRAY] = arn_type_register(
        &(struct arn_type_info){.name = "array", .bytes = array_bytes(), .shape = ARN_REFARRAY});
    types[LIST] = arn_type_register(&(struct arn_type_info){.name = "list",
                                                            .bytes = sizeof(struct list),
                                                            .shape = ARN_CUSTOM,
                                                            .traverse = list_traverse,
                                                            .clear = list_clear});
    types[LEAF] = arn_type_register(
        &(struct arn_type_info){.name = "leaf", .bytes = sizeof(struct pair), .shape = ARN_LEAF});
}

/* ---- the model ---- */

struct model {
    bool alive;
    enum shape shape;
    int fields[FIELDS];
    int held; /* by the program */
    bool was_finalized, untracked, frozen, immortal, shared;
    int generation;
    int domain;
    void *real;
    arn_weak *weak[WEAKS];
    bool weak_told[WEAKS]; /* or gone with its domain */
};

static struct model objects[OBJECTS];
static int live_objects;
static int lists_dead;
static arn_domain *domains[DOMAINS]; /* [0]: the thread's own, NULL */
static int bound;
static bool attached;  /* the thread: for shared objects */
static bool automatic; /* collections begin by themselves: what they found is looked up */

/* What the library's callbacks said, and what the model says they should have; of one operation. */
static int said_finalized[OBJECTS], said_weak[OBJECTS], should_finalize[OBJECTS],
    should_tell[OBJECTS];
static const char *failure;

static int number_of(void *real, enum shape shape)
{
    return shape == ARRAY  ? ((struct array *)real)->number
           : shape == LIST ? ((struct list *)real)->number
                           : ((struct pair *)real)->number;
}

static void number_it(void *real, enum shape shape, int number)
{
    *(shape == ARRAY  ? &((struct array *)real)->number
      : shape == LIST ? &((struct list *)real)->number
                      : &((struct pair *)real)->number) = number;
}

static void *field_of(int object, int field)
{
    struct model *m = &objects[object];
    return m->shape == ARRAY  ? &((void **)((char *)m->real + array_bytes()))[field]
           : m->shape == LIST ? &((struct list *)m->real)->fields[field]
                              : &((struct pair *)m->real)->fields[field];
}

static void finalized(void *object)
{
    const struct model *m = &objects[((struct pair *)object)->number];
    said_finalized[m - objects]++;
    for (int w = 0; w < WEAKS; w++) {
        if (m->weak[w] != NULL && arn_weak_get(m->weak[w]) != NULL)
            failure = "a finalizer sees a weak reference to its object";
    }
}

/* How an object of type PHOENIX stays: it is held again, or for ever. */
static bool stays_for_ever(int object)
{
    return object % 8 == 7;
}

static void resurrected(void *object)
{
    finalized(object);
    if (stays_for_ever(((struct pair *)object)->number))
        arn_immortalize(object);
    else
        arn_incref(object);
}

static void weak_told(arn_weak *weak, void *context)
{
    (void)weak;
    struct model *m = context;
    said_weak[m - objects]++;
    for (int w = 0; w < WEAKS; w++) {
        if (m->weak[w] != NULL && arn_weak_get(m->weak[w]) != NULL)
            failure = "a cleared weak reference gives an object";
    }
}

static bool may_refer(const struct model *m)
{
    return m->alive && m->shape != LEAF;
}

static int references_to(int object)
{
    int count = objects[object].held;
    for (int i = 0; i < OBJECTS; i++) {
        for (int f = 0; may_refer(&objects[i]) && f < FIELDS; f++)
            count += objects[i].fields[f] == object;
    }
    return count;
}

static void tell_weak(struct model *m)
{
    for (int w = 0; w < WEAKS; w++) {
        should_tell[m - objects] += m->weak[w] != NULL && !m->weak_told[w];
        m->weak_told[w] = true;
    }
}

/* It was finalized for the first time. */
static void resurrect(int object)
{
    struct model *m = &objects[object];
    m->was_finalized = true;
    if (m->shape == PHOENIX && stays_for_ever(object))
        m->immortal = true;
    else
        m->held += m->shape == PHOENIX;
}

static void die(struct model *m)
{
    m->alive = false;
    live_objects--;
    lists_dead += m->shape == LIST;
}

/* The last reference has gone: and of what it alone refers to. */
static void model_release(int object)
{
    int stack[OBJECTS * FIELDS];
    int depth = 0;
    stack[depth++] = object;
    while (depth > 0) {
        int next = stack[--depth];
        struct model *m = &objects[next];
        if (!m->alive || m->immortal || references_to(next) > 0)
            continue;
        tell_weak(m);
        if ((m->shape == FINALIZED || m->shape == PHOENIX) && !m->was_finalized) {
            should_finalize[next]++;
            resurrect(next);
            if (m->shape == PHOENIX)
                continue;
        }
        die(m);
        for (int f = 0; m->shape != LEAF && f < FIELDS; f++) {
            if (m->fields[f] != NONE)
                stack[depth++] = m->fields[f];
        }
    }
}

static bool is_candidate(const struct model *m, int oldest)
{
    return m->alive && m->shape != LEAF && !m->untracked && !m->frozen && !m->immortal &&
           m->domain == bound &&
           (m->shared ? oldest == ARN_GENERATIONS - 1 : m->generation <= oldest);
}

/* What can be reached from what is not in `wanted`, or is held. */
static void spread(const bool wanted[OBJECTS], bool reached[OBJECTS])
{
    bool again = true;
    for (int i = 0; i < OBJECTS; i++)
        reached[i] = objects[i].alive && (!wanted[i] || objects[i].held > 0 || objects[i].immortal);
    while (again) {
        again = false;
        for (int i = 0; i < OBJECTS; i++) {
            for (int f = 0; reached[i] && objects[i].shape != LEAF && f < FIELDS; f++) {
                int to = objects[i].fields[f];
                again |= to != NONE && !reached[to];
                if (to != NONE)
                    reached[to] = true;
            }
        }
    }
}

static long model_collect(int oldest)
{
    bool wanted[OBJECTS], reached[OBJECTS], garbage[OBJECTS];
    long collected = 0;
    for (int i = 0; i < OBJECTS; i++)
        wanted[i] = is_candidate(&objects[i], oldest);
    spread(wanted, reached);
    for (int i = 0; i < OBJECTS; i++) {
        struct model *m = &objects[i];
        garbage[i] = wanted[i] && !reached[i];
        if (!garbage[i])
            continue;
        tell_weak(m);
        if ((m->shape == FINALIZED || m->shape == PHOENIX) && !m->was_finalized) {
            should_finalize[i]++;
            resurrect(i);
        }
    }
    spread(garbage, reached);
    for (int i = 0; i < OBJECTS; i++) {
        if (garbage[i] && !reached[i]) {
            die(&objects[i]);
            collected++;
        }
    }
    for (int i = 0; i < OBJECTS; i++) {
        for (int f = 0; garbage[i] && !objects[i].alive && f < FIELDS; f++) {
            if (objects[i].fields[f] != NONE)
                model_release(objects[i].fields[f]);
        }
    }
    for (int i = 0; i < OBJECTS; i++) {
        if (wanted[i] && objects[i].alive && objects[i].generation <= oldest)
            objects[i].generation = objects[i].generation < 2 ? objects[i].generation + 1 : 2;
        if (wanted[i] && objects[i].alive && oldest == 2)
            objects[i].generation = 2;
    }
    return collected;
}

/* ---- comparing ---- */

static size_t seen;

static void see(void *object, void *context)
{
    (void)context;
    arn_type *type = arn_typeof(object);
    enum shape shape = 0;
    while (types[shape] != type)
        shape++;
    int number = number_of(object, shape);
    seen++;
    if (number < 0 || number >= OBJECTS || !objects[number].alive ||
        objects[number].real != object || objects[number].domain != bound)
        failure = "an object lives that should not";
}

static void wrong_count(void *object, long extra, void *context)
{
    (void)object, (void)extra, (void)context;
    failure = "arn_verify: a count is wrong";
}

static void bind(int domain)
{
    bound = domain;
    arn_domain_bind(domains[domain]);
}

/* Of another domain's objects, what they refer to here is held by the program. */
static void verify(void)
{
    static void *held[OBJECTS * 8];
    size_t count = 0;
    for (int i = 0; i < OBJECTS; i++) {
        const struct model *m = &objects[i];
        for (int h = 0; m->alive && m->domain == bound && h < m->held && count < OBJECTS * 4; h++)
            held[count++] = m->real;
        for (int f = 0; may_refer(m) && m->domain != bound && f < FIELDS; f++) {
            if (m->fields[f] != NONE && objects[m->fields[f]].domain == bound)
                held[count++] = objects[m->fields[f]].real;
        }
    }
    if (count < OBJECTS * 4)
        arn_verify(held, count, wrong_count, NULL);
}

static void compare(bool thorough)
{
    if (memcmp(said_finalized, should_finalize, sizeof said_finalized) != 0)
        failure = "finalizers";
    if (memcmp(said_weak, should_tell, sizeof said_weak) != 0)
        failure = "weak references' callbacks";
    if (lists_cleared != lists_dead)
        failure = "how many lists were cleared";
    for (int i = 0; i < OBJECTS; i++) {
        const struct model *m = &objects[i];
        if (!m->alive)
            continue;
        if (!m->immortal && arn_refcount(m->real) != (size_t)references_to(i))
            failure = "a count";
        if (arn_is_finalized(m->real) != m->was_finalized)
            failure = "finalized or not";
        if (number_of(m->real, m->shape) != i)
            failure = "contents";
    }
    if (!thorough)
        return;
    seen = 0;
    int now = bound;
    for (int d = 0; d < DOMAINS; d++) {
        bind(d);
        arn_foreach_object(see, NULL);
        verify();
    }
    bind(now);
    if (seen != (size_t)live_objects)
        failure = "the number of objects";
}

/* ---- operations ---- */

struct operation {
    unsigned char what;
    unsigned a, b, c;
};

static int nth_held(unsigned n)
{
    int held = 0;
    for (int i = 0; i < OBJECTS; i++)
        held += objects[i].alive && objects[i].held > 0;
    if (held == 0)
        return NONE;
    for (int i = 0, left = (int)(n % (unsigned)held);; i++) {
        if (objects[i].alive && objects[i].held > 0 && left-- == 0)
            return i;
    }
}

/* What a program can get at: held, or a few steps from there. */
static int reachable(unsigned n)
{
    int at = nth_held(n);
    for (unsigned steps = n >> 8 & 3; at != NONE && steps > 0 && objects[at].shape != LEAF;
         steps--) {
        int next = objects[at].fields[(n >> (10 + steps)) % FIELDS];
        if (next == NONE)
            break;
        at = next;
    }
    return at;
}

/* What automatic collections did is what they may have done. */

static bool lives[OBJECTS];

static void note_alive(void *object, void *context)
{
    (void)context;
    arn_type *type = arn_typeof(object);
    enum shape shape = 0;
    while (types[shape] != type)
        shape++;
    lives[number_of(object, shape)] = true;
}

static void follow_automatic(void)
{
    bool wanted[OBJECTS], reached[OBJECTS], dead[OBJECTS];
    memset(lives, 0, sizeof lives);
    arn_foreach_object(note_alive, NULL);
    for (int i = 0; i < OBJECTS; i++)
        wanted[i] = is_candidate(&objects[i], ARN_GENERATIONS - 1);
    spread(wanted, reached);
    for (int i = 0; i < OBJECTS; i++) { /* found, whether it then lived on or not */
        struct model *m = &objects[i];
        dead[i] = wanted[i] && !reached[i] && !lives[i];
        bool finalizes = said_finalized[i] > should_finalize[i];
        if (!wanted[i] || reached[i] || !(dead[i] || finalizes || said_weak[i] > should_tell[i]))
            continue;
        tell_weak(m);
        if ((m->shape == FINALIZED || m->shape == PHOENIX) && !m->was_finalized) {
            should_finalize[i]++;
            resurrect(i);
        }
    }
    spread(wanted, reached);
    for (int i = 0; i < OBJECTS; i++) {
        if (dead[i] && reached[i])
            failure = "an object that was resurrected is gone";
        if (dead[i])
            die(&objects[i]);
    }
    for (int i = 0; i < OBJECTS; i++) {
        for (int f = 0; dead[i] && f < FIELDS; f++) {
            if (objects[i].fields[f] != NONE)
                model_release(objects[i].fields[f]);
        }
    }
}

static void make(unsigned shape)
{
    int i = 0;
    while (i < OBJECTS && (objects[i].alive || objects[i].weak[0] != NULL ||
                           objects[i].weak[1] != NULL || objects[i].weak[2] != NULL))
        i++;
    if (i == OBJECTS)
        return;
    void *real = shape == ARRAY ? arn_new_array(types[ARRAY], FIELDS) : arn_new(types[shape]);
    if (real == NULL) {
        failure = "no memory";
        return;
    }
    /* Its number is not known yet, and the memory is zero: it is met as number 0. */
    number_it(real, shape, i);
    if (automatic)
        follow_automatic();
    objects[i] = (struct model){.alive = true,
                                .shape = shape,
                                .held = 1,
                                .real = real,
                                .domain = bound,
                                .shared = shape == SHARED};
    for (int f = 0; f < FIELDS; f++)
        objects[i].fields[f] = NONE;
    if (shape == LIST)
        ((struct list *)real)->fields = arn_calloc(FIELDS, sizeof(void *));
    live_objects++;
}

static void set(int from, unsigned f, int to, bool moves)
{
    if (from == NONE || objects[from].shape == LEAF)
        return;
    struct model *m = &objects[from];
    int before = m->fields[f % FIELDS];
    if (to != NONE && moves && objects[to].held == 0)
        moves = false;
    void *field = field_of(from, (int)(f % FIELDS));
    void *real = to == NONE ? NULL : objects[to].real;
    m->fields[f % FIELDS] = to;
    if (to != NONE && moves)
        objects[to].held--;
    if (before != NONE)
        model_release(before);
    if (to == NONE)
        arn_clear(field);
    else if (moves)
        arn_move(field, real);
    else
        arn_set(field, real);
}

/* The domain's automatic collections: often, or not at all. */
static void pace(arn_domain *domain)
{
    static const size_t often[ARN_GENERATIONS] = {7, 2, 2};
    arn_domain_bind(domain);
    if (automatic)
        arn_gc_set_threshold(often);
    else
        arn_gc_disable();
    bind(bound);
}

static void drop(int object)
{
    if (object == NONE)
        return;
    void *real = objects[object].real;
    objects[object].held--;
    model_release(object);
    arn_decref(real);
}

static void collect(int oldest)
{
    if (automatic && oldest < ARN_GENERATIONS - 1) { /* how old they are is not known */
        arn_gc_collect(oldest);
        follow_automatic();
        return;
    }
    long should = model_collect(oldest);
    if (arn_gc_collect(oldest) != should)
        failure = "how many were collected";
}

/* Automatic full passes find as much as exhaustive ones: nothing becomes garbage unsuspected. */
static void collect_suspects(void)
{
    long should = model_collect(ARN_GENERATIONS - 1);
    if (arn__domain_here() == NULL ||
        arn__cycle_collect(arn__domain_here(), ARN_GENERATIONS - 1, true) != should)
        failure = "how many suspects were collected";
}

static void pass_over_young(void)
{
    for (int i = 0; i < OBJECTS; i++) {
        struct model *m = &objects[i];
        if (m->alive && m->shape != LEAF && !m->untracked && m->domain == bound)
            m->generation = 2;
    }
    if (arn__domain_here() != NULL)
        arn__cycle_pass_over_young(arn__domain_here());
}

static void weak(int object, unsigned n)
{
    if (object == NONE)
        return;
    struct model *m = &objects[object];
    unsigned w = n % WEAKS;
    if (m->weak[w] == NULL) {
        m->weak_told[w] = false;
        m->weak[w] = arn_weak_new(m->real, weak_told, m);
    } else if (!m->weak_told[w]) {
        void *real = arn_weak_get(m->weak[w]);
        if (real != m->real)
            failure = "a weak reference does not give its object";
        arn_xdecref(real);
    }
}

static void forget_weak(unsigned n)
{
    struct model *m = &objects[n % OBJECTS];
    unsigned w = n / OBJECTS % WEAKS;
    arn_weak_release(m->weak[w]);
    m->weak[w] = NULL;
    m->weak_told[w] = false;
}

static void track(int object, bool on)
{
    if (object == NONE || objects[object].shape == LEAF)
        return;
    struct model *m = &objects[object];
    if (on && m->untracked) {
        m->generation = 0;
        m->frozen = false;
        arn_track(m->real);
    } else if (!on) {
        arn_untrack(m->real);
    }
    m->untracked = !on;
}

static void freeze(bool on)
{
    size_t should = 0;
    for (int i = 0; i < OBJECTS; i++) {
        struct model *m = &objects[i];
        if (!m->alive || m->domain != bound || m->shape == LEAF || (on && m->untracked))
            continue;
        if (!on && m->frozen)
            m->generation = 2;
        m->frozen = on;
        should += on;
    }
    if (on)
        arn_gc_freeze();
    else
        arn_gc_unfreeze();
    for (int i = 0; on && i < OBJECTS; i++)
        should += objects[i].alive && objects[i].domain == bound && objects[i].untracked &&
                  objects[i].frozen;
    if (arn_gc_freeze_count() != should)
        failure = "the number of frozen objects";
}

/* What another domain refers to there is given up first: bound, so that its shared objects, too, are
 * released at once. */
static void destroy_domain(int domain)
{
    bind(0);
    for (int i = 0; i < OBJECTS; i++) {
        for (int f = 0; may_refer(&objects[i]) && f < FIELDS; f++) {
            int to = objects[i].fields[f];
            if (objects[i].domain != domain && to != NONE && objects[to].domain == domain)
                set(i, (unsigned)f, NONE, false);
        }
    }
    bool dead[OBJECTS];
    for (int i = 0; i < OBJECTS; i++) {
        struct model *m = &objects[i];
        dead[i] = m->alive && m->domain == domain;
        if (!dead[i])
            continue;
        die(m);
        m->held = 0;
        for (int w = 0; w < WEAKS; w++)
            m->weak_told[w] = true;
    }
    for (int i = 0; i < OBJECTS; i++) {
        for (int f = 0; dead[i] && objects[i].shape != LEAF && f < FIELDS; f++) {
            if (objects[i].fields[f] != NONE && objects[objects[i].fields[f]].domain != domain)
                model_release(objects[i].fields[f]);
        }
    }
    arn_domain_destroy(domains[domain]);
    domains[domain] = arn_domain_create();
    pace(domains[domain]);
}

/* Shared objects of the domain that is not bound wait for that. */
static void release_shared(void)
{
    int now = bound;
    bind(0);
    if (arn__domain_here() != NULL)
        arn__rc_drain_remote(arn__domain_here());
    bind(now);
}

/* A child finds what the parent would have found. */
static void in_a_child(void)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        collect(ARN_GENERATIONS - 1);
        release_shared();
        compare(true);
        _exit(failure != NULL);
    }
    int status = 1;
    waitpid(child, &status, 0);
    if (status != 0)
        failure = "in a child";
}

static void perform(const struct operation *op)
{
    unsigned what = op->what;
    if (what < 55)
        make(op->a % SHAPES);
    else if (what < 60) {
        int object = reachable(op->a);
        if (object != NONE) {
            objects[object].shared = true;
            arn_share(objects[object].real);
        }
    } else if (what < 130)
        set(reachable(op->a), op->b, reachable(op->c), false);
    else if (what < 155)
        set(reachable(op->a), op->b, nth_held(op->c), true);
    else if (what < 165)
        set(reachable(op->a), op->b, NONE, false);
    else if (what < 210)
        drop(nth_held(op->a));
    else if (what < 217) {
        int object = reachable(op->a);
        if (object != NONE) {
            objects[object].held++;
            arn_incref(objects[object].real);
        }
    } else if (what < 228)
        weak(reachable(op->a), op->b);
    else if (what < 232)
        forget_weak(op->a);
    else if (what < 236)
        track(reachable(op->a), op->b % 2);
    else if (what < 238)
        freeze(op->a % 3 == 0);
    else if (what < 239) {
        int object = reachable(op->a);
        if (object != NONE && op->b % 8 == 0) {
            objects[object].immortal = true;
            arn_immortalize(objects[object].real);
        }
    } else if (what < 240) {
        if (op->a % 16 == 0)
            destroy_domain(1);
        else if (op->a % 16 == 1)
            in_a_child();
        else
            bind((int)(op->b % DOMAINS));
    } else if (what < 243)
        collect_suspects();
    else if (what < 244)
        pass_over_young();
    else
        collect((const int[]){0, 0, 1, 1, 2}[op->a % 5]);
}

/* ---- programs ---- */

static uint64_t step_of(uint64_t *state)
{
    /* Vigna, "splitmix64", 2015. */
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void generate(struct operation *program, uint64_t seed)
{
    for (int i = 0; i < OPERATIONS; i++) {
        program[i].what = (unsigned char)step_of(&seed);
        program[i].a = (unsigned)step_of(&seed);
        program[i].b = (unsigned)step_of(&seed);
        program[i].c = (unsigned)step_of(&seed);
    }
}

static bool run(const struct operation *program, int length, bool tells)
{
    memset(objects, 0, sizeof objects);
    live_objects = 0;
    failure = NULL;
    memset(said_finalized, 0, sizeof said_finalized);
    memset(said_weak, 0, sizeof said_weak);
    memset(should_finalize, 0, sizeof should_finalize);
    memset(should_tell, 0, sizeof should_tell);
    register_types();
    /* There may have been threads: other tests', or a sanitizer's. */
    if ((attached || !__libc_single_threaded) && arn_thread_attach() != 0)
        failure = "not attached";
    lists_cleared = lists_dead = bound = 0;
    domains[1] = arn_domain_create();
    for (int d = 0; d < DOMAINS; d++)
        pace(domains[d]);
    for (int i = 0; i < length && failure == NULL; i++) {
        perform(&program[i]);
        release_shared();
        compare(program[i].what >= 200 || i + 1 == length);
        if (failure != NULL && tells)
            fprintf(stderr, "operation %d of %d (%u %u %u %u): %s\n", i, length, program[i].what,
                    program[i].a, program[i].b, program[i].c, failure);
    }
    return failure == NULL;
}

/* In a child: what fails may crash. */
static bool fails(const struct operation *program, int length)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        freopen("/dev/null", "w", stderr);
        _exit(!run(program, length, false));
    }
    int status;
    waitpid(child, &status, 0);
    return status != 0;
}

/* Leaves out what it can, in pieces that become smaller (Zeller, "Yesterday, my program worked", 1999). */
static int shorten(struct operation *program, int length)
{
    struct operation part[OPERATIONS];
    for (int piece = length / 2; piece > 0; piece /= 2) {
        for (int at = 0; at + piece <= length;) {
            memcpy(part, program, (size_t)at * sizeof *part);
            memcpy(part + at, program + at + piece, (size_t)(length - at - piece) * sizeof *part);
            if (fails(part, length - piece)) {
                length -= piece;
                memcpy(program, part, (size_t)length * sizeof *part);
            } else {
                at += piece;
            }
        }
    }
    return length;
}

TEST(objects_random, do_what_reachability_says)
{
    static struct operation program[OPERATIONS];
    const char *first = getenv("ARENITE_TEST_SEED");
    uint64_t seed = first == NULL ? 1 : strtoull(first, NULL, 10);
    const char *count = getenv("ARENITE_TEST_PROGRAMS");
    uint64_t programs = EMULATED ? PROGRAMS / 40 : PROGRAMS; /* each takes seconds there */
    uint64_t end = seed + (count == NULL ? programs : strtoull(count, NULL, 10));
    for (; seed < end; seed++) {
        generate(program, seed);
        automatic = seed % 4 == 0;
        attached = seed % 2 == 0;
        padding_bytes = paddings[seed % (sizeof paddings / sizeof *paddings)];
        if (!fails(program, OPERATIONS))
            continue;
        int length = shorten(program, OPERATIONS);
        fprintf(stderr, "seed %llu, shortened to %d operations:\n", (unsigned long long)seed,
                length);
        for (int i = 0; i < length; i++)
            fprintf(stderr, "    {%u, %u, %u, %u},\n", program[i].what, program[i].a, program[i].b,
                    program[i].c);
        IN_OWN_PROCESS(EXPECT_TRUE(run(program, length, true)));
        EXPECT_TRUE(!"a random program does not do what reachability says");
        return;
    }
}
