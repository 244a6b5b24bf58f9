/* steps.c - a signal handler that comes amid what free, malloc and malloc_trim call: after every third
 * instruction, with ARENITE_LONG after every single one, or, where there are many, after some.
 *
 * The trap flag stops the thread after each instruction; after the k-th, the handler frees and
 * allocates, or forks. Each k has a process of its own. The instructions of free and malloc themselves do
 * not count: they are the fast paths, which are not promised to bear a handler that uses the same lists.
 *
 * A trap takes longer than a thousand instructions. So the first process of a scenario notes where each step
 * is, and the others run up to a breakpoint shortly before theirs, and go in steps from there. One that does
 * not come by its breakpoint, for it took another path, is followed by one that goes all the way in steps.
 */
#include "blocks.h"
#include "self.h"

#if defined(__x86_64__)

#include <dlfcn.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

enum { TRAP_FLAG = 0x100, BREAKPOINT = 0xcc, NO_MORE = 9, FREE_BYTES = 256, MALLOC_BYTES = 88 };

/* ---- stepping ---- */

static volatile int step, stop_at; /* 0: the handler has acted */
static void (*act)(void);
static uintptr_t free_address, malloc_address;

/* Where the first steps of a scenario are; all processes share it. */
enum { PATH_MOST = 1 << 18 };
static struct path {
    int most, length;
    struct {
        uintptr_t address;
        int new_step; /* the last step up to this one at an address where no earlier step is */
    } steps[PATH_MOST];
} * path;
static bool notes_path;

static void note_step(uintptr_t at)
{
    path->steps[step - 1].address = at;
    path->length = step;
    if (step == path->most)
        _exit(NO_MORE);
}

/* Where this process begins to step; 0: at once, or it has begun. */
static volatile uintptr_t breakpoint;
static unsigned char broken_byte;
static _Thread_local bool steps_here;

static void trapped(int signal_number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)signal_number;
    (void)info;
    if (breakpoint != 0 && (uintptr_t)registers[REG_RIP] == breakpoint + 1) {
        *(volatile unsigned char *)breakpoint = broken_byte;
        registers[REG_RIP] = (greg_t)breakpoint;
        breakpoint = 0;
        if (!steps_here) /* another thread: nobody will step */
            return;
        registers[REG_EFL] |= TRAP_FLAG;
    }
    uintptr_t at = (uintptr_t)registers[REG_RIP];
    bool is_fast_path = at - free_address < FREE_BYTES || at - malloc_address < MALLOC_BYTES;
    if (stop_at != 0 && !is_fast_path) {
        step++;
        if (notes_path)
            note_step(at);
        if (step == stop_at) {
            stop_at = 0;
            act();
        }
    }
    if (stop_at == 0)
        registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

/* A breakpoint before step k. False: where that is, is not known, or its code cannot be written. */
static bool break_before(int k)
{
    if (k > path->length)
        return false;
    int begin = path->steps[k - 1].new_step;
    uintptr_t address = path->steps[begin - 1].address;
    void *page = (void *)(address & ~(uintptr_t)4095);
    if (mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
        return false;
    step = begin - 1;
    steps_here = true;
    broken_byte = *(unsigned char *)address;
    breakpoint = address;
    *(volatile unsigned char *)address = BREAKPOINT;
    return true;
}

static bool steps_all; /* without a breakpoint */

#define TRAPS_ON "pushfq; orq $0x100, (%%rsp); popfq"
#define TRAPS_OFF "pushfq; andq $~0x100, (%%rsp); popfq"

static inline void begin_steps(int k)
{
    stop_at = k;
    if (steps_all || !break_before(k))
        __asm__ volatile(TRAPS_ON ::: "memory", "cc");
}

static inline void end_steps(void)
{
    __asm__ volatile(TRAPS_OFF ::: "memory", "cc");
    if (stop_at != 0)
        _exit(NO_MORE);
}

static void free_in_steps(void *block, int k)
{
    begin_steps(k);
    free(block);
    end_steps();
}

static void *malloc_in_steps(size_t bytes, int k)
{
    begin_steps(k);
    void *block = malloc(bytes);
    end_steps();
    return block;
}

static void trim_in_steps(int k)
{
    begin_steps(k);
    malloc_trim(0);
    end_steps();
}

/* The scenario up to step k in a process of its own; false: there is no such step. */
static bool run_step(void (*scenario)(int k), int k, const char *what)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(300);
        scenario(k);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_MORE)
        return false;
    if (status != 0)
        dprintf(2, "%s: after instruction %d: status %x\n", what, k, (unsigned)status);
    CHECK(status == 0);
    return true;
}

/* True the first time, until there are too many of them. */
static bool is_new(uintptr_t address, bool again)
{
    static uintptr_t seen[1 << 14];
    static size_t count;
    if (again) {
        memset(seen, 0, sizeof seen);
        count = 0;
    }
    size_t idx = address * 0x9e3779b97f4a7c15u >> 50;
    while (seen[idx] != 0 && seen[idx] != address)
        idx = (idx + 1) % (1 << 14);
    if (seen[idx] == address || count == 1 << 13)
        return false;
    seen[idx] = address;
    count++;
    return true;
}

static void note_path(void (*scenario)(int k), int most, const char *what)
{
    path->most = most < PATH_MOST ? most : PATH_MOST;
    path->length = 0;
    steps_all = notes_path = true;
    CHECK(!run_step(scenario, INT_MAX, what));
    steps_all = notes_path = false;
    for (int i = 0, new_step = 0; i < path->length; i++) {
        if (is_new(path->steps[i].address, i == 0))
            new_step = i + 1;
        path->steps[i].new_step = new_step;
    }
}

/* Without ARENITE_LONG the handler comes after every third of the instructions: what it must not come amid seldom is
 * shorter. */
static int times_as_far(void)
{
    const char *is_long = getenv("ARENITE_LONG");
    return is_long == NULL || is_long[0] == '\0' ? 3 : 1;
}

/* Runs the scenario for every k, or one in `stride`, up to `most` or until the handler is not reached any
 * more. */
static void run_some_steps(void (*scenario)(int k), int stride, int most, const char *what)
{
    int k = 1;
    stride *= times_as_far();
    note_path(scenario, most, what);
    for (; k <= most; k += stride) {
        if (run_step(scenario, k, what))
            continue;
        steps_all = true;
        bool reached = run_step(scenario, k, what);
        steps_all = false;
        if (!reached)
            break;
    }
    CHECK(k > 10);
}

static void run_steps(void (*scenario)(int k), const char *what)
{
    run_some_steps(scenario, 1, INT_MAX, what);
}

/* ---- what is checked ---- */

enum { BLOCKS = 600, MORE = 3000 };
static void *blocks[BLOCKS];
static size_t block_bytes = 64;

static int compare_addresses(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;
    return left < right ? -1 : left > right;
}

/* No block that is handed out from now on is in use, or is handed out twice. */
static void check_blocks(size_t count)
{
    static void *all[MORE + BLOCKS];
    size_t known = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i] != NULL)
            all[known++] = blocks[i];
    }
    for (size_t i = 0; i < count; i++) {
        CHECK((all[known + i] = malloc(block_bytes)) != NULL);
        memset(all[known + i], 1, 64 < block_bytes ? 64 : block_bytes);
    }
    qsort(all, known + count, sizeof *all, compare_addresses);
    for (size_t i = 1; i < known + count; i++)
        CHECK(all[i] != all[i - 1]);
}

static void free_all(size_t from, size_t end)
{
    for (size_t i = from; i < end; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

static void fill(void)
{
    for (size_t i = 0; i < BLOCKS; i++)
        CHECK((blocks[i] = malloc(block_bytes)) != NULL);
}

static void *take(size_t idx)
{
    void *block = blocks[idx];
    blocks[idx] = NULL;
    return block;
}

/* ---- other threads ---- */

static atomic_bool ready;

static void *be_there(void *fills)
{
    if (fills != NULL)
        fill();
    else
        free(malloc(10));
    atomic_store(&ready, true);
    for (;;)
        pause();
    return NULL;
}

static void start_another(bool fills)
{
    pthread_t thread;
    free(malloc(10));
    CHECK(pthread_create(&thread, NULL, be_there, fills ? &ready : NULL) == 0);
    while (!atomic_load(&ready))
        usleep(100);
}

/* ---- scenarios ---- */

static void take_and_free(void)
{
    void *burst[40];
    for (size_t i = 0; i < 40; i++)
        burst[i] = malloc(block_bytes);
    for (size_t i = 0; i < 40; i++)
        free(burst[i]);
}

/* The free empties a pool, which the handler uses up and empties, too. */
static void empties(int k)
{
    enum { IN_POOL = 8 };
    block_bytes = 32768;
    for (size_t i = 0; i < IN_POOL; i++)
        CHECK((blocks[i] = malloc(block_bytes)) != NULL);
    void *next = malloc(block_bytes);
    free_all(0, IN_POOL - 1);
    act = take_and_free;
    free_in_steps(take(IN_POOL - 1), k);
    check_blocks(300);
    free(next);
}

static void empties_among_others(int k)
{
    start_another(false);
    empties(k);
}

static void free_and_take_many(void)
{
    static void *many[BLOCKS];
    free_all(1, 256);
    for (size_t i = 0; i < BLOCKS; i++)
        many[i] = malloc(block_bytes);
    for (size_t i = 0; i < BLOCKS; i++)
        free(many[i]);
}

/* The free of another thread's block; the handler frees all others of that pool. */
static void pushes(int k)
{
    start_another(true);
    act = free_and_take_many;
    free_in_steps(take(0), k);
    check_blocks(MORE);
}

/* The free that claims a full pool back. */
static void claims(int k)
{
    start_another(false);
    fill();
    act = free_and_take_many;
    free_in_steps(take(0), k);
    check_blocks(MORE);
}

static void fork_and_free(void)
{
    pid_t child = fork();
    if (child > 0) {
        int status;
        waitpid(child, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 100);
    }
    alarm(300);
    free(take(1));
}

/* The free of another thread's block; the handler forks, and it is the child that goes on. */
static void pushes_in_a_child(int k)
{
    start_another(true);
    act = fork_and_free;
    free_in_steps(take(0), k);
    free_all(2, 256);
    check_blocks(MORE);
}

enum { THRESHOLD = 16, IN_POOL = 256 };

static void free_one(void)
{
    free(take(THRESHOLD - 1));
}

/* ---- a child of _Fork is mended, as another thread that was born there frees ---- */

static atomic_bool may_free, has_freed;

static void *free_some(void *unused)
{
    while (!atomic_load(&may_free))
        sched_yield();
    for (size_t i = 0; i < BLOCKS; i += 5)
        free(take(i));
    atomic_store(&has_freed, true);
    return unused;
}

/* Not for ever: once this thread has mended, the other may be waiting for a lock that it holds. */
static void let_it_free(void)
{
    atomic_store(&may_free, true);
    for (unsigned i = 0; i < 1000 && !atomic_load(&has_freed); i++)
        usleep(100);
}

/* With free blocks at hand for what pthread_create allocates, this thread enters first in the refill. */
static void mends(int k)
{
    pthread_t thread;
    start_another(true);
    for (size_t bytes = 16; bytes <= 1024; bytes += 16)
        free(malloc(bytes));
    pid_t child = _Fork();
    CHECK(child >= 0);
    if (child > 0) {
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 100);
    }
    alarm(300);
    CHECK(pthread_create(&thread, NULL, free_some, NULL) == 0);
    act = let_it_free;
    void *block = malloc_in_steps(20000, k);
    CHECK(pthread_join(thread, NULL) == 0);
    check_blocks(MORE);
    free(block);
}

/* A slow path; the handler's free is the one that ends a full pool's rest. */
static void ends_a_rest(int k)
{
    malloc_trim(0);
    size_t free_before = mallinfo2().fordblks;
    for (size_t i = 0; i < IN_POOL; i++)
        CHECK((blocks[i] = malloc(block_bytes)) != NULL);
    void *next = malloc(block_bytes), *large = malloc(40000);
    free_all(0, THRESHOLD - 1);
    act = free_one;
    free_in_steps(large, k);
    free_all(THRESHOLD, IN_POOL);
    free(next);
    malloc_trim(0);
    CHECK(mallinfo2().fordblks < free_before + 12000); /* a pool has 16384 */
}

/* Once freed it is no fresh one for calloc. */
static void *take_dirty(void)
{
    void *block = malloc(block_bytes);
    CHECK(block != NULL);
    return memset(block, 0xff, block_bytes);
}

static void check_zeroed(void)
{
    enum { ZEROED = 20 };
    static char *zeroed[ZEROED];
    for (size_t i = 0; i < ZEROED; i++) {
        CHECK((zeroed[i] = calloc(1, block_bytes)) != NULL);
        for (size_t k = 0; k < block_bytes; k++)
            CHECK(zeroed[i][k] == 0);
    }
    for (size_t i = 0; i < ZEROED; i++)
        free(zeroed[i]);
}

/* Blocks of the pool at hand are freed and others taken, all but one of them for a short time. */
static void free_and_take_some(void)
{
    void *taken[6];
    free(take(1));
    for (size_t i = 0; i < 6; i++)
        taken[i] = take_dirty();
    for (size_t i = 0; i < 5; i++)
        free(taken[i]);
    free(take(2));
    blocks[1] = taken[5];
}

static size_t used_before;

/* The next block of this size is one of another pool. */
static void use_up(size_t bytes, size_t in_pool)
{
    malloc_trim(0);
    used_before = mallinfo2().uordblks;
    block_bytes = bytes;
    for (size_t i = 0; i < in_pool; i++)
        blocks[i] = take_dirty();
}

static void check_all(void)
{
    check_zeroed();
    check_blocks(40);
}

/* Nothing was lost, either. */
static void check_used(void)
{
    check_zeroed();
    free_all(0, BLOCKS);
    CHECK(mallinfo2().uordblks == used_before);
    check_blocks(40);
}

static void fork_and_use(void)
{
    fork_and_free();
    free_and_take_some();
}

/* A pool is used up: it rests, and the next is made. */
static void refills(int k)
{
    use_up(32768, 8);
    act = free_and_take_some;
    blocks[40] = memset(malloc_in_steps(32768, k), 0xff, 32768);
    check_all();
}

/* The same with blocks that came back, some of a pool that is not the current one. */
static void refills_from_another(int k)
{
    use_up(32768, 32);
    for (size_t i = 10; i < 24; i++)
        free(take(i));
    act = free_and_take_some;
    blocks[40] = memset(malloc_in_steps(32768, k), 0xff, 32768);
    check_used();
}

/* The pool that is used up is left to everybody. */
static void refills_among_others(int k)
{
    start_another(false);
    refills_from_another(k);
}

static void refills_in_a_child(int k)
{
    start_another(true);
    use_up(32768, 8);
    act = fork_and_use;
    blocks[40] = memset(malloc_in_steps(32768, k), 0xff, 32768);
    check_all();
}

/* The lists return to their pools; this class is among the first. */
static void collects(int k)
{
    use_up(64, 300);
    free_all(100, 280);
    act = free_and_take_some;
    trim_in_steps(k);
    check_used();
}

static void collects_in_a_child(int k)
{
    start_another(false);
    use_up(64, 300);
    free_all(100, 280);
    act = fork_and_use;
    trim_in_steps(k);
    check_all();
}

static void dirty_one(void)
{
    free(take_dirty());
}

/* The fast path of calloc; the handler has had the block that it is about to hand out. */
static void zeroes(int k)
{
    block_bytes = 200;
    free(malloc(block_bytes));
    blocks[0] = malloc(block_bytes);
    act = dirty_one;
    begin_steps(k);
    char *zeroed = calloc(1, block_bytes);
    end_steps();
    for (size_t i = 0; i < block_bytes; i++)
        CHECK(zeroed[i] == 0);
    memset(zeroed, 1, block_bytes);
    blocks[1] = (void *)zeroed;
    check_blocks(40);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    if (emulated())
        SKIP("the emulator does not step");
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
    path = mmap(NULL, sizeof *path, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(path != MAP_FAILED);
    void *address =
        program_is_static() ? NULL : dlsym(RTLD_DEFAULT, "free"); /* not its PLT entry */
    free_address = (uintptr_t)(address != NULL ? address : (void *)free);
    address = program_is_static() ? NULL : dlsym(RTLD_DEFAULT, "malloc");
    malloc_address = (uintptr_t)(address != NULL ? address : (void *)malloc);
    run_steps(empties, "empties a pool");
    run_steps(empties_among_others, "empties a pool among other threads");
    run_steps(pushes, "frees another's block");
    run_steps(claims, "claims a pool");
    run_steps(pushes_in_a_child, "frees another's block in a child");
    run_steps(ends_a_rest, "a slow path amid a rest");
    run_some_steps(refills, 11, INT_MAX, "refills");
    run_steps(zeroes, "hands out a zeroed block");
    run_steps(refills_from_another, "refills from another pool");
    run_steps(refills_among_others, "refills among other threads");
    run_some_steps(mends, 307, INT_MAX, "mends a child");
    run_some_steps(refills_in_a_child, 11, INT_MAX, "refills in a child");
    run_some_steps(collects, 13, 1500, "collects");
    run_some_steps(collects_in_a_child, 13, 1500, "collects in a child");
    return 0;
}

#else

int main(void)
{
    SKIP("no trap flag is known for this machine");
}

#endif
