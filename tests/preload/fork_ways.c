/* fork_ways.c - every way to a new process, from one with threads: fork with handlers, _Fork, clone,
 * vfork, posix_spawn, system, popen; and stdio's locks, which fork takes itself. */
#include <spawn.h>
#include <sys/syscall.h>

#include "blocks.h"
#include "busy.h"

enum { THREADS = 4, KEPT = 96, TIMES = 20, CHILDS_BLOCKS = 150 };

static _Atomic(void *) kept[THREADS][KEPT];

static void *busy(void *argument)
{
    size_t number = (size_t)argument;
    uint64_t random = 88172645463325252u + number;
    while (busy_goes_on()) {
        _Atomic(void *) *slot = &kept[number][next_random(&random) % KEPT];
        block_free(atomic_exchange(slot, NULL));
        atomic_store(slot, random_block(&random));
        block_free(atomic_exchange(&kept[(number + 1) % THREADS][random % KEPT], NULL));
    }
    return NULL;
}

static void *busy_with_stdio(void *unused)
{
    while (busy_goes_on()) {
        FILE *file = fopen("/dev/null", "w");
        CHECK(file != NULL);
        for (int i = 0; i < 5; i++)
            fprintf(file, "%d %s\n", i, "a line");
        printf("%d\n", 1);
        char *text = NULL;
        CHECK(asprintf(&text, "%p", (void *)file) > 0);
        free(text);
        fclose(file);
        usleep(10); /* or fork waits long for stdio's locks */
    }
    return unused;
}

static void with_threads(void *(*function)(void *), void (*body)(void))
{
    busy_start(THREADS, function);
    body();
    busy_end();
}

/* ---- what a child does ---- */

static void use_and_free_all(uint64_t random)
{
    void *blocks[CHILDS_BLOCKS];
    for (size_t i = 0; i < CHILDS_BLOCKS; i++)
        blocks[i] = random_block(&random);
    for (size_t i = 0; i < THREADS; i++) {
        for (size_t k = 0; k < KEPT; k++)
            block_free(atomic_exchange(&kept[i][k], NULL));
    }
    for (size_t i = 0; i < CHILDS_BLOCKS; i++)
        block_free(blocks[i]);
}

/* Small blocks of the sizes that are asked for most. */
enum { SMALL_BLOCKS = 3000 };
struct small {
    void *blocks[SMALL_BLOCKS];
};

static void take_small(struct small *small)
{
    for (size_t i = 0; i < SMALL_BLOCKS; i++) {
        CHECK((small->blocks[i] = malloc(16 + i % 48)) != NULL);
        block_fill(small->blocks[i], 16 + i % 48, i);
    }
}

static void free_small(struct small *small)
{
    for (size_t i = 0; i < SMALL_BLOCKS; i++)
        block_free(small->blocks[i]);
}

static atomic_bool begun;

static void *begin(void *argument)
{
    static struct small small;
    take_small(&small);
    atomic_store(&begun, true);
    use_and_free_all((uint64_t)(uintptr_t)argument);
    free_small(&small);
    return NULL;
}

/* Another thread than the one that forked is the first of the child to need memory. */
static void let_another_begin(uint64_t random)
{
    static struct small small;
    pthread_t other;
    CHECK(pthread_create(&other, NULL, begin, (void *)(uintptr_t)random) == 0);
    while (!atomic_load(&begun))
        sched_yield();
    take_small(&small);
    CHECK(pthread_join(other, NULL) == 0);
    free_small(&small);
    use_and_free_all(random + 1);
}

static void in_child(unsigned number)
{
    alarm(300);
    if (number % 2 == 0)
        use_and_free_all(number + 1);
    else
        let_another_begin(number + 1);
    _exit(0);
}

/* ---- ways ---- */

/* After this, this thread has some free blocks of every small size at hand. */
static void warm_up(void)
{
    for (size_t bytes = 16; bytes <= 1024; bytes += 16)
        free(malloc(bytes));
}

static void by__Fork(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        warm_up();
        pid_t child = _Fork();
        CHECK(child >= 0);
        if (child == 0)
            in_child(i);
        busy_expect_success(child, i % 2 == 0 ? "_Fork" : "_Fork, another thread begins");
    }
}

static void *by__Fork_too(void *unused)
{
    by__Fork();
    return unused;
}

static void by__Fork_from_another_thread(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, by__Fork_too, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* libc knows nothing of this child: no new threads there. */
static void by_clone(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
        CHECK(child >= 0);
        if (child == 0)
            in_child(2 * i);
        busy_expect_success(child, "clone");
    }
}

static void by_vfork(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        pid_t child = vfork();
        CHECK(child >= 0);
        if (child == 0) {
            execl("/bin/true", "true", NULL);
            _exit(127);
        }
        busy_expect_success(child, "vfork");
        free(malloc(100000));
    }
}

static void by_spawn(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        pid_t child;
        char *const arguments[] = {(char *)"true", NULL};
        CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0);
        busy_expect_success(child, "posix_spawn");
        if (i % 4 != 0)
            continue;
        CHECK(system("exit 3") == 3 << 8);
        FILE *pipe = popen("echo heard", "r");
        char line[16] = "";
        CHECK(pipe != NULL && fgets(line, sizeof line, pipe) != NULL);
        CHECK(strcmp(line, "heard\n") == 0);
        CHECK(pclose(pipe) == 0);
    }
}

static void by_fork_amid_stdio(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(300);
            FILE *file = fopen("/dev/null", "w");
            CHECK(file != NULL && fprintf(file, "%s", "child") == 5 && fclose(file) == 0);
            fflush(NULL);
            use_and_free_all(i + 1);
            _exit(0);
        }
        busy_expect_success(child, "fork amid stdio");
    }
}

/* ---- handlers ---- */

static char order[8];
static void *prepared[3];

static void note(char what)
{
    size_t length = strlen(order);
    if (length + 1 < sizeof order)
        order[length] = what;
    void *blocks[50];
    for (size_t i = 0; i < 50; i++)
        CHECK((blocks[i] = malloc(16 + i * 900)) != NULL);
    for (size_t i = 0; i < 50; i++)
        free(blocks[i]);
}

static void prepare_1(void)
{
    note('a');
    CHECK((prepared[1] = malloc(100)) != NULL);
}

static void prepare_2(void)
{
    note('b');
    CHECK((prepared[2] = malloc(100000)) != NULL);
}

static void parent_1(void)
{
    note('c');
    free(prepared[1]);
}

static void parent_2(void)
{
    note('d');
    free(prepared[2]);
}

static void child_1(void)
{
    note('e');
    free(prepared[1]);
}

static void child_2(void)
{
    note('f');
    free(prepared[2]);
}

static void by_fork_with_handlers(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        memset(order, 0, sizeof order);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(300);
            CHECK(strcmp(order, "baef") == 0);
            in_child(i);
        }
        CHECK(strcmp(order, "bacd") == 0);
        busy_expect_success(child, "fork with handlers");
    }
}

/* What a child does first is the free that would bring a full pool back: its parent's other blocks of
 * that pool are free already. Nothing is handed out twice afterwards. */
static atomic_bool sleeps;

static void *sleep_on(void *unused)
{
    void *block = malloc(100);
    atomic_store(&sleeps, true);
    pause();
    free(block);
    return unused;
}

static int compare_addresses(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;
    return left < right ? -1 : left > right;
}

static void first_a_free(void)
{
    enum { BLOCKS = 18 * 256, NEXT = 20000, BYTES = 64, SLICE_BYTES = 16384 };
    static char *blocks[BLOCKS], *next[NEXT];
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, sleep_on, NULL) == 0);
    while (!atomic_load(&sleeps))
        sched_yield();
    for (size_t i = 0; i < BLOCKS; i++)
        CHECK((blocks[i] = malloc(BYTES)) != NULL);
    for (size_t already = 0; already < 16; already++) {
        uintptr_t slice = (uintptr_t)blocks[256 * already + 100] / SLICE_BYTES;
        char *first = NULL;
        for (size_t i = 0, freed = 0; i < BLOCKS && first == NULL; i++) {
            if ((uintptr_t)blocks[i] / SLICE_BYTES != slice)
                continue;
            if (freed++ < already)
                free(blocks[i]);
            else
                first = blocks[i];
            blocks[i] = NULL;
        }
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(300);
            free(first);
            for (size_t i = 0; i < NEXT; i++)
                next[i] = malloc(BYTES);
            qsort(next, NEXT, sizeof *next, compare_addresses);
            for (size_t i = 1; i < NEXT; i++)
                CHECK(next[i] != next[i - 1]);
            _exit(0);
        }
        busy_expect_success(child, "a child that frees first");
        free(first);
    }
}

int main(void)
{
    CHECK(freopen("/dev/null", "w", stdout) != NULL);
    if (!emulated())
        run_apart(first_a_free, 60,
                  "children that free first"); /* before the handlers: they allocate */
    CHECK(pthread_atfork(prepare_1, parent_1, child_1) == 0);
    CHECK(pthread_atfork(prepare_2, parent_2, child_2) == 0);
    by_fork_with_handlers();
    if (emulated()) /* its own locks do not survive a fork amid threads */
        return 0;
    with_threads(busy, by_fork_with_handlers);
    with_threads(busy, by_clone);
    with_threads(busy, by__Fork);
    with_threads(busy, by__Fork_from_another_thread);
    with_threads(busy_with_stdio, by_fork_amid_stdio);
    with_threads(busy, by_vfork);
    with_threads(busy, by_spawn);
    return 0;
}
