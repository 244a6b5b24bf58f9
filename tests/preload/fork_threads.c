/* fork_threads.c - the child of a process with busy threads can use and free everything. */
#include <time.h>

#include "blocks.h"
#include "busy.h"

enum { THREADS = 8, SLOTS = 1536, CHILD_THREADS = 3 };

/* What every process may find and free: complete blocks, of whichever thread. */
static _Atomic(void *) slots[SLOTS];

/* What each thread keeps to itself most of the time: blocks of pools that it owns. */
static _Atomic(void *) kept[THREADS][SLOTS / THREADS];

static void exchange(_Atomic(void *) *slot, uint64_t *random)
{
    void *block = atomic_exchange(slot, NULL);
    switch (next_random(random) >> 8 & 7) {
    case 0:
        block_free(block);
        return;
    case 1:
        if (block != NULL)
            block = random_resized(block, random);
        break;
    default:
        block_free(block);
        block = random_block(random);
    }
    block_free(atomic_exchange(slot, block));
}

static void *busy(void *argument)
{
    size_t number = (size_t)argument;
    uint64_t random = 88172645463325252u + number * 7919;
    while (busy_goes_on()) {
        exchange(&slots[next_random(&random) % SLOTS], &random);
        exchange(&kept[number][next_random(&random) % (SLOTS / THREADS)], &random);
        if (number == 0 && next_random(&random) % 512 == 0)
            malloc_trim(0);
    }
    return NULL;
}

static void *busy_for_a_while(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (unsigned i = 0; i < 300; i++)
        exchange(&slots[next_random(&random) % SLOTS], &random);
    return NULL;
}

static void use_threads(uint64_t seed)
{
    pthread_t threads[CHILD_THREADS];
    for (size_t i = 0; i < CHILD_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, busy_for_a_while, (void *)(seed + i + 1)) == 0);
    for (size_t i = 0; i < CHILD_THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void check_everything(void)
{
    for (size_t i = 0; i < SLOTS; i++) {
        void *block = atomic_load(&slots[i]);
        if (block != NULL)
            block_check(block);
        block = atomic_load(&kept[i % THREADS][i / THREADS]);
        if (block != NULL)
            block_check(block);
    }
}

static void free_everything(void)
{
    for (size_t i = 0; i < SLOTS; i++) {
        block_free(atomic_exchange(&slots[i], NULL));
        block_free(atomic_exchange(&kept[i % THREADS][i / THREADS], NULL));
    }
}

/* Blocks of all kinds, none on top of another or of what was there before. */
static void use_much(uint64_t *random)
{
    enum { BLOCKS = 700 };
    void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = random_block(random);
    for (size_t i = 0; i < BLOCKS; i++)
        block_check(blocks[i]);
    for (size_t i = 0; i < BLOCKS; i++)
        block_free(blocks[i]);
}

static void check_accounts(void)
{
    struct mallinfo2 before = mallinfo2();
    CHECK(before.uordblks < (size_t)1 << 36);
    CHECK(before.fordblks < (size_t)1 << 36);
    CHECK(before.uordblks + before.fordblks == before.arena);
    void *large = malloc(200 << 10);
    CHECK(large != NULL);
    CHECK(mallinfo2().uordblks - before.uordblks >= 200 << 10);
    free(large);
    CHECK(mallinfo2().uordblks <= before.uordblks + (64 << 10));
    malloc_trim(0);
    CHECK(mallinfo2().keepcost < 1 << 20);
}

/* Whatever a child does first, it must find its feet. */
static void begin_with(unsigned number, uint64_t *random)
{
    switch (number % 5) {
    case 0:
        use_much(random);
        break;
    case 1:
        free_everything();
        break;
    case 2:
        use_threads(*random);
        break;
    case 3:
        check_accounts();
        break;
    default:
        check_everything();
    }
}

/* All that is left is what other threads had in their hands. */
static void expect_little_left(void)
{
    malloc_trim(0);
    struct mallinfo2 left = mallinfo2();
    if (left.fordblks <= 4 << 20 && left.uordblks <= 32 << 20)
        return;
    dprintf(2, "%zu KiB are used, %zu KiB free and stay\n", left.uordblks >> 10,
            left.fordblks >> 10);
    _exit(1);
}

static void go_on(uint64_t *random)
{
    check_everything();
    use_threads(*random);
    check_everything();
    free_everything();
    use_much(random);
    check_accounts();
    expect_little_left();
}

static void in_grandchild(unsigned number, uint64_t random)
{
    alarm(300);
    begin_with(number, &random);
    go_on(&random);
    _exit(0);
}

static void in_child(unsigned number, uint64_t random)
{
    alarm(300);
    begin_with(number, &random);
    check_everything();
    pid_t grandchild = fork();
    CHECK(grandchild >= 0);
    if (grandchild == 0)
        in_grandchild(number / 5, next_random(&random));
    use_much(&random);
    expect_success(grandchild, "grandchild");
    go_on(&random);
    _exit(0);
}

/* ---- many small children, each forked while other threads are in the midst of something ---- */

static void fork_often(unsigned times, time_t seconds, void (*in_each)(unsigned number),
                       const char *what)
{
    time_t start = time(NULL);
    for (unsigned i = 0; i < times && time(NULL) - start < seconds; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(300);
            in_each(i);
            _exit(0);
        }
        busy_expect_success(child, what);
    }
}

/* Another thread gives whole regions back: nothing that the child has may be missing. */
static void *grows_and_trims(void *unused)
{
    void *blocks[24];
    while (busy_goes_on()) {
        for (size_t i = 0; i < 24; i++)
            CHECK((blocks[i] = malloc(1 << 20)) != NULL);
        for (size_t i = 0; i < 24; i++)
            free(blocks[i]);
        malloc_trim(0);
    }
    return unused;
}

static void grow(unsigned number)
{
    (void)number;
    for (size_t n = 0; n < 48; n++) {
        char *block = malloc(1 << 20);
        CHECK(block != NULL);
        for (size_t at = 0; at < 1 << 20; at += 64 << 10)
            block[at] = 1;
    }
}

/* Slices change hands all the time: pools of few blocks, runs, spans. */
static void *always_in_slow_paths(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument * 104729 + 17;
    while (busy_goes_on()) {
        _Atomic(void *) *slot = &slots[next_random(&random) % 64];
        size_t bytes = (16u << 10) + next_random(&random) % (300u << 10);
        void *blocks[16];
        for (size_t i = 0; i < 16; i++)
            CHECK((blocks[i] = malloc(bytes + i * 12345)) != NULL);
        for (size_t i = 0; i < 16; i++)
            free(blocks[i]);
        block_free(atomic_exchange(slot, NULL));
        void *block = malloc(bytes);
        CHECK(block != NULL);
        block_fill(block, bytes, random);
        block_free(atomic_exchange(slot, block));
    }
    return NULL;
}

/* Threads come and go, and allocate to their very end. */
static pthread_key_t key;

static void allocate_to_the_end(void *argument)
{
    uintptr_t rounds = (uintptr_t)argument;
    for (size_t bytes = 16; bytes < 8192; bytes *= 2)
        free(malloc(bytes));
    CHECK(rounds == 1 || pthread_setspecific(key, (void *)(rounds - 1)) == 0);
}

static void *short_life(void *unused)
{
    CHECK(pthread_setspecific(key, (void *)4) == 0);
    free(malloc(100));
    return unused;
}

static void *gives_birth(void *unused)
{
    while (busy_goes_on()) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, short_life, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return unused;
}

static void a_little_of_everything(unsigned number)
{
    void *blocks[64];
    uint64_t random = number + 1;
    for (size_t i = 0; i < 64; i++) {
        size_t bytes = 16 + next_random(&random) % (i % 2 == 0 ? 3000 : 300 << 10);
        CHECK((blocks[i] = malloc(bytes)) != NULL);
        block_fill(blocks[i], bytes, random);
    }
    for (size_t i = 0; i < 64; i++) {
        block_free(atomic_exchange(&slots[i], NULL));
        block_check(blocks[i]);
    }
    if (number % 4 == 0) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, short_life, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    for (size_t i = 0; i < 64; i++)
        block_free(blocks[i]);
}

/* ---- fewer children that do everything ---- */

static void fork_amid_everything(unsigned times, time_t seconds)
{
    uint64_t random = 362436069;
    time_t start = time(NULL);
    for (unsigned i = 0; i < times && time(NULL) - start < seconds; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            in_child(i, next_random(&random));
        use_much(&random);
        busy_expect_success(child, "child");
    }
}

int main(void)
{
    if (emulated())
        SKIP("qemu's own locks do not survive a fork amid threads");
    CHECK(pthread_key_create(&key, allocate_to_the_end) == 0);

    busy_start(1, grows_and_trims);
    fork_often(300, 3, grow, "child amid trims");
    busy_end();

    busy_start(3, always_in_slow_paths);
    fork_often(1500, 3, a_little_of_everything, "child amid slow paths");
    busy_end();

    busy_start(2, gives_birth);
    fork_often(1500, 3, a_little_of_everything, "child amid births and deaths");
    busy_end();

    busy_start(THREADS, busy);
    fork_amid_everything(240, 5);
    busy_end();
    check_everything();
    free_everything();
    return 0;
}
