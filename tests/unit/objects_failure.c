/* objects_failure.c - the n-th call to the kernel fails while objects are made, referred to, collected:
 * NULL or -1 with ENOMEM, nothing is lost, and service resumes. And memory that ends for real.
 */
#include <arenite/object.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "failure.h"
#include "nodes.h"
#include "options.h"
#include "os.h"
#include "sanitized.h"
#include "shim.h"
#include "size_class.h"

enum { MIB = 1 << 20 };

static unsigned refused; /* calls that had no memory */

/* NULL and ENOMEM, or not NULL. */
static void *got(void *result)
{
    REQUIRE(result != NULL || errno == ENOMEM);
    refused += result == NULL;
    errno = 0;
    return result;
}

/* -1 and ENOMEM, or not -1. */
static long did(long result)
{
    REQUIRE(result >= 0 || errno == ENOMEM);
    refused += result < 0;
    errno = 0;
    return result;
}

/* ---- a play: every call that may need memory, as often as it takes to need some ---- */

static arn_type *node, *array, *text;

static bool register_all(void)
{
    if (node == NULL)
        node = got(node_type("node", NULL));
    if (array == NULL)
        array = got(arn_type_register(&(struct arn_type_info){
            .name = "array", .bytes = sizeof(size_t), .shape = ARN_REFARRAY}));
    if (text == NULL)
        text = got(arn_type_register(
            &(struct arn_type_info){.name = "text", .shape = ARN_LEAF, .item_bytes = 1}));
    return node != NULL && array != NULL && text != NULL;
}

/* The table of types takes memory for each thousand. */
static void many_types(void)
{
    for (int i = 0; i < 1100; i++)
        got(node_type("many", NULL));
}

static bool is_zero(const char *bytes, size_t count)
{
    return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

static void arrays(void)
{
    static const size_t lengths[] = {0, 10, 300, 3000, 5000, 40000, 300000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char *made = got(arn_new_array(text, lengths[i]));
        size_t *references = got(arn_new_array(array, lengths[i] / 8));
        if (made != NULL) {
            REQUIRE(is_zero(made, lengths[i]));
            memset(made, 'x', lengths[i]);
        }
        if (references != NULL) {
            REQUIRE(*references == lengths[i] / 8);
            REQUIRE(is_zero((char *)(references + 1), *references * 8));
            if (*references > 0 && made != NULL)
                arn_set(references + 1, made);
        }
        arn_xdecref(made);
        arn_xdecref(references);
    }
}

static int called;

static void call(arn_weak *weak, void *context)
{
    (void)context;
    called++;
    arn_weak_release(weak);
}

static void weaks(void)
{
    struct node *nodes[60];
    int made = 0, weak = 0;
    for (int i = 0; i < 60; i++) {
        nodes[made] = got(arn_new(node));
        made += nodes[made] != NULL;
    }
    for (int i = 0; i < made; i++)
        weak += got(arn_weak_new(nodes[i], call, NULL)) != NULL;
    called = 0;
    for (int i = 0; i < made; i++)
        arn_decref(nodes[i]);
    REQUIRE(called == weak);
}

static void maps(void)
{
    arn_weak_map *map = got(arn_weak_map_new());
    if (map == NULL)
        return;
    struct node *keys[100];
    size_t made = 0, entries = 0;
    for (int i = 0; i < 100; i++) {
        struct node *key = got(arn_new(node)), *value = got(arn_new(node));
        if (key != NULL && value != NULL && did(arn_weak_map_set(map, key, value)) == 0) {
            entries++;
            REQUIRE(arn_weak_map_get(map, key) == value);
            REQUIRE(arn_refcount(value) == 2);
        } else if (key != NULL) {
            REQUIRE(arn_weak_map_get(map, key) == NULL);
        }
        arn_xdecref(value);
        if (key != NULL)
            keys[made++] = key;
    }
    REQUIRE(arn_weak_map_count(map) == entries);
    for (size_t i = 0; i < made; i++)
        arn_decref(keys[i]);
    REQUIRE(arn_weak_map_count(map) == 0);
    arn_weak_map_destroy(map);
}

static void watch(const struct arn_gc_info *info, void *context)
{
    *(int *)context += info->ends ? -1 : 1;
}

/* Rings, of which more are garbage; enough for a map of entries of its own. */
static void collections(int rings)
{
    int open = 0;
    size_t before = objects_alive(), garbage = 0, saved = 0;
    bool watches = did(arn_gc_callback(watch, &open)) == 0;
    for (int i = 0; i < rings; i++) {
        struct node *first = got(arn_new(node)), *second = got(arn_new(node));
        if (first != NULL && second != NULL) {
            arn_set(&first->left, second);
            arn_set(&second->left, first);
            garbage += 2;
        }
        arn_xdecref(first);
        arn_xdecref(second);
    }
    REQUIRE(objects_alive() == before + garbage);
    REQUIRE(did(arn_verify(NULL, 0, NULL, NULL)) <= (long)before);
    for (int generation = 0; generation < ARN_GENERATIONS; generation++) {
        arn_gc_set_debug(generation == 1 ? ARN_GC_SAVE_ALL : 0);
        long collected = did(arn_gc_collect(generation));
        if (collected > 0 && generation != 1)
            garbage -= (size_t)collected;
        if (collected > 0 && generation == 1)
            saved = (size_t)collected;
        REQUIRE(objects_alive() == before + garbage); /* all or nothing */
        size_t count;
        arn_garbage(&count);
        REQUIRE(count == saved);
        REQUIRE(open == 0);
        if (generation == 0 && rings > 10) { /* something to save */
            struct node *self = got(arn_new(node));
            if (self != NULL) {
                arn_set(&self->left, self);
                arn_decref(self);
                garbage++;
            }
        }
    }
    arn_gc_set_debug(0);
    arn_garbage_clear();
    if (watches)
        REQUIRE(arn_gc_callback_remove(watch, &open));
}

static void domains(void)
{
    arn_domain *domain = got(arn_domain_create());
    if (domain == NULL)
        return;
    arn_domain_bind(domain);
    arrays();
    collections(20);
    arn_domain_bind(NULL);
    arn_domain_destroy(domain);
}

/* With automatic collections, which have no memory now and then. */
static void *in_a_thread(void *argument)
{
    (void)argument;
    errno = 0;
    size_t thresholds[] = {100, 2, 2};
    did(arn_thread_attach()); /* detached as it ends */
    did(arn_gc_set_threshold(thresholds));
    arrays();
    for (int i = 0; i < 3000; i++) {
        struct node *self = got(arn_new(node));
        if (self != NULL) {
            arn_set(&self->left, self);
            arn_decref(self);
        }
    }
    arn_gc_disable();
    weaks();
    collections(100);
    did(arn_gc_collect(2));
    return NULL;
}

static void threads(void)
{
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, in_a_thread, NULL) == 0);
    pthread_join(thread, NULL);
}

static void play(void)
{
    errno = 0;
    if (!register_all())
        return;
    arn_gc_disable();
    arrays();
    weaks();
    maps();
    collections(20);
    collections(30000); /* more pools than are kept room for */
    domains();
    threads();
    many_types();
}

/* Failures are over: everything works, and nothing is left of before. */
static void resume(void)
{
    REQUIRE(register_all());
    arn_gc_disable();
    REQUIRE(arn_gc_collect(2) >= 0);
    REQUIRE(objects_alive() == 0);
    refused = 0;
    play();
    REQUIRE(refused == 0);
    REQUIRE(arn_gc_collect(2) >= 0);
    REQUIRE(objects_alive() == 0);
    struct arn_domain_stats domain;
    arn_domain_stats(NULL, &domain);
    REQUIRE(domain.held_bytes == 0);
    struct arn_stats before, after;
    arn_stats(&before); /* what remains is types, bins and tables: no play adds to that */
    many_types();
    arn_stats(&after);
    size_t types_bytes = after.used_bytes - before.used_bytes;
    play();
    arn_gc_collect(2);
    arn_stats(&before);
    REQUIRE(before.used_bytes - after.used_bytes <= types_bytes + 16384);
    arn_malloc_trim(0);
    arn__arena_verify();
}

static struct failing_play failing = {play, resume, 0};

static void each_call_fails(long more)
{
    failing_begin();
    long n = 1;
    while (play_in_child(&failing, n, more < LONG_MAX ? n + more : more))
        n += failing_step();
    EXPECT_GT(n, 20);
    EXPECT_EQ(failing.failed, 0);
}

static const long failures[] = {0, 3, LONG_MAX};

TEST_EACH(objects_failure, of_any_call_and_so_many_after_it_loses_nothing, long, more, failures)
{
    IN_OWN_PROCESS(each_call_fails(more));
}

/* ---- nothing from the kernel, and few blocks: what is taken from malloc fails, too ---- */

struct kept {
    struct kept *next;
};

/* Takes all there is, and gives back `few` blocks of each size. */
static struct kept *scarce(unsigned few)
{
    struct kept *all = NULL, *kept;
    for (unsigned i = CLASSES; i-- > 0;) {
        size_t bytes = arn__size_classes[i].block_bytes;
        struct kept *of_size = NULL;
        while ((kept = arn_malloc(bytes)) != NULL) {
            kept->next = of_size;
            of_size = kept;
        }
        for (unsigned j = 0; of_size != NULL; j++) {
            struct kept *next = of_size->next;
            if (j < few) {
                arn_free(of_size);
            } else {
                of_size->next = all;
                all = of_size;
            }
            of_size = next;
        }
    }
    errno = 0;
    return all;
}

static void play_with_few(unsigned few)
{
    if (!register_all())
        _exit(1);
    arn_gc_disable();
    struct node *nodes = NULL; /* an object at least where no pool is to be had */
    for (int i = 0; i < 3000; i++) {
        struct node *next = arn_new(node);
        arn_move(&next->left, nodes);
        nodes = next;
    }
    arn__os_fail_at(1, LONG_MAX);
    struct kept *all = scarce(few);
    struct node *rest = nodes->left;
    nodes->left = NULL;
    arn_decref(rest);
    arrays();
    weaks();
    maps();
    collections(20);
    collections(1000);
    domains();
    many_types();
    arn__os_fail_at(0, 0);
    while (all != NULL) {
        struct kept *next = all->next;
        arn_free(all);
        all = next;
    }
    arn_decref(nodes);
    resume();
    _exit(0);
}

static void few_blocks(void)
{
    for (unsigned few = 0; few < 60; few += few < 20 ? (unsigned)failing_step() : 7) {
        pid_t child = fork();
        if (child == 0) {
            alarm(300);
            play_with_few(few);
        }
        int status = -1;
        waitpid(child, &status, 0);
        TRACE("%u blocks of each size", few);
        EXPECT_EQ(status, 0);
    }
}

TEST(objects_failure, of_malloc_loses_nothing)
{
    IN_OWN_PROCESS(few_blocks());
}

/* ---- the first object of a process, of a thread ---- */

static void first_fails(void)
{
    for (long n = 1; n < 12; n++) {
        pid_t child = fork();
        if (child == 0) {
            arn__os_fail_at(n, LONG_MAX);
            arn_type *type = got(node_type("node", NULL));
            if (type != NULL) {
                arn_xdecref(got(arn_new(type)));
                did(arn_gc_collect(2));
                size_t counts[3];
                arn_gc_get_count(counts);
                arn_gc_freeze();
                arn_gc_unfreeze();
                arn_garbage_clear();
                arn_gc_enable();
            }
            arn__os_fail_at(0, 0);
            arn_gc_disable();
            type = node_type("node", NULL);
            REQUIRE(type != NULL);
            arn_decref(node_ring(type, 5));
            REQUIRE(arn_gc_collect(2) == 5);
            _exit(0);
        }
        int status = -1;
        waitpid(child, &status, 0);
        TRACE("from call %ld on", n);
        EXPECT_EQ(status, 0);
    }
}

TEST(objects_failure, of_the_first_object_is_ENOMEM_and_the_next_try_succeeds)
{
    IN_OWN_PROCESS(first_fails());
}

/* ---- where memory ends for real ---- */

static size_t mapped_bytes(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%zu", &pages) != 1)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * arn__os_page_bytes();
}

static const size_t bytes_each[] = {24, 1000, 30000, 100000, 2000000};

static void use_up(size_t bytes)
{
    size_t limit_bytes = mapped_bytes() + (size_t)64 * MIB;
    struct rlimit limit = {limit_bytes, limit_bytes};
    arn_type *type = nodes_begin(NULL);
    array = arn_type_register(&(struct arn_type_info){
        .name = "array", .bytes = 3 * sizeof(void *), .shape = ARN_REFARRAY});
    arn_decref(arn_new(type));
    ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    for (int round = 0; round < 3; round++) {
        struct chained {
            size_t count;
            void *unused[2];
            struct chained *items[];
        } *list = NULL, *next;
        size_t count = 0, length = bytes / 8 - 3 + 1;
        errno = 0;
        while ((next = arn_new_array(array, length)) != NULL) {
            next->items[0] = list;
            list = next;
            count++;
        }
        EXPECT_EQ(errno, ENOMEM);
        EXPECT_GE(count * bytes, (size_t)24 * MIB);
        TRACE("round %d: %zu objects of %zu", round, count, bytes);
        errno = 0;
        long collected = arn_gc_collect(2); /* there may be no memory for its entries */
        EXPECT_TRUE(collected == 0 || (collected == -1 && errno == ENOMEM));
        EXPECT_EQ(objects_alive(), count);
        if (round == 1 && list != NULL) { /* all garbage: a cycle */
            struct chained *last = list;
            while (last->items[0] != NULL)
                last = last->items[0];
            arn_move(&last->items[0], list);
            arn_gc_set_debug(ARN_GC_SAVE_ALL);
            collected = arn_gc_collect(2);
            EXPECT_TRUE(collected == (long)count || collected == -1);
            EXPECT_EQ(objects_alive(), count);
            arn_gc_set_debug(0);
            arn_garbage_clear();
            /* Enough is given back to collect with. */
            void *kept = last->items[0];
            last->items[0] = NULL;
            arn_decref(kept);
        } else {
            arn_decref(list);
        }
        EXPECT_EQ(objects_alive(), 0);
        arn_decref(node_ring(type, 1000)); /* service resumes */
        EXPECT_EQ(arn_gc_collect(2), 1000);
    }
}

TEST_EACH(objects_failure, where_address_space_ends_is_ENOMEM, size_t, bytes, bytes_each)
{
    if (SANITIZED || EMULATED)
        SKIP("not with a sanitizer, nor in an emulator");
    IN_OWN_PROCESS(use_up(bytes));
}
