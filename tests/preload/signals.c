/* signals.c - a handler that allocates never deadlocks the process.
 *
 * The thread that is interrupted asks for large blocks and trims: it is in the allocator's slow
 * paths, where locks are held, most of the time. The handler asks for everything. (What interrupts
 * the fast path in the midst of a list is another matter, and not promised.)
 */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "blocks.h"
#include "self.h"

enum { SIGNALS = 3000, FORKS = 200, SECONDS_AT_MOST = 2, SECONDS_UNTIL_HUNG = 60 };

static atomic_uint handled;
static atomic_bool stop;

/* Enough signals, or some after a while: a busy machine sends few. A few there must be, however long that
 * takes; one that sends none is found hung. */
static bool handled_enough(unsigned enough, unsigned some, time_t start)
{
    unsigned so_far = atomic_load(&handled);
    return so_far >= enough || (so_far > some && time(NULL) - start >= SECONDS_AT_MOST);
}

/* Sizes that the interrupted code does not use; a block may stay until the next signal. */
static void handle(int signal_number)
{
    static void *kept[4];
    static uint64_t random = 31337;
    int saved = errno;
    (void)signal_number;
    unsigned idx = next_random(&random) % 4;
    block_free(kept[idx]);
    kept[idx] = NULL;
    static const size_t sizes[] = {48, 700, 9000, 40000, 500000, 5000000};
    size_t bytes = sizes[next_random(&random) % 6];
    void *block = malloc(bytes);
    CHECK(block != NULL);
    block_fill(block, bytes, random);
    block = realloc(block, bytes * 3);
    CHECK(block != NULL);
    block_check_up_to(block, bytes);
    if (random & 1 << 20)
        kept[idx] = block;
    else
        free(block);
    errno = saved;
    atomic_fetch_add(&handled, 1);
}

static void large_blocks(uint64_t *random)
{
    void *blocks[6];
    for (size_t i = 0; i < 6; i++) {
        size_t bytes = (i % 2 == 0 ? 100 << 10 : 300 << 10) + next_random(random) % 4096;
        CHECK((blocks[i] = malloc(bytes)) != NULL);
        block_fill(blocks[i], bytes, i);
    }
    blocks[0] = realloc(blocks[0], 200 << 10);
    CHECK(blocks[0] != NULL);
    block_check_up_to(blocks[0], 100 << 10);
    free(blocks[0]);
    for (size_t i = 1; i < 6; i++)
        block_free(blocks[i]);
}

static void *busy(void *unused)
{
    uint64_t random = 99;
    while (!atomic_load(&stop))
        large_blocks(&random);
    return unused;
}

static void interrupted(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 200}, {0, 200}};
    struct itimerval never = {{0, 0}, {0, 0}};
    uint64_t random = 7;
    time_t start = time(NULL);
    CHECK(sigaction(SIGVTALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_VIRTUAL, &often, NULL) == 0);
    while (!handled_enough(SIGNALS, 20, start))
        large_blocks(&random);
    CHECK(setitimer(ITIMER_VIRTUAL, &never, NULL) == 0);
}

static void alone(void)
{
    interrupted();
}

/* Signals by another thread, the locks contended. */
static void amid_threads(void)
{
    pthread_t threads[2];
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    CHECK(pthread_sigmask(SIG_BLOCK, &usr1, NULL) == 0);
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, busy, NULL) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL) == 0);
    pid_t target = getpid();
    pid_t sender = fork();
    CHECK(sender >= 0);
    if (sender == 0) {
        while (kill(target, SIGUSR1) == 0)
            usleep(100);
        _exit(0);
    }
    uint64_t random = 8;
    time_t start = time(NULL);
    while (!handled_enough(SIGNALS, 20, start))
        large_blocks(&random);
    CHECK(kill(sender, SIGKILL) == 0);
    CHECK(waitpid(sender, NULL, 0) == sender);
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* A handler that forks: the child may be inside a slow path of its own, and goes on. The next signal may be there
 * before this one's child has ended: whoever is interrupted comes no farther until there were enough. */
static void handle_by_forking(int signal_number)
{
    int saved = errno;
    if (atomic_load(&handled) >= FORKS)
        return;
    pid_t child = _Fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(300);
        signal(signal_number, SIG_IGN);
        void *block = malloc(50000);
        CHECK(block != NULL);
        memset(block, 1, 50000);
        free(block);
        _exit(0);
    }
    expect_success(child, "child of a handler");
    errno = saved;
    atomic_fetch_add(&handled, 1);
}

static void forks_in_handler(void)
{
    struct sigaction action = {.sa_handler = handle_by_forking, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 1000}, {0, 1000}};
    struct itimerval never = {{0, 0}, {0, 0}};
    pthread_t thread;
    uint64_t random = 7;
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGVTALRM);
    CHECK(pthread_sigmask(SIG_BLOCK, &blocked, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, busy, NULL) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &blocked, NULL) == 0);
    CHECK(sigaction(SIGVTALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_VIRTUAL, &often, NULL) == 0);
    time_t start = time(NULL);
    while (!handled_enough(FORKS, 5, start))
        large_blocks(&random);
    CHECK(setitimer(ITIMER_VIRTUAL, &never, NULL) == 0);
    _exit(0);
}

int main(void)
{
    run_apart(alone, SECONDS_UNTIL_HUNG, "interrupted by a timer");
    run_apart(amid_threads, SECONDS_UNTIL_HUNG, "interrupted amid threads");
    if (!emulated()) /* a child of _Fork cannot be noticed there: see thread.c */
        run_apart(forks_in_handler, SECONDS_UNTIL_HUNG, "forks in a handler");
    return 0;
}
