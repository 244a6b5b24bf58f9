/* objects_threads.c - attached threads: cycles of shared objects are found while others run.
 *
 * Where a test waits for another thread to get somewhere, that thread says so first; nothing sleeps and hopes.
 */
#include <arenite/object.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nodes.h"
#include "sanitized.h"
#include "shim.h"

enum { THREADS = 3, SECONDS_MOST = 300 };

static arn_type *shared_begin(void (*finalize)(void *))
{
    alarm(SECONDS_MOST); /* what hangs fails */
    arn_gc_disable();
    return any_node_type("shared", finalize, true);
}

static pthread_t start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, argument) != 0)
        abort();
    return thread;
}

/* A safepoint, after which other threads have the processor: nobody waits for who has not. */
static void yield(void)
{
    arn_blocking_begin();
    sched_yield();
    arn_blocking_end();
}

static void await(const atomic_int *what, int value)
{
    while (atomic_load(what) < value)
        yield();
}

/* As a thread that waits in a call of the system. */
static void join(pthread_t thread)
{
    arn_blocking_begin();
    pthread_join(thread, NULL);
    arn_blocking_end();
}

/* ---- one thread ---- */

static void alone(void)
{
    arn_type *type = shared_begin(NULL), *plain = node_type("node", NULL);
    arn_decref(node_ring(type, 5));
    EXPECT_EQ(arn_gc_collect(0), 0);
    EXPECT_EQ(arn_gc_collect(1), 0);
    EXPECT_EQ(arn_gc_collect(2), 5);
    struct node *mixed = node_ring(plain, 3);
    arn_share(mixed->left);
    arn_decref(mixed);
    EXPECT_EQ(arn_gc_collect(1), 0);
    EXPECT_EQ(arn_gc_collect(2), 3);
    struct node *kept = node_ring(type, 4);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(arn_refcount(kept), 2);
    arn_decref(kept);
    EXPECT_EQ(arn_gc_collect(2), 4);
    EXPECT_EQ(objects_alive(), 0);
}

TEST(objects_threads, cycles_of_shared_objects_are_found_where_there_is_one_thread)
{
    IN_OWN_PROCESS(alone());
}

/* Old, calm, in a pool where nothing has happened since. */
static void shared_when_old(void)
{
    arn_type *plain = node_type("node", NULL);
    shared_begin(NULL);
    struct node *ring = node_ring(plain, 6);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(arn_gc_collect(2), 0);
    arn_share(ring->left);
    arn_decref(ring);
    EXPECT_EQ(arn_gc_collect(2), 6);
    /* Out of collections, and in again. */
    ring = node_ring(plain, 6);
    arn_share(ring);
    arn_untrack(ring);
    EXPECT_EQ(arn_gc_collect(2), 0);
    arn_track(ring);
    arn_gc_freeze();
    EXPECT_EQ(arn_gc_collect(2), 0);
    arn_gc_unfreeze();
    arn_decref(ring);
    EXPECT_EQ(arn_gc_collect(2), 6);
    /* Larger than pools. */
    arn_type *large = arn_type_register(&(struct arn_type_info){
        .name = "large", .bytes = sizeof(size_t), .shape = ARN_REFARRAY, .shared = true});
    void **array = arn_new_array(large, 10000);
    arn_set(&array[1], array);
    EXPECT_EQ(arn_gc_collect(2), 0);
    arn_decref(array);
    EXPECT_EQ(arn_gc_collect(2), 1);
}

TEST(objects_threads, objects_are_looked_at_however_they_came_to_be_shared)
{
    IN_OWN_PROCESS(shared_when_old());
}

static void *wait_for_nothing(void *argument)
{
    (void)argument;
    return NULL;
}

static void no_stop_without_need(void)
{
    arn_type *type = shared_begin(NULL), *plain = node_type("node", NULL);
    join(start(wait_for_nothing, NULL)); /* there have been threads */
    arn_decref(node_ring(type, 5));
    arn_decref(node_ring(plain, 2));
    EXPECT_EQ(arn_gc_collect(2), 2); /* not attached: others may touch what is shared */
    EXPECT_EQ(arn_thread_attach(), 0);
    EXPECT_EQ(arn_thread_attach(), 0);
    arn_blocking_begin();
    EXPECT_EQ(arn_gc_collect(2), 0); /* nor is anything to be touched here */
    arn_blocking_end();
    EXPECT_EQ(arn_gc_collect(2), 5);
    arn_thread_detach();
    arn_thread_detach();
    arn_decref(node_ring(type, 5));
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(arn_thread_attach(), 0);
    EXPECT_EQ(arn_gc_collect(2), 5);
}

TEST(objects_threads, threads_that_are_not_attached_take_shared_objects_for_referred_to)
{
    IN_OWN_PROCESS(no_stop_without_need());
}

static void blocking_misuse(void)
{
    EXPECT_DEATH(arn_blocking_end(), "arn_blocking_end.*in no blocking section");
}

TEST(objects_threads, a_blocking_section_that_did_not_begin_is_told)
{
    blocking_misuse();
}

/* ---- others run ---- */

struct works {
    struct node *shared;
    arn_weak *weak;
    atomic_int ready, ends;
    atomic_long done;
};

/* Takes and gives up references, and makes objects that refer to what is shared. */
static void *work(void *argument)
{
    struct works *works = argument;
    arn_type *plain = node_type("node", NULL);
    if (arn_thread_attach() != 0)
        abort();
    arn_gc_disable();
    atomic_fetch_add(&works->ready, 1);
    while (!atomic_load(&works->ends)) {
        struct node *mine = arn_new(plain);
        arn_set(&mine->left, works->shared);
        arn_set(&mine->right, works->shared->left);
        struct node *found = arn_weak_get(works->weak);
        arn_xdecref(found);
        arn_incref(works->shared);
        arn_safepoint();
        arn_decref(works->shared);
        arn_decref(mine);
        yield();
        atomic_fetch_add(&works->done, 1);
    }
    return NULL;
}

static void among_threads(void)
{
    enum { ROUNDS = SANITIZED ? 100 : 300 };
    arn_type *type = shared_begin(NULL);
    ASSERT_EQ(arn_thread_attach(), 0);
    static struct works works;
    works.shared = node_ring(type, 3);
    works.weak = arn_weak_new(works.shared, NULL, NULL);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(work, &works);
    await(&works.ready, THREADS);
    for (int i = 0; i < ROUNDS; i++) {
        arn_decref(node_ring(type, 7));
        EXPECT_EQ(arn_gc_collect(2), 7);
    }
    EXPECT_GE(arn_refcount(works.shared), 2);
    arn_safepoint();
    atomic_store(&works.ends, 1);
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    EXPECT_EQ(arn_refcount(works.shared), 2);
    EXPECT_EQ(objects_alive(), 3);
    arn_decref(works.shared);
    EXPECT_EQ(arn_gc_collect(2), 3);
    EXPECT_EQ(arn_weak_get(works.weak), NULL);
    arn_weak_release(works.weak);
}

TEST(objects_threads, shared_cycles_are_found_while_others_count_and_refer)
{
    IN_OWN_PROCESS(among_threads());
}

/* ---- what another thread holds ---- */

struct holds {
    struct node *object;
    atomic_int step;
};

static void *hold(void *argument)
{
    struct holds *holds = argument;
    if (arn_thread_attach() != 0)
        abort();
    arn_incref(holds->object);
    atomic_store(&holds->step, 1);
    await(&holds->step, 2);
    arn_decref(holds->object);
    atomic_store(&holds->step, 3);
    await(&holds->step, 4);
    return NULL;
}

static void held_by_another(void)
{
    static struct holds holds;
    arn_type *type = shared_begin(NULL);
    arn_thread_attach();
    struct node *ring = node_ring(type, 4);
    holds.object = ring->left;
    pthread_t thread = start(hold, &holds);
    await(&holds.step, 1);
    arn_decref(ring);
    EXPECT_EQ(arn_gc_collect(2), 0);
    EXPECT_EQ(objects_alive(), 4);
    atomic_store(&holds.step, 2);
    await(&holds.step, 3);
    EXPECT_EQ(arn_gc_collect(2), 4);
    atomic_store(&holds.step, 4);
    join(thread);
}

TEST(objects_threads, a_shared_cycle_stays_while_another_thread_holds_it)
{
    IN_OWN_PROCESS(held_by_another());
}

/* Of another domain, an object's reference counts as from outside: also if the two make a cycle. */
static void *refer(void *argument)
{
    struct holds *holds = argument;
    if (arn_thread_attach() != 0)
        abort();
    struct node *mine = arn_new(any_node_type("other", NULL, true));
    arn_set(&mine->left, holds->object);
    arn_set(&holds->object->right, mine);
    arn_decref(mine);
    arn_gc_collect(2);
    atomic_store(&holds->step, 1);
    await(&holds->step, 2);
    arn_clear(&mine->left);
    atomic_store(&holds->step, 3);
    return NULL;
}

static void across_domains(void)
{
    static struct holds holds;
    arn_type *type = shared_begin(NULL);
    arn_thread_attach();
    struct node *ring = node_ring(type, 4);
    holds.object = ring;
    pthread_t thread = start(refer, &holds);
    await(&holds.step, 1);
    arn_decref(ring);
    EXPECT_EQ(arn_gc_collect(2), 0);
    atomic_store(&holds.step, 2);
    await(&holds.step, 3);
    EXPECT_EQ(arn_gc_collect(2), 4);
    join(thread);
}

TEST(objects_threads, a_cycle_over_two_domains_is_not_found_until_it_is_broken)
{
    IN_OWN_PROCESS(across_domains());
}

/* ---- blocking sections ---- */

struct blocks {
    atomic_int step;
    int pipe[2];
    int depth;
};

static void *block(void *argument)
{
    struct blocks *blocks = argument;
    char byte;
    if (arn_thread_attach() != 0)
        abort();
    for (int i = 0; i < blocks->depth; i++)
        arn_blocking_begin();
    atomic_store(&blocks->step, 1);
    if (read(blocks->pipe[0], &byte, 1) != 1)
        abort();
    for (int i = 0; i < blocks->depth; i++)
        arn_blocking_end();
    arn_safepoint();
    return NULL;
}

static void blocked(int depth)
{
    struct blocks blocks = {.depth = depth};
    arn_type *type = shared_begin(NULL);
    arn_thread_attach();
    ASSERT_EQ(pipe(blocks.pipe), 0);
    pthread_t thread = start(block, &blocks);
    await(&blocks.step, 1);
    for (int i = 0; i < 10; i++) {
        arn_decref(node_ring(type, 3));
        EXPECT_EQ(arn_gc_collect(2), 3);
    }
    ASSERT_EQ(write(blocks.pipe[1], "", 1), 1);
    for (int i = 0; i < 10; i++) {
        arn_decref(node_ring(type, 3));
        EXPECT_EQ(arn_gc_collect(2), 3);
    }
    join(thread);
}

static const int depths[] = {1, 3};

TEST_EACH(objects_threads, in_blocking_sections_are_not_waited_for, int, depth, depths)
{
    IN_OWN_PROCESS(blocked(depth));
}

/* ---- a stop waits ---- */

static atomic_int inside, met, running_threads;

static void traverse_alone(void *object, arn_visit *visit, void *context)
{
    struct node *node = object;
    if (node->left != NULL)
        visit(node->left, context);
    for (int i = 0; i < 100; i++) {
        if (atomic_load(&inside) != 0)
            atomic_store(&met, 1);
        sched_yield();
    }
}

static void clear_node(void *object)
{
    arn_clear(&((struct node *)object)->left);
}

static void finalize_nothing(void *object)
{
    (void)object;
    sched_yield();
}

/* Finalizers make the collector look again. */
static arn_type *custom_type(void (*traverse)(void *object, arn_visit *visit, void *context))
{
    return arn_type_register(&(struct arn_type_info){.name = "custom",
                                                     .bytes = sizeof(struct node),
                                                     .shape = ARN_CUSTOM,
                                                     .traverse = traverse,
                                                     .clear = clear_node,
                                                     .finalize = finalize_nothing,
                                                     .shared = true});
}

/* Only between safepoints it is inside. */
static void *be_inside(void *ends)
{
    if (arn_thread_attach() != 0)
        abort();
    atomic_fetch_add(&running_threads, 1);
    while (!atomic_load((atomic_int *)ends)) {
        atomic_fetch_add(&inside, 1);
        for (int i = 0; i < 20; i++)
            sched_yield();
        atomic_fetch_sub(&inside, 1);
        arn_safepoint();
    }
    return NULL;
}

static void stops_wait(void)
{
    shared_begin(NULL);
    arn_type *type = custom_type(traverse_alone);
    atomic_int ends = 0;
    pthread_t threads[THREADS];
    arn_thread_attach();
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(be_inside, &ends);
    await(&running_threads, THREADS);
    for (int i = 0; i < 20; i++) {
        arn_decref(node_ring(type, 1));
        EXPECT_EQ(arn_gc_collect(2), 1);
    }
    EXPECT_EQ(atomic_load(&met), 0);
    atomic_store(&ends, 1);
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
}

TEST(objects_threads, are_at_safepoints_while_objects_are_looked_at)
{
    IN_OWN_PROCESS(stops_wait());
}

/* ---- the end of a blocking section waits ---- */

static atomic_int stopped, seen_running, may_end;

static void traverse_slowly(void *object, arn_visit *visit, void *context)
{
    struct node *node = object;
    if (node->left != NULL)
        visit(node->left, context);
    if (!atomic_exchange(&stopped, 1)) {
        atomic_store(&may_end, 1);
        for (int i = 0; i < 1000; i++)
            sched_yield();
    }
    atomic_store(&stopped, 0);
}

static void *end_block(void *argument)
{
    (void)argument;
    if (arn_thread_attach() != 0)
        abort();
    arn_blocking_begin();
    atomic_store(&may_end, -1);
    while (atomic_load(&may_end) < 1)
        sched_yield();
    arn_blocking_end();
    atomic_store(&seen_running, 1 + atomic_load(&stopped));
    return NULL;
}

static void ends_wait(void)
{
    shared_begin(NULL);
    arn_thread_attach();
    arn_decref(node_ring(custom_type(traverse_slowly), 1));
    pthread_t thread = start(end_block, NULL);
    while (atomic_load(&may_end) != -1)
        sched_yield();
    EXPECT_EQ(arn_gc_collect(2), 1);
    join(thread);
    EXPECT_EQ(atomic_load(&seen_running), 1);
}

TEST(objects_threads, the_end_of_a_blocking_section_waits_for_the_one_that_stops)
{
    IN_OWN_PROCESS(ends_wait());
}

/* ---- two that collect ---- */

static void *collect_own(void *argument)
{
    enum { ROUNDS = SANITIZED ? 100 : 500 };
    long *collected = argument;
    arn_type *type = any_node_type("own", NULL, true);
    if (arn_thread_attach() != 0)
        abort();
    arn_gc_disable();
    struct node *kept = node_ring(type, 2);
    for (int i = 0; i < ROUNDS; i++) {
        arn_decref(node_ring(type, 4));
        *collected += arn_gc_collect(2) - 4;
    }
    arn_decref(kept);
    *collected += arn_gc_collect(2);
    return NULL;
}

static void two_collect(void)
{
    long collected[THREADS] = {0};
    pthread_t threads[THREADS];
    shared_begin(NULL);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(collect_own, &collected[i]);
    for (int i = 0; i < THREADS; i++) {
        join(threads[i]);
        EXPECT_EQ(collected[i], 2);
    }
}

TEST(objects_threads, several_collect_their_own_domains_at_once)
{
    IN_OWN_PROCESS(two_collect());
}

/* ---- automatic collections ---- */

static void *make_cycles(void *argument)
{
    arn_type *type = argument;
    const size_t often[ARN_GENERATIONS] = {50, 1, 1};
    if (arn_thread_attach() != 0)
        abort();
    arn_gc_set_threshold(often);
    struct arn_gc_stats before[ARN_GENERATIONS], stats[ARN_GENERATIONS];
    arn_gc_stats(before); /* of a thread whose domain it has */
    for (int i = 0; i < 3000; i++) {
        arn_decref(node_ring(type, 3));
        arn_safepoint();
    }
    arn_gc_collect(2);
    arn_gc_stats(stats);
    EXPECT_GT(stats[2].collections, before[2].collections + 1);
    EXPECT_EQ(stats[2].collected - before[2].collected, 9000);
    EXPECT_EQ(objects_alive(), 0);
    return NULL;
}

static void automatic(void)
{
    arn_type *type = shared_begin(NULL);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(make_cycles, type);
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
}

TEST(objects_threads, new_objects_begin_collections_that_stop_the_others)
{
    IN_OWN_PROCESS(automatic());
}

/* ---- threads that come and go ---- */

static pthread_key_t late_key;
static struct node *late_object;

/* After the library's own destructor of the first round. */
static void give_up_late(void *object)
{
    arn_decref(object);
}

static void *come_and_go(void *argument)
{
    if (arn_thread_attach() != 0)
        abort();
    arn_incref(late_object);
    pthread_setspecific(late_key, late_object);
    if (argument != NULL)
        arn_blocking_begin(); /* ends in it */
    return NULL;
}

static void exits(void)
{
    enum { ROUNDS = SANITIZED ? 50 : 200 };
    arn_type *type = shared_begin(NULL);
    arn_thread_attach();
    pthread_key_create(&late_key, give_up_late);
    late_object = node_ring(type, 2);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t threads[THREADS];
        for (int j = 0; j < THREADS; j++)
            threads[j] = start(come_and_go, j == 0 ? type : NULL);
        arn_decref(node_ring(type, 3));
        EXPECT_EQ(arn_gc_collect(2), 3);
        for (int j = 0; j < THREADS; j++)
            pthread_join(threads[j], NULL); /* without a section: nobody else collects */
    }
    EXPECT_EQ(arn_refcount(late_object), 2);
    arn_decref(late_object);
    EXPECT_EQ(arn_gc_collect(2), 2);
}

TEST(objects_threads, that_end_are_waited_for_no_more)
{
    IN_OWN_PROCESS(exits());
}

/* ---- weak references ---- */

struct asks {
    arn_weak *_Atomic weak;
    atomic_int ends;
    atomic_long got, gone;
};

/* An object that is got is whole, and stays so. */
static void *ask(void *argument)
{
    struct asks *asks = argument;
    if (arn_thread_attach() != 0)
        abort();
    while (!atomic_load(&asks->ends)) {
        struct node *node = arn_weak_get(atomic_load(&asks->weak));
        if (node != NULL) {
            arn_safepoint();
            if (node->number != 0 || node->left->left == NULL || node->left->number != 1)
                abort();
            arn_safepoint();
            arn_decref(node);
        }
        atomic_fetch_add(node != NULL ? &asks->got : &asks->gone, 1);
        yield();
    }
    return NULL;
}

static void scramble(arn_weak *weak, void *context)
{
    (void)weak;
    ++*(long *)context;
    sched_yield();
}

static void weak_against_collection(void)
{
    enum { ROUNDS = 200 };
    static struct asks asks;
    static arn_weak *weaks[ROUNDS];
    long called = 0, collected = 0;
    arn_type *type = shared_begin(NULL);
    arn_thread_attach();
    struct node *first = node_ring(type, 3);
    atomic_store(&asks.weak, weaks[0] = arn_weak_new(first, scramble, &called));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        threads[i] = start(ask, &asks);
    for (int i = 1; i < ROUNDS; i++) {
        struct node *next = node_ring(type, 3);
        atomic_store(&asks.weak, weaks[i] = arn_weak_new(next, scramble, &called));
        arn_decref(first);
        first = next;
        collected += arn_gc_collect(2);
    }
    arn_safepoint();
    atomic_store(&asks.ends, 1);
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    arn_decref(first);
    collected += arn_gc_collect(2);
    EXPECT_EQ(collected, 3 * ROUNDS);
    EXPECT_EQ(called, ROUNDS);
    EXPECT_EQ(objects_alive(), 0);
    for (int i = 0; i < ROUNDS; i++)
        arn_weak_release(weaks[i]);
}

TEST(objects_threads, weak_references_give_what_lives_or_nothing)
{
    IN_OWN_PROCESS(weak_against_collection());
}

/* Many are cleared at once: in between, none is to be had. */
enum { MANY = SANITIZED ? 2000 : 30000 };

struct many {
    arn_weak *_Atomic weaks[MANY];
    int count;
    atomic_int ready, ends;
};
static struct many many;

static void make_weak(void *object)
{
    atomic_store(&many.weaks[((struct node *)object)->number], arn_weak_new(object, NULL, NULL));
}

static void stay(bool here)
{
    for (int i = 0; here && i < 50; i++)
        sched_yield();
}

/* At every other safepoint it has what it got right after the one before. Most often, it is waited for at one
 * where it has nothing, and next at one where it has. */
static void *ask_the_last(void *argument)
{
    (void)argument;
    if (arn_thread_attach() != 0)
        abort();
    atomic_fetch_add(&many.ready, 1);
    for (bool keeps = false; !atomic_load(&many.ends); keeps = !keeps) {
        void *got[8];
        for (int i = 0; i < 8; i++) {
            arn_weak *weak = atomic_load(&many.weaks[many.count - 1 - i * 10]);
            got[i] = weak == NULL ? NULL : arn_weak_get(weak);
        }
        stay(keeps);
        arn_safepoint();
        stay(!keeps);
        for (int i = 0; i < 8; i++)
            arn_xdecref(got[i]);
        arn_safepoint();
    }
    return NULL;
}

/* Made beforehand, or by finalizers of what has been found already. */
static void many_weak(bool late)
{
    arn_type *type = shared_begin(late ? make_weak : NULL);
    arn_thread_attach();
    many.count = late ? MANY / 10 : MANY;
    for (int round = 0; round < 4; round++) {
        atomic_store(&many.ready, 0);
        atomic_store(&many.ends, 0);
        struct node *ring = node_ring(type, many.count), *node = ring;
        for (int i = 0; i < many.count; i++, node = node->left)
            atomic_store(&many.weaks[i], late ? NULL : arn_weak_new(node, NULL, NULL));
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
            threads[i] = start(ask_the_last, NULL);
        await(&many.ready, 2);
        arn_decref(ring);
        long collected = 0;
        for (int i = 0; collected == 0 && i < 20; i++) { /* who asked may hold it */
            collected = arn_gc_collect(2);
            EXPECT_TRUE(collected == many.count || collected == 0);
            void *first = late ? NULL : arn_weak_get(atomic_load(&many.weaks[0]));
            EXPECT_TRUE(late || (first == NULL) == (collected != 0));
            arn_xdecref(first);
        }
        arn_safepoint();
        atomic_store(&many.ends, 1);
        for (int i = 0; i < 2; i++)
            join(threads[i]);
        EXPECT_EQ(collected + arn_gc_collect(2), many.count);
        for (int i = 0; i < many.count; i++)
            arn_weak_release(atomic_load(&many.weaks[i]));
    }
    EXPECT_EQ(objects_alive(), 0);
}

static const bool whether_late[] = {false, true};

TEST_EACH(objects_threads, weak_references_to_a_cycle_give_all_of_it_or_nothing, bool, late,
          whether_late)
{
    IN_OWN_PROCESS(many_weak(late));
}

/* ---- finalizers ---- */

struct saved {
    struct node *_Atomic node;
    arn_weak *_Atomic weak;
    atomic_int ends;
    atomic_long taken;
};
static struct saved saved;

/* One of each cycle is given to another thread. */
static void give_away(void *object)
{
    struct node *node = object;
    if (node->number != 1)
        return;
    arn_incref(node);
    struct node *before = atomic_exchange(&saved.node, node);
    arn_xdecref(before);
    sched_yield();
}

static void *take_saved(void *argument)
{
    (void)argument;
    if (arn_thread_attach() != 0)
        abort();
    while (!atomic_load(&saved.ends)) {
        struct node *node = atomic_exchange(&saved.node, NULL);
        if (node != NULL) {
            if (node->left->left->left != node)
                abort();
            atomic_fetch_add(&saved.taken, 1);
            arn_decref(node);
        }
        yield();
    }
    return NULL;
}

static void resurrected(void)
{
    enum { ROUNDS = SANITIZED ? 100 : 300 };
    arn_type *type = shared_begin(give_away);
    arn_thread_attach();
    pthread_t thread = start(take_saved, NULL);
    struct arn_gc_stats stats[ARN_GENERATIONS];
    int rounds = 0;
    do {
        arn_decref(node_ring(type, 3));
        EXPECT_EQ(arn_gc_collect(2) % 3, 0);
        arn_gc_stats(stats);
        rounds++;
    } while (rounds < ROUNDS || atomic_load(&saved.taken) == 0 || stats[2].resurrected == 0);
    arn_safepoint();
    atomic_store(&saved.ends, 1);
    join(thread);
    arn_xdecref(atomic_exchange(&saved.node, NULL));
    arn_gc_collect(2);
    arn_gc_stats(stats);
    EXPECT_EQ(stats[2].collected, 3 * rounds);
    EXPECT_EQ(objects_alive(), 0);
}

TEST(objects_threads, what_a_finalizer_gives_to_another_thread_lives_on)
{
    IN_OWN_PROCESS(resurrected());
}

/* A weak reference to what is garbage: made by its finalizer, and asked by another thread at once. */
static void tell_weakly(void *object)
{
    arn_weak *before = atomic_exchange(&saved.weak, arn_weak_new(object, NULL, NULL));
    arn_weak_release(before);
    for (int i = 0; i < 3; i++)
        sched_yield();
}

static void *take_weakly(void *argument)
{
    (void)argument;
    if (arn_thread_attach() != 0)
        abort();
    while (!atomic_load(&saved.ends)) {
        arn_weak *weak = atomic_exchange(&saved.weak, NULL);
        if (weak != NULL) {
            struct node *node = arn_weak_get(weak);
            arn_safepoint();
            if (node != NULL && node->left->left->left != node)
                abort();
            if (node != NULL)
                atomic_fetch_add(&saved.taken, 1);
            arn_xdecref(node);
            arn_weak_release(weak);
        }
        yield();
    }
    return NULL;
}

static void weakly_resurrected(void)
{
    enum { ROUNDS = SANITIZED ? 100 : 300 };
    arn_type *type = shared_begin(tell_weakly);
    arn_thread_attach();
    pthread_t thread = start(take_weakly, NULL);
    long collected = 0;
    for (int i = 0; i < ROUNDS; i++) {
        arn_decref(node_ring(type, 3));
        collected += arn_gc_collect(2);
    }
    arn_safepoint();
    atomic_store(&saved.ends, 1);
    join(thread);
    arn_weak_release(atomic_exchange(&saved.weak, NULL));
    collected += arn_gc_collect(2);
    EXPECT_EQ(collected, 3 * ROUNDS);
    EXPECT_EQ(objects_alive(), 0);
}

TEST(objects_threads, weak_references_to_garbage_that_finalizers_make_are_cleared_in_time)
{
    IN_OWN_PROCESS(weakly_resurrected());
}

/* ---- what others give up ---- */

static void *give_up(void *argument)
{
    if (arn_thread_attach() != 0)
        abort();
    arn_decref(argument);
    return NULL;
}

static void remote(void)
{
    arn_type *type = shared_begin(NULL);
    arn_thread_attach();
    for (int i = 0; i < 50; i++) {
        struct node *ring = node_ring(type, 3), *holder = arn_new(type);
        arn_move(&holder->left, ring);
        join(start(give_up, holder)); /* the holder waits in this domain's list */
        EXPECT_EQ(arn_gc_collect(2), 3);
        EXPECT_EQ(objects_alive(), 0);
        EXPECT_EQ(arn_verify(NULL, 0, NULL, NULL), 0);
    }
}

TEST(objects_threads, objects_that_others_gave_up_are_released_by_their_own_thread)
{
    IN_OWN_PROCESS(remote());
}

/* ---- fork ---- */

static void *collect_on(void *argument)
{
    struct works *works = argument;
    arn_type *type = any_node_type("own", NULL, true);
    if (arn_thread_attach() != 0)
        abort();
    atomic_fetch_add(&works->ready, 1);
    while (!atomic_load(&works->ends)) {
        arn_decref(node_ring(type, 4));
        arn_gc_collect(2);
        atomic_fetch_add(&works->done, 1);
    }
    return NULL;
}

static void *work_in_child(void *argument)
{
    arn_type *type = argument;
    if (arn_thread_attach() != 0)
        abort();
    for (int i = 0; i < 20; i++) {
        arn_decref(node_ring(type, 3));
        if (arn_gc_collect(2) != 3)
            abort();
    }
    return NULL;
}

static void child(arn_type *type)
{
    alarm(SECONDS_MOST);
    arn_decref(node_ring(type, 3));
    EXPECT_EQ(arn_gc_collect(2), 3);
    pthread_t thread = start(work_in_child, type);
    for (int i = 0; i < 20; i++) {
        arn_decref(node_ring(type, 3));
        EXPECT_EQ(arn_gc_collect(2), 3);
    }
    join(thread);
}

static void forks(void)
{
    enum { CHILDREN = SANITIZED ? 20 : 100 };
    static struct works works;
    arn_type *type = shared_begin(NULL);
    arn_thread_attach();
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = start(collect_on, &works);
    await(&works.ready, 2);
    for (int i = 0; i < CHILDREN; i++) {
        fflush(NULL);
        if (i % 2)
            arn_blocking_begin();
        pid_t process = fork();
        if (i % 2)
            arn_blocking_end();
        if (process == 0) {
            child(type);
            _exit(HAS_FAILURE());
        }
        int status = -1;
        arn_blocking_begin();
        waitpid(process, &status, 0);
        arn_blocking_end();
        EXPECT_EQ(status, 0);
    }
    arn_safepoint();
    atomic_store(&works.ends, 1);
    for (int i = 0; i < 2; i++)
        join(threads[i]);
}

TEST(objects_threads, a_child_has_one_attached_thread_whatever_the_others_were_at)
{
    if (EMULATED)
        SKIP("qemu's own locks do not survive it");
    if (SANITIZED)
        SKIP("sanitizers do not start threads in children of threads");
    IN_OWN_PROCESS(forks());
}

/* ---- anything ---- */

enum { SLOTS = 8, STEPS = SANITIZED ? 3000 : 20000 };

/* Places that any thread takes references from and gives them to: what is there is counted. */
struct exchange {
    struct node *_Atomic slots[SLOTS];
    arn_type *type, *plain;
    pthread_mutex_t lock; /* of objects' fields */
    atomic_long made, failures;
};

static uint64_t step_of(uint64_t *state)
{
    /* Vigna, "splitmix64", 2015. */
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct player {
    struct exchange *exchange;
    uint64_t seed;
};

static void swap(struct exchange *exchange, unsigned slot, struct node **mine)
{
    *mine = atomic_exchange(&exchange->slots[slot % SLOTS], *mine);
}

/* Fields are changed under a lock, which is waited for in a blocking section. */
static void lock_fields(struct exchange *exchange)
{
    arn_blocking_begin();
    pthread_mutex_lock(&exchange->lock);
    arn_blocking_end();
}

static void tie(struct exchange *exchange, struct node *from, struct node *to, bool left)
{
    struct node *before;
    lock_fields(exchange);
    struct node **field = left ? &from->left : &from->right;
    before = *field;
    *field = to;
    pthread_mutex_unlock(&exchange->lock);
    arn_xdecref(before);
}

static void *play_on(void *argument)
{
    struct player *player = argument;
    struct exchange *exchange = player->exchange;
    struct node *mine = NULL;
    arn_weak *weak = NULL;
    if (arn_thread_attach() != 0)
        abort();
    const size_t often[ARN_GENERATIONS] = {30, 2, 2};
    arn_gc_set_threshold(often);
    for (int i = 0; i < STEPS; i++) {
        uint64_t random = step_of(&player->seed);
        unsigned slot = (unsigned)(random >> 8);
        switch (random % 11) {
        case 0:
        case 1: { /* a new one */
            struct node *made = arn_new(random & 4096 ? exchange->type : exchange->plain);
            arn_share(made);
            made->number = 4711;
            atomic_fetch_add(&exchange->made, 1);
            arn_xdecref(mine);
            mine = made;
            break;
        }
        case 2:
        case 3:
            swap(exchange, slot, &mine);
            break;
        case 4:
        case 5: { /* refers to another, or to itself */
            struct node *other = NULL;
            swap(exchange, slot, &other);
            if (mine != NULL && other != NULL) {
                arn_incref(mine);
                tie(exchange, other, mine, random & 4096);
                arn_incref(other);
                tie(exchange, mine, other, random & 8192);
            }
            swap(exchange, slot, &other);
            arn_xdecref(other);
            break;
        }
        case 6:
            arn_safepoint();
            if (mine != NULL && mine->number != 4711)
                atomic_fetch_add(&exchange->failures, 1);
            break;
        case 7:
            arn_xdecref(mine);
            mine = NULL;
            break;
        case 8: { /* weakly */
            if (weak == NULL && mine != NULL) {
                weak = arn_weak_new(mine, NULL, NULL);
            } else if (weak != NULL) {
                struct node *got = arn_weak_get(weak);
                if (got != NULL && got->number != 4711)
                    atomic_fetch_add(&exchange->failures, 1);
                arn_xdecref(got);
                arn_weak_release(weak);
                weak = NULL;
            }
            break;
        }
        case 9:
            if (random >> 16 & 1) {
                arn_thread_detach();
                arn_thread_attach();
            } else {
                arn_blocking_begin();
                sched_yield();
                arn_blocking_end();
            }
            break;
        default:
            if (random % 7 == 0)
                arn_gc_collect(2);
        }
    }
    arn_xdecref(mine);
    arn_weak_release(weak);
    arn_gc_collect(2);
    return NULL;
}

/* What is left are cycles over several domains, and what they lead to. */
static void anything(uint64_t seed)
{
    static struct exchange exchange = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct player players[THREADS];
    pthread_t threads[THREADS];
    exchange.type = shared_begin(NULL);
    exchange.plain = node_type("plain", NULL);
    for (int i = 0; i < THREADS; i++) {
        players[i] = (struct player){&exchange, seed * THREADS + (unsigned)i};
        threads[i] = start(play_on, &players[i]);
    }
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    EXPECT_EQ(atomic_load(&exchange.failures), 0);
    EXPECT_GT(atomic_load(&exchange.made), 100);
}

static const int seeds[] = {1, 2, 3, 4, 5, 6};

TEST_EACH(objects_threads, do_anything_at_once, int, seed, seeds)
{
    const char *from = getenv("ARENITE_TEST_SEED");
    IN_OWN_PROCESS(anything((uint64_t)seed + (from == NULL ? 0 : strtoull(from, NULL, 10))));
}
