/* vfork_first.c - a thread's, or the process's, first allocation happens in a child that shares its memory: vfork's,
 * posix_spawn's, clone's. The parent goes on with what the child began, while other threads come and go.
 */
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>

#include "blocks.h"
#include "self.h"

enum { SLOTS = 512, STACK_BYTES = 256 << 10 };

static atomic_bool stop;

/* ---- what the child does before it becomes another program ---- */

/* As closefrom, opendir and setenv do there. What it leaves is the parent's. */
static void *use_in_child(void)
{
    char *name = malloc(64), *list = calloc(1, 3000);
    CHECK(name != NULL && list != NULL);
    strcpy(name, "true");
    free(list);
    list = malloc(100000);
    CHECK(list != NULL);
    free(list);
    void *left = malloc(300);
    CHECK(left != NULL);
    block_fill(left, 300, 99);
    free(name);
    return left;
}

/* Ends as `way` says: by another program, or without one. */
static void become_another(unsigned way)
{
    char *const arguments[] = {(char *)"true", NULL};
    if (way % 3 != 0)
        execve(way % 3 == 1 ? "/bin/true" : "/no/such/file", arguments, environ);
    _exit(way % 3 == 2 ? 0 : way % 3 == 1 ? 7 : 0);
}

/* Alone in a function: what the child changes of its frame, the parent finds. */
__attribute__((noinline)) static void *by_vfork(unsigned way)
{
    void *volatile left = NULL;
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        left = use_in_child();
        become_another(way);
    }
    expect_success(child, "vfork");
    return left;
}

struct start {
    unsigned way;
    void *left;
};

static int in_clone(void *argument)
{
    struct start *start = argument;
    start->left = use_in_child();
    become_another(start->way);
    return 0;
}

static void *by_clone(unsigned way)
{
    struct start start = {way, NULL};
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    CHECK(stack != MAP_FAILED);
    pid_t child = clone(in_clone, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, &start);
    CHECK(child >= 0);
    expect_success(child, "clone");
    munmap(stack, STACK_BYTES);
    return start.left;
}

static void *by_spawn(unsigned way)
{
    pid_t child;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *const arguments[] = {(char *)"true", NULL};
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawnattr_init(&attributes) == 0);
    if (way % 2 == 0) {
        CHECK(posix_spawn_file_actions_addopen(&actions, 9, "/dev/null", O_RDONLY, 0) == 0);
        CHECK(posix_spawn_file_actions_addchdir_np(&actions, "/") == 0);
        CHECK(posix_spawn_file_actions_addclosefrom_np(&actions, 20) == 0);
    }
    CHECK(posix_spawnp(&child, "true", &actions, &attributes, arguments, environ) == 0);
    expect_success(child, "posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return NULL;
}

static void *(*const ways[])(unsigned way) = {by_vfork, by_clone, by_spawn};
enum { WAYS = sizeof ways / sizeof *ways };

/* ---- the parent's thread goes on ---- */

static void work(uint64_t random, unsigned turns)
{
    void *blocks[SLOTS] = {NULL};
    for (unsigned i = 0; i < turns; i++) {
        size_t idx = next_random(&random) % SLOTS;
        block_free(blocks[idx]);
        size_t bytes = 16 + next_random(&random) % (i % 64 == 0 ? 40000 : 300);
        CHECK((blocks[idx] = malloc(bytes)) != NULL);
        block_fill(blocks[idx], bytes, next_random(&random));
    }
    for (size_t i = 0; i < SLOTS; i++)
        block_free(blocks[i]);
}

static void *begin_in_child(void *argument)
{
    unsigned number = (unsigned)(uintptr_t)argument;
    void *left = ways[number % WAYS](number / WAYS);
    if (left != NULL)
        block_check(left);
    while (!atomic_load(&stop))
        work(number + 1, 2000);
    block_free(left);
    work(number + 2, 1000);
    return NULL;
}

/* Takes a heap, and any that looks as if its thread were gone. */
static void *short_life(void *argument)
{
    void *blocks[64];
    uint64_t random = (uintptr_t)argument + 1;
    for (size_t i = 0; i < 64; i++) {
        size_t bytes = 40 + i * 3;
        CHECK((blocks[i] = malloc(bytes)) != NULL);
        block_fill(blocks[i], bytes, next_random(&random));
    }
    sched_yield();
    for (size_t i = 0; i < 64; i++)
        block_free(blocks[i]);
    return NULL;
}

static void threads_come_and_go(unsigned rounds)
{
    enum { AT_ONCE = 8 };
    for (unsigned round = 0; round < rounds; round++) {
        pthread_t threads[AT_ONCE];
        for (size_t i = 0; i < AT_ONCE; i++)
            CHECK(pthread_create(&threads[i], NULL, short_life, (void *)(i + 1)) == 0);
        for (size_t i = 0; i < AT_ONCE; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void threads_begin_in_children(void)
{
    enum { WORKERS = 6 };
    pthread_t workers[WORKERS];
    atomic_store(&stop, false);
    for (size_t i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&workers[i], NULL, begin_in_child, (void *)i) == 0);
    threads_come_and_go(25);
    atomic_store(&stop, true);
    for (size_t i = 0; i < WORKERS; i++)
        CHECK(pthread_join(workers[i], NULL) == 0);
}

/* ---- a forked child whose first allocation, and repair, is in a child that shares its memory ---- */

static void *kept[SLOTS];

static void *sleep_on(void *unused)
{
    work(4, 1000);
    for (size_t i = 1; i < SLOTS; i += 2) {
        CHECK((kept[i] = malloc(16 + i)) != NULL);
        block_fill(kept[i], 16 + i, i);
    }
    atomic_store(&stop, true);
    pause();
    return unused;
}

static void go_on_in_forked(unsigned number)
{
    alarm(300);
    void *left = (number % 2 == 0 ? by_vfork : by_clone)(number / 2);
    atomic_store(&stop, false);
    pthread_t worker;
    CHECK(pthread_create(&worker, NULL, begin_in_child, (void *)(uintptr_t)(number % 2)) == 0);
    threads_come_and_go(10);
    work(5, 5000);
    threads_come_and_go(10);
    for (size_t i = 0; i < SLOTS; i++)
        block_free(kept[i]);
    atomic_store(&stop, true);
    CHECK(pthread_join(worker, NULL) == 0);
    block_free(left);
    pid_t grandchild = fork();
    CHECK(grandchild >= 0);
    if (grandchild == 0) {
        work(6, 2000);
        threads_come_and_go(3);
        _exit(0);
    }
    expect_success(grandchild, "grandchild");
}

static void forked_child_begins_in_child(void)
{
    pthread_t sleeper;
    atomic_store(&stop, false);
    for (size_t i = 0; i < SLOTS; i += 2) {
        CHECK((kept[i] = malloc(16 + i)) != NULL);
        block_fill(kept[i], 16 + i, i);
    }
    CHECK(pthread_create(&sleeper, NULL, sleep_on, NULL) == 0);
    while (!atomic_load(&stop))
        sched_yield();
    for (unsigned i = 0; i < 9; i++) {
        pid_t child = i % 3 == 2 ? _Fork() : fork();
        CHECK(child >= 0);
        if (child == 0) {
            go_on_in_forked(i);
            _exit(0);
        }
        expect_success(child, "forked child");
    }
}

/* ---- the process's very first block ---- */

static int very_first(unsigned number)
{
    void *left = ways[number % 2](number / 2);
    block_check(left);
    threads_come_and_go(20);
    work(8, 5000);
    threads_begin_in_children();
    block_free(left);
    work(9, 5000);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        work(10, 2000);
        threads_come_and_go(5);
        _exit(0);
    }
    expect_success(child, "forked child");
    return 0;
}

static void process_begins_in_child(void)
{
    for (char number = '0'; number < '4'; number++) {
        struct said said;
        char mode[2] = {number, '\0'};
        run_again(&said, mode, NULL, NULL);
        if (said.status == 0)
            continue;
        dprintf(2, "the process's first block, %c: status %x, %s\n", number, said.status,
                said.text);
        _exit(1);
    }
}

int main(int count, char **arguments)
{
    if (count > 1)
        return very_first((unsigned)(arguments[1][0] - '0'));
    if (emulated())
        SKIP("children of the emulator's do not share its memory");
    for (unsigned i = 0; i < 4; i++)
        run_apart(threads_begin_in_children, 60, "threads that begin in a child");
    run_apart(forked_child_begins_in_child, 60, "forked children that begin in a child");
    process_begins_in_child();
    return 0;
}
