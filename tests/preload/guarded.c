/* guarded.c - a program does with pages of its own blocks what it likes: counting, trimming, allocating neither
 * read nor write them, and count as before. */
#include "guarded.h"

static struct guarded_set set;
static pthread_barrier_t made, end;

static void *make_and_sleep(void *unused)
{
    guarded_take(&set);
    pthread_barrier_wait(&made);
    pthread_barrier_wait(&end);
    return unused;
}

static void *make_and_end(void *unused)
{
    guarded_take(&set);
    return unused;
}

enum maker { OWN, SLEEPER, ENDED, MAKERS };

static pthread_t make(enum maker maker)
{
    pthread_t thread = pthread_self();
    switch (maker) {
    case OWN:
        guarded_take(&set);
        break;
    case SLEEPER:
        CHECK(pthread_create(&thread, NULL, make_and_sleep, NULL) == 0);
        pthread_barrier_wait(&made);
        break;
    default:
        CHECK(pthread_create(&thread, NULL, make_and_end, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return thread;
}

static void use_pages(enum maker maker, bool half)
{
    CHECK(pthread_barrier_init(&made, NULL, 2) == 0 && pthread_barrier_init(&end, NULL, 2) == 0);
    pthread_t thread = make(maker);
    size_t used = used_bytes();
    guarded_withdraw(&set);
    CHECK(used_bytes() == used);
    look_at_all();
    doing = "freeing";
    if (half)
        guarded_free_half(&set);
    used = used_bytes();
    look_at_all();
    CHECK(used_bytes() == used);
    allocate_among(9);
    look_at_all();
    guarded_check_all(&set);
    allocate_among(17);
    doing = "freeing";
    guarded_free_all(&set);
    look_at_all();
    allocate_among(9);
    if (maker == SLEEPER) {
        pthread_barrier_wait(&end);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    malloc_trim(0);
    CHECK(used_bytes() < 4 << 20);
}

static enum maker maker_now;
static bool half_now;

static void use_pages_now(void)
{
    tell_faults();
    use_pages(maker_now, half_now);
}

static void run_scenario(void)
{
    char what[100];
    doing_with = set.use;
    snprintf(what, sizeof what, "%s, %s, %s", use_names[set.use],
             maker_now == OWN       ? "own blocks"
             : maker_now == SLEEPER ? "of a thread that sleeps"
                                    : "of a thread that has ended",
             half_now ? "half of them freed" : "all kept");
    run_apart(use_pages_now, 60, what);
}

/* ---- while another thread counts ---- */

static atomic_bool stop;

static void *count_on(void *unused)
{
    while (!atomic_load(&stop)) {
        (void)mallinfo2();
        malloc_trim(0);
    }
    return unused;
}

static void *allocate_on(void *unused)
{
    while (!atomic_load(&stop)) {
        void *blocks[40];
        for (size_t i = 0; i < 40; i++) {
            CHECK((blocks[i] = malloc(16384)) != NULL);
            memset(blocks[i], 1, 16384);
        }
        for (size_t i = 0; i < 40; i++)
            free(blocks[i]);
    }
    return unused;
}

/* Stacks come and go, each with its guard. */
static void toggle(void)
{
    struct guarded stacks[64] = {{NULL, 0, NULL, 0}};
    pthread_t threads[3];
    tell_faults();
    doing = "pages change";
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, i == 0 ? count_on : allocate_on, NULL) == 0);
    for (size_t i = 0; i < 2000; i++) {
        struct guarded *stack = &stacks[i * 37 % 64];
        enum use use = i % 2 == 0 ? NO_ACCESS : READ_ONLY;
        if (stack->block != NULL) {
            guarded_check(stack);
            restore(stack, use);
            free(stack->block);
        }
        stack->bytes = guarded_sizes[i % 12];
        stack->block = whole_pages(stack->bytes, i);
        stack->page = page_of(stack->block, stack->bytes, FIRST_PAGE);
        stack->seed = i;
        withdraw(stack, use);
        guarded_fill(stack);
        for (unsigned k = 0; k < 3; k++) {
            restore(stack, use);
            withdraw(stack, use);
        }
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (size_t i = 0; i < 64; i++)
        guarded_check(&stacks[i]);
    look_at_all();
}

/* ---- locked pages that are freed as they are ---- */

static void free_locked(void)
{
    tell_faults();
    for (size_t i = 0; i < 8; i++) {
        size_t bytes = guarded_sizes[i + 6];
        char *block = whole_pages(bytes, 0);
        memset(block, 0xff, bytes);
        if (mlock(block, PAGE) != 0)
            return;
        free(block);
        malloc_trim(0);
        char *zeros = calloc(1, bytes);
        CHECK(zeros != NULL);
        for (size_t at = 0; at < bytes; at++)
            CHECK(zeros[at] == 0);
        allocate_among(3);
        free(zeros);
    }
}

/* ---- statistics at exit ---- */

static int guard_and_end(void)
{
    set.use = NO_ACCESS;
    doing = "ending";
    tell_faults();
    guarded_take(&set);
    guarded_withdraw(&set);
    return 0;
}

static void counted_at_exit(void)
{
    struct said said;
    run_again(&said, "end", "ARENITE_OPTIONS", "stats=exit");
    if (said.status == 0 && strstr(said.text, "used bytes") != NULL)
        return;
    dprintf(2, "statistics at exit: %s\n", said.text);
    _exit(1);
}

int main(int count, char **arguments)
{
    (void)arguments;
    if (count > 1)
        return guard_and_end();
    if (sysconf(_SC_PAGESIZE) != PAGE)
        SKIP("pages of another size");
    for (set.use = 0; set.use < USES; set.use++) {
        for (maker_now = 0; maker_now < MAKERS; maker_now++) {
            half_now = (set.use + maker_now) % 2;
            run_scenario();
            half_now = !half_now;
            if (set.use == NO_ACCESS)
                run_scenario();
        }
    }
    run_apart(toggle, 60, "pages that change while another thread counts");
    run_apart(free_locked, 60, "locked pages freed");
    if (!emulated())
        counted_at_exit();
    return 0;
}
