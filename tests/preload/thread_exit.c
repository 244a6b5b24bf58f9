/* thread_exit.c - what threads do while they end: destructors that allocate, in every round; blocks
 * that outlive them; cancellation; and that none of it adds up. */
#include <limits.h>
#include <pthread.h>

#include "blocks.h"
#include "self.h"

enum { CHURN = 8000, AT_ONCE = 16 };

/* In every round, if what they find is put back: as libraries that log at exit do. */
static pthread_key_t keys[40];
static atomic_ulong destroyed;

struct value {
    unsigned rounds;
    unsigned key_idx;
    void *block;
};

static void destroy(void *argument)
{
    struct value *value = argument;
    uint64_t random = 1000003u * (value->key_idx + 1) + value->rounds;
    block_free(value->block);
    value->block = random_block(&random);
    value->block = random_resized(value->block, &random);
    free(strdup("a name"));
    atomic_fetch_add(&destroyed, 1);
    if (++value->rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
        CHECK(pthread_setspecific(keys[value->key_idx], value) == 0);
        return;
    }
    block_free(value->block);
    free(value);
}

/* The ABI's registration for C++ thread_local objects; run before the keys' destructors. */
extern int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *dso);
extern void *__dso_handle;

static void destroy_object(void *object)
{
    uint64_t random = 77;
    block_free(object);
    block_free(random_block(&random));
    atomic_fetch_add(&destroyed, 1);
}

static void *with_values(void *unused)
{
    uint64_t random = 4711;
    for (unsigned i = 0; i < 40; i++) {
        struct value *value = malloc(sizeof *value);
        CHECK(value != NULL);
        *value = (struct value){0, i, random_block(&random)};
        CHECK(pthread_setspecific(keys[i], value) == 0);
    }
    CHECK(__cxa_thread_atexit_impl(destroy_object, random_block(&random), &__dso_handle) == 0);
    return unused;
}

static void destructors_in_every_round(void)
{
    atomic_store(&destroyed, 0);
    for (unsigned i = 0; i < 80; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, with_values, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(atomic_load(&destroyed) == 80 * (40 * PTHREAD_DESTRUCTOR_ITERATIONS + 1));
}

/* ---- churn ---- */

static size_t resident_bytes(void)
{
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fgets(text, sizeof text, file) == NULL)
        SKIP("no /proc/self/statm");
    fclose(file);
    return strtoul(strchr(text, ' '), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void expect_at_most(size_t before, size_t after, size_t most, const char *what)
{
    if (after <= before + most || emulated()) /* an emulator has memory of its own for threads */
        return;
    dprintf(2, "%s: %zu KiB became %zu KiB\n", what, before >> 10, after >> 10);
    _exit(1);
}

static _Atomic(void *) left_behind[512];

static void *short_life(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument * 2654435761u + 1;
    for (unsigned i = 0; i < 20; i++) {
        void *block = malloc(16 + next_random(&random) % 3000);
        CHECK(block != NULL);
        block_fill(block, 16, i);
        block_free(atomic_exchange(&left_behind[next_random(&random) % 512], block));
    }
    return NULL;
}

static void churn(void *(*function)(void *), unsigned threads)
{
    pthread_t running[AT_ONCE];
    for (unsigned i = 0; i < threads; i += AT_ONCE) {
        for (unsigned k = 0; k < AT_ONCE; k++)
            CHECK(pthread_create(&running[k], NULL, function, (void *)(uintptr_t)(i + k)) == 0);
        for (unsigned k = 0; k < AT_ONCE; k++)
            CHECK(pthread_join(running[k], NULL) == 0);
    }
}

static void churn_does_not_add_up(void *(*function)(void *), const char *what)
{
    churn(function, CHURN / 10);
    size_t before = resident_bytes();
    churn(function, emulated() ? CHURN / 10 : CHURN);
    size_t after = resident_bytes();
    expect_at_most(before, after, 6 << 20, what);
}

static void others_free_what_the_dead_left(void)
{
    for (size_t i = 0; i < 512; i++)
        block_free(atomic_exchange(&left_behind[i], NULL));
}

/* What a dead thread had, free blocks and those that others free later, is everybody's. */
enum { HOARD = 20000, HOARD_BYTES = 600 << 10 };
static void *hoard[HOARD];
static size_t hoarded;

/* Of every size some, spread over many pools; seven of eight are freed by the thread itself. */
static void *take_hoard(void *unused)
{
    hoarded = 0;
    for (size_t bytes = 64; bytes <= 32768; bytes += bytes / 8) {
        size_t first = hoarded;
        for (size_t taken = 0; taken < HOARD_BYTES && hoarded < HOARD; taken += bytes) {
            CHECK((hoard[hoarded] = malloc(bytes)) != NULL);
            memset(hoard[hoarded++], 1, bytes);
        }
        for (size_t i = first; i < hoarded; i++) {
            if (i % 8 != 0) {
                free(hoard[i]);
                hoard[i] = NULL;
            }
        }
    }
    return unused;
}

static void free_hoard(void)
{
    for (size_t i = 0; i < hoarded; i++)
        free(hoard[i]);
}

static void the_dead_keep_nothing(void)
{
    malloc_trim(0);
    size_t before = resident_bytes();
    for (unsigned round = 0; round < 4; round++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, take_hoard, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        free_hoard();
        if (round % 2 == 1) { /* used again without a trim, too */
            take_hoard(NULL);
            free_hoard();
        }
        malloc_trim(0);
        expect_at_most(before, resident_bytes(), 4 << 20, "after threads that are gone");
        expect_at_most(0, mallinfo2().fordblks, 400 << 10,
                       "free in pools of threads that are gone");
    }
}

/* What the only thread has filled is given up before there is a second: the first may sleep. */
static void *free_hoard_of_the_sleeping(void *unused)
{
    free_hoard();
    malloc_trim(0);
    expect_at_most(0, mallinfo2().fordblks, 3 << 20, "free in pools of a thread that sleeps");
    return unused;
}

static void the_sleeping_keep_little(void)
{
    pthread_t thread;
    take_hoard(NULL);
    for (size_t bytes = 16; bytes <= 2048; bytes += 16) /* pthread_create finds a block ready */
        free(malloc(bytes));
    CHECK(pthread_create(&thread, NULL, free_hoard_of_the_sleeping, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* A thread whose first block of all is asked for by a destructor, in the first round or the last. */
static pthread_key_t late_key;

static void allocate_late(void *argument)
{
    uintptr_t round = (uintptr_t)argument;
    if (round % 16 != 0) {
        CHECK(pthread_setspecific(late_key, (void *)(round - 1)) == 0);
        return;
    }
    for (size_t bytes = 16; bytes < 4096; bytes *= 2) {
        void *block = malloc(bytes);
        CHECK(block != NULL);
        block_fill(block, bytes, round);
        block_free(block);
    }
}

static void *allocates_only_late(void *argument)
{
    uintptr_t rounds = (uintptr_t)argument % PTHREAD_DESTRUCTOR_ITERATIONS;
    CHECK(pthread_setspecific(late_key, (void *)(16 + rounds)) == 0);
    return NULL;
}

/* ---- cancellation ---- */

static void free_at_cleanup(void *block)
{
    block_free(*(void *volatile *)block);
}

static void *until_cancelled(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument + 1;
    for (;;) {
        void *volatile block = random_block(&random); /* it changes after a setjmp: in the push */
        pthread_cleanup_push(free_at_cleanup, (void *)&block);
        pthread_testcancel();
        block = random_resized(block, &random);
        FILE *file = fopen("/dev/null", "w");
        CHECK(file != NULL);
        fclose(file);
        pthread_cleanup_pop(1);
    }
    return NULL;
}

static void cancellation(void)
{
    for (unsigned i = 0; i < 300; i++) {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, NULL, until_cancelled, (void *)(uintptr_t)i) == 0);
        usleep(i % 7 * 100);
        CHECK(pthread_cancel(thread) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    }
}

/* ---- the end of the process ---- */

static void *busy_for_ever(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument + 1;
    for (;;)
        short_life((void *)(uintptr_t)next_random(&random));
    return NULL;
}

static void at_exit_handler(void)
{
    uint64_t random = 99;
    for (unsigned i = 0; i < 500; i++)
        block_free(random_block(&random));
    others_free_what_the_dead_left();
}

static void exit_amid_busy_threads(void)
{
    CHECK(atexit(at_exit_handler) == 0);
    for (uintptr_t i = 0; i < 6; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, busy_for_ever, (void *)i) == 0);
    }
    usleep(2000);
    exit(0);
}

static pthread_t main_thread;

static void *after_main(void *unused)
{
    CHECK(pthread_join(main_thread, NULL) == 0);
    short_life(unused);
    others_free_what_the_dead_left();
    exit(0);
}

static void main_ends_first(void)
{
    pthread_t thread;
    main_thread = pthread_self();
    CHECK(atexit(at_exit_handler) == 0);
    short_life((void *)5);
    with_values(NULL);
    CHECK(pthread_create(&thread, NULL, after_main, NULL) == 0);
    pthread_exit(NULL);
}

static void create_keys(void)
{
    for (unsigned i = 0; i < 40; i++)
        CHECK(pthread_key_create(&keys[i], destroy) == 0);
    CHECK(pthread_key_create(&late_key, allocate_late) == 0);
}

/* A program that makes many keys before it asks for its first block: the library's own key is not
 * among those for which libc has room in each thread. */
static void many_keys_first(void)
{
    struct said said;
    run_again(&said, "many keys first", NULL, NULL);
    if (said.status != 0) {
        dprintf(2, "many keys first: %s\n", said.text);
        _exit(1);
    }
}

int main(int count, char **arguments)
{
    (void)arguments;
    if (count > 1) {
        create_keys();
        churn_does_not_add_up(allocates_only_late, "threads that allocate in destructors only");
        return 0;
    }
    free(malloc(1));
    create_keys();
    run_apart(the_sleeping_keep_little, 20, "one sleeps");
    for (unsigned i = 0; i < 30; i++)
        run_apart(exit_amid_busy_threads, 20, "exit amid busy threads");
    for (unsigned i = 0; i < 10; i++)
        run_apart(main_ends_first, 20, "main ends first");
    the_dead_keep_nothing();
    destructors_in_every_round();
    cancellation();
    churn_does_not_add_up(short_life, "threads that leave blocks behind");
    others_free_what_the_dead_left();
    churn_does_not_add_up(allocates_only_late, "threads that allocate in destructors only");
    if (!emulated())
        many_keys_first();
    return 0;
}
