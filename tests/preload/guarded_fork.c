/* guarded_fork.c - the child of a process with threads allocates, frees, counts and trims, while pages of its
 * parent's blocks cannot be read, are missing in it, or are something else. */
#include <sched.h>

#include "guarded.h"

static struct guarded_set set;
static pthread_barrier_t made, end;

static void *sleep_on(void *unused)
{
    void *block = malloc(5000);
    pthread_barrier_wait(&end);
    free(block);
    return unused;
}

static void make_set(void)
{
    guarded_take(&set);
    guarded_withdraw(&set);
}

static void *make_and_sleep(void *unused)
{
    make_set();
    pthread_barrier_wait(&made);
    pthread_barrier_wait(&end);
    return unused;
}

static void *make_and_end(void *unused)
{
    make_set();
    return unused;
}

enum maker { OWN, SLEEPER, ENDED, MAKERS };

/* There is always another thread: the child of a process that has one needs no mending. */
static pthread_t make(enum maker maker)
{
    pthread_t other, sleeper;
    switch (maker) {
    case OWN:
        CHECK(pthread_create(&sleeper, NULL, sleep_on, NULL) == 0);
        make_set();
        break;
    case SLEEPER:
        CHECK(pthread_create(&sleeper, NULL, make_and_sleep, NULL) == 0);
        pthread_barrier_wait(&made);
        break;
    default:
        CHECK(pthread_create(&sleeper, NULL, sleep_on, NULL) == 0);
        CHECK(pthread_create(&other, NULL, make_and_end, NULL) == 0);
        CHECK(pthread_join(other, NULL) == 0);
    }
    return sleeper;
}

/* ---- what a child does first ---- */

static void free_in_child(void)
{
    doing = "freeing in a child";
    for (size_t i = 0; i < set.count; i++) {
        restore_in_child(&set.all[i], set.use);
        guarded_check(&set.all[i]);
        free(set.all[i].block);
    }
    set.count = 0;
}

static void *allocate_in_thread(void *unused)
{
    allocate_among(4);
    return unused;
}

static void allocate_in_threads(void)
{
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_in_thread, NULL) == 0);
    allocate_among(4);
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void allocate_small(void)
{
    static void *blocks[2000];
    doing = "allocating in a child";
    for (size_t i = 0; i < 2000; i++) {
        CHECK((blocks[i] = malloc(i % 3 == 0 ? 16284 : i)) != NULL);
        memset(blocks[i], 1, i % 3 == 0 ? 100 : i);
        if (i % 2 == 0) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    }
    for (size_t i = 0; i < 2000; i++)
        free(blocks[i]);
}

static void allocate(void)
{
    allocate_among(4);
}

static void trim(void)
{
    doing = "malloc_trim in a child";
    malloc_trim(0);
}

/* What is live counts as live in the child, too. */
static void count(void)
{
    size_t live = 0;
    for (size_t i = 0; i < set.count; i++)
        live += set.all[i].bytes;
    CHECK(used_bytes() >= live);
    look_at_all();
}

static void (*const beginnings[])(void) = {
    allocate_small, trim, count, free_in_child, allocate_in_threads, allocate,
};
enum { BEGINNINGS = sizeof beginnings / sizeof *beginnings };

static void in_child(size_t beginning)
{
    alarm(300);
    beginnings[beginning]();
    guarded_check_all(&set);
    allocate();
    count();
    guarded_check_all(&set);
    pid_t grandchild = fork();
    CHECK(grandchild >= 0);
    if (grandchild == 0) {
        count();
        free_in_child();
        allocate();
        _exit(0);
    }
    expect_success(grandchild, "grandchild");
    free_in_child();
    allocate_in_threads();
    count();
    trim();
    CHECK(used_bytes() < 4 << 20);
    _exit(0);
}

/* ---- ways to a child ---- */

static void fork_children(size_t first)
{
    for (size_t i = first; i < BEGINNINGS; i += 3) {
        doing = "forking";
        pid_t child = i % 3 == 2 ? _Fork() : fork();
        CHECK(child >= 0);
        if (child == 0)
            in_child(i);
        expect_success(child, "child");
    }
}

static void start_others(void)
{
    doing = "vfork";
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(127);
    }
    expect_success(child, "vfork");
    doing = "system";
    CHECK(system("exit 3") == 3 << 8);
}

static enum maker maker_now;
static size_t first_now;
static bool half_now;

static void fork_amid(void)
{
    tell_faults();
    CHECK(pthread_barrier_init(&made, NULL, 2) == 0 && pthread_barrier_init(&end, NULL, 2) == 0);
    pthread_t sleeper = make(maker_now);
    if (half_now)
        guarded_free_half(&set);
    fork_children(first_now);
    start_others();
    guarded_check_all(&set);
    allocate();
    guarded_check_all(&set);
    pthread_barrier_wait(&end);
    CHECK(pthread_join(sleeper, NULL) == 0);
    doing = "freeing";
    guarded_free_all(&set);
    look_at_all();
    CHECK(used_bytes() < 4 << 20);
}

/* ---- while guards come and go ---- */

static atomic_bool stop;

static void *stacks_come_and_go(void *unused)
{
    static _Thread_local struct guarded stacks[64];
    for (size_t i = 0; !atomic_load(&stop); i++) {
        struct guarded *stack = &stacks[i * 37 % 64];
        if (stack->block != NULL) {
            guarded_check(stack);
            restore(stack, set.use);
            free(stack->block);
        }
        stack->bytes = guarded_sizes[i % 12];
        stack->block = whole_pages(stack->bytes, i);
        stack->page = page_of(stack->block, stack->bytes, FIRST_PAGE);
        stack->seed = i;
        withdraw(stack, set.use);
        guarded_fill(stack);
    }
    return unused;
}

static void fork_while_guards_change(void)
{
    pthread_t threads[2];
    tell_faults();
    doing = "guards come and go";
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, stacks_come_and_go, NULL) == 0);
    for (size_t i = 0; i < 20; i++) {
        usleep(500);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(300);
            if (i % 3 == 0)
                look_at_all();
            if (i % 3 == 1)
                trim();
            allocate();
            allocate_small();
            look_at_all();
            _exit(0);
        }
        expect_success(child, "child while guards come and go");
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
    if (emulated())
        SKIP("the emulator's own locks do not survive a fork amid threads");
    if (sysconf(_SC_PAGESIZE) != PAGE)
        SKIP("pages of another size");
    for (set.use = 0; set.use < USES; set.use++) {
        doing_with = set.use;
        for (maker_now = 0; maker_now < MAKERS; maker_now++) {
            char what[100];
            first_now = (set.use + maker_now) % 3;
            half_now = (set.use + maker_now) % 2;
            snprintf(what, sizeof what, "%s, %s, %s", use_names[set.use],
                     maker_now == OWN       ? "own blocks"
                     : maker_now == SLEEPER ? "of a thread that sleeps"
                                            : "of a thread that has ended",
                     half_now ? "half of them freed" : "all kept");
            run_apart(fork_amid, 60, what);
        }
        if (set.use == NO_ACCESS || set.use == NOT_FORKED)
            run_apart(fork_while_guards_change, 60, use_names[set.use]);
    }
    return 0;
}
