/* guard_rate.c - errors with sampled blocks are explained: what happened, where the block was allocated, where it was
 * freed; and whatever makes no errors works as before. */
#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "blocks.h"
#include "self.h"

enum { CELLS = 128, LIVE_MOST = 64 };

/* ---- sampled blocks ---- */

enum side { ANY_SIDE, RIGHT, LEFT };

static int ends[2]; /* of a pipe: the kernel reads what the program cannot, and refuses */

static bool can_read(const char *address)
{
    char byte;
    if (write(ends[1], address, 1) == 1)
        return read(ends[0], &byte, 1) == 1;
    CHECK(errno == EFAULT);
    return false;
}

/* Its usable size is what was asked for, and no class has that; or it lies beside what cannot be read. */
static bool is_sampled(char *block, size_t bytes, enum side side)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t end = (uintptr_t)block + (bytes + 15) / 16 * 16;
    if (malloc_usable_size(block) != bytes)
        return false;
    bool right = end % page_bytes == 0 && !can_read((char *)end);
    bool left = (uintptr_t)block % page_bytes == 0 && !can_read(block - 1);
    return side == RIGHT ? right : side == LEFT ? left : right || left;
}

__attribute__((noinline)) static void *make(size_t bytes)
{
    char *block = malloc(bytes);
    __asm__ volatile("" : "+r"(block));
    return block;
}

__attribute__((noinline)) static void drop(void *block)
{
    free(opaque(block));
    __asm__ volatile("");
}

/* The class's list may hold blocks from before sampling began: they are kept until it is empty. */
static char *sampled(size_t bytes, enum side side)
{
    void **kept = NULL;
    char *found = NULL;
    for (unsigned i = 0; i < 100000 && found == NULL; i++) {
        char *block = make(bytes);
        CHECK(block != NULL);
        if (is_sampled(block, bytes, side)) {
            found = block;
        } else if (is_sampled(block, bytes, ANY_SIDE)) {
            free(block);
        } else {
            *(void **)block = kept;
            kept = (void **)block;
        }
    }
    while (kept != NULL) {
        void **block = kept;
        kept = *block;
        free(block);
    }
    CHECK(found != NULL);
    return found;
}

/* What the lines have to agree with: see check_error. */
static void announce(const void *block)
{
    dprintf(2, "block %p thread %ld process %d\n", block, syscall(SYS_gettid), getpid());
}

/* ---- what is done wrong ---- */

__attribute__((noinline)) static void read_at(const volatile char *address)
{
    (void)*address;
    __asm__ volatile("");
}

__attribute__((noinline)) static void write_at(volatile char *address)
{
    *address = 1;
    __asm__ volatile("");
}

static void read_freed(void)
{
    char *block = sampled(100, ANY_SIDE);
    announce(block);
    drop(block);
    read_at(block + 3);
}

static void write_freed(void)
{
    char *block = sampled(5000, ANY_SIDE);
    announce(block);
    drop(block);
    write_at(block + 4999);
}

static void read_past_end(void)
{
    char *block = sampled(64, RIGHT);
    announce(block);
    read_at(block + 64);
}

static void write_past_end(void)
{
    char *block = sampled(64, RIGHT);
    announce(block);
    write_at(block + 64);
}

static void write_far_past_end(void)
{
    char *block = sampled(100, RIGHT);
    announce(block);
    write_at(block + 112 + 40);
}

static void read_before_start(void)
{
    char *block = sampled(100, LEFT);
    announce(block);
    read_at(block - 1);
}

static void write_before_start(void)
{
    char *block = sampled(100, LEFT);
    announce(block);
    write_at(block - 20);
}

static void free_twice(void)
{
    char *block = sampled(100, ANY_SIDE);
    announce(block);
    drop(block);
    free(block);
}

static void free_inside(void)
{
    char *block = sampled(100, ANY_SIDE);
    announce(block);
    free(opaque(block + 16));
}

static void free_in_guard(void)
{
    char *block = sampled(100, LEFT);
    announce(block);
    free(opaque(block - 32));
}

static void realloc_freed(void)
{
    char *block = sampled(100, ANY_SIDE);
    announce(block);
    drop(block);
    opaque(realloc(opaque(block), 200));
}

static void size_of_freed(void)
{
    char *block = sampled(100, ANY_SIDE);
    announce(block);
    drop(block);
    malloc_usable_size(opaque(block));
}

static void write_below_alignment(void)
{
    char *block = sampled(100, RIGHT);
    announce(block);
    block[100] = 0;
    drop(block);
}

static void write_below_start(void)
{
    char *block = sampled(100, RIGHT);
    announce(block);
    block[-1] = 0;
    opaque(realloc(opaque(block), 4000));
}

static const struct {
    const char *name;
    void (*commit)(void);
    const char *before; /* what is said before the block's address, and behind it the size */
    const char *size;
    int signal;
    bool freed;      /* the stack of the first free is told */
    const char *who; /* "accessed" or "called" */
} errors[] = {
    {"read freed", read_freed, "use after free: read of %p, 3 bytes into a block of", "100",
     SIGSEGV, true, "accessed"},
    {"write freed", write_freed, "use after free: write to %p, 4999 bytes into a block of", "5000",
     SIGSEGV, true, "accessed"},
    {"read past end", read_past_end,
     "out of bounds: read of %p, 0 bytes past the end of a block of", "64", SIGSEGV, false,
     "accessed"},
    {"write past end", write_past_end,
     "out of bounds: write to %p, 0 bytes past the end of a block of", "64", SIGSEGV, false,
     "accessed"},
    {"write far past end", write_far_past_end,
     "out of bounds: write to %p, 52 bytes past the end of a block of", "100", SIGSEGV, false,
     "accessed"},
    {"read before start", read_before_start,
     "out of bounds: read of %p, 1 byte before the start of a block of", "100", SIGSEGV, false,
     "accessed"},
    {"write before start", write_before_start,
     "out of bounds: write to %p, 20 bytes before the start of a block of", "100", SIGSEGV, false,
     "accessed"},
    {"free twice", free_twice, "free(%p): double free: a block of", "100", SIGABRT, true, "called"},
    {"free inside", free_inside, "free(%p): not the start of a block: 16 bytes into a block of",
     "100", SIGABRT, false, "called"},
    {"free in guard", free_in_guard,
     "free(%p): not the start of a block: 32 bytes before the start of a block of", "100", SIGABRT,
     false, "called"},
    {"realloc freed", realloc_freed, "realloc(%p): already freed: a block of", "100", SIGABRT, true,
     "called"},
    {"size of freed", size_of_freed, "malloc_usable_size(%p): already freed: a block of", "100",
     SIGABRT, true, "called"},
    {"write below alignment", write_below_alignment,
     "free(%p): overwritten beside the block: 0 bytes past the end of a block of", "100", SIGABRT,
     false, "called"},
    {"write below start", write_below_start,
     "realloc(%p): overwritten beside the block: 1 byte before the start of a block of", "100",
     SIGABRT, false, "called"},
};
enum { ERRORS = sizeof errors / sizeof *errors };

/* ---- what is said of it ---- */

static struct said said;

static void fail(size_t idx, const char *what)
{
    dprintf(2, "%s: no %s in\n%s", errors[idx].name, what, said.text);
    _exit(1);
}

/* The part, with what stands for %p taken for any address. */
static void check_line(size_t idx, const char *block, int process)
{
    char line[300], *address, *end;
    const char *percent = strchr(errors[idx].before, '%');
    CHECK(percent != NULL);
    snprintf(line, sizeof line, "arenite: %.*s0x", (int)(percent - errors[idx].before),
             errors[idx].before);
    if ((address = strstr(said.text, line)) == NULL)
        fail(idx, line);
    (void)strtoul(address + strlen(line), &end, 16);
    snprintf(line, sizeof line, "%s %s bytes at %s, process %d\n", percent + 2, errors[idx].size,
             block, process);
    if (strncmp(end, line, strlen(line)) != 0)
        fail(idx, line);
}

/* The stack begins in the program, and is of the thread. */
static void check_stack(size_t idx, const char *what, int thread)
{
    char line[100];
    snprintf(line, sizeof line, "arenite: %s by thread %d at %s", what, thread,
             program_is_static() ? "0x" : "again+0x");
    const char *at = strstr(said.text, line);
    if (at == NULL || strncmp(strchr(at, '\n') + 1, "arenite:   called from ", 23) != 0)
        fail(idx, line);
}

static void check_error(size_t idx)
{
    char block[40];
    int thread, process;
    run_again(&said, errors[idx].name, "ARENITE_OPTIONS", "guard_rate=1");
    if (!WIFSIGNALED(said.status) || WTERMSIG(said.status) != errors[idx].signal)
        fail(idx, "death by the right signal");
    if (sscanf(said.text, "block %39s thread %d process %d", block, &thread, &process) != 3)
        fail(idx, "announcement");
    check_line(idx, block, process);
    check_stack(idx, "allocated", thread);
    check_stack(idx, errors[idx].who, thread);
    if (errors[idx].freed)
        check_stack(idx, "freed", thread);
    else if (strstr(said.text, "freed by thread") != NULL)
        fail(idx, "silence about a free");
}

/* ---- threads ---- */

static char *passed;
static pid_t maker, freer, reader;

static void *make_one(void *unused)
{
    maker = (pid_t)syscall(SYS_gettid);
    drop(make(100)); /* a heap first */
    passed = sampled(100, ANY_SIDE);
    return unused;
}

static void *free_one(void *unused)
{
    freer = (pid_t)syscall(SYS_gettid);
    free(malloc(30));
    drop(passed);
    return unused;
}

static void *read_one(void *unused)
{
    reader = (pid_t)syscall(SYS_gettid);
    dprintf(2, "threads %d %d %d\n", maker, freer, reader);
    read_at(passed);
    return unused;
}

static void use_across_threads(void)
{
    void *(*const steps[])(void *) = {make_one, free_one, read_one};
    for (size_t i = 0; i < 3; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, steps[i], NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

static void check_threads(void)
{
    int threads[3];
    static const char *const whats[] = {"allocated", "freed", "accessed"};
    run_again(&said, "across threads", "ARENITE_OPTIONS", "guard_rate=1");
    CHECK(WIFSIGNALED(said.status) && WTERMSIG(said.status) == SIGSEGV);
    CHECK(sscanf(said.text, "threads %d %d %d", &threads[0], &threads[1], &threads[2]) == 3);
    for (size_t i = 0; i < 3; i++) {
        char line[100];
        snprintf(line, sizeof line, "arenite: %s by thread %d at ", whats[i], threads[i]);
        if (strstr(said.text, line) == NULL) {
            dprintf(2, "no %s in\n%s", line, said.text);
            _exit(1);
        }
    }
}

/* ---- forked children ---- */

/* The parent's block is the child's, too, and each frees its own. */
static void use_in_child(void)
{
    char *block = sampled(100, ANY_SIDE);
    char *others[LIVE_MOST];
    for (size_t i = 0; i < LIVE_MOST; i++)
        block_fill(others[i] = make(500 + i), 500 + i, i);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dprintf(2, "child %d\n", getpid());
        for (size_t i = 0; i < LIVE_MOST; i++) {
            block_check_up_to(others[i], 500 + i);
            free(others[i]);
        }
        free(sampled(100, ANY_SIDE));
        drop(block);
        read_at(block);
        _exit(1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    memset(block, 1, 100);
    for (size_t i = 0; i < LIVE_MOST; i++) {
        block_check_up_to(others[i], 500 + i);
        free(others[i]);
    }
    drop(block);
}

static void check_child(void)
{
    int child;
    char line[100];
    run_again(&said, "in child", "ARENITE_OPTIONS", "guard_rate=1");
    CHECK(WIFEXITED(said.status) && WEXITSTATUS(said.status) == 0);
    CHECK(sscanf(said.text, "child %d", &child) == 1);
    snprintf(line, sizeof line, ", process %d\n", child);
    CHECK(strstr(said.text, "arenite: use after free: read of ") != NULL &&
          strstr(said.text, line) != NULL);
    snprintf(line, sizeof line, "arenite: freed by thread %d at ", child);
    CHECK(strstr(said.text, line) != NULL);
}

/* ---- signals that are the program's ---- */

static sigjmp_buf back;
static char *volatile fault_address;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    fault_address = info->si_addr;
    siglongjmp(back, 1);
}

/* Its own handler wins, and nothing is said. */
static void handle_faults(void)
{
    char *block = sampled(64, RIGHT);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    if (sigsetjmp(back, 1) == 0) {
        read_at(block + 64);
        _exit(1);
    }
    CHECK(fault_address == block + 64);
    free(block);
    free(sampled(64, RIGHT));
}

static void fault_elsewhere(void)
{
    free(sampled(64, ANY_SIDE));
    read_at((const char *)8);
}

static void be_sent_fault(void)
{
    free(sampled(64, ANY_SIDE));
    kill(getpid(), SIGSEGV);
}

static void check_silent(const char *mode, int signal)
{
    run_again(&said, mode, "ARENITE_OPTIONS", "guard_rate=1");
    if (said.text[0] == '\0' &&
        (signal == 0 ? WIFEXITED(said.status) && WEXITSTATUS(said.status) == 0
                     : WIFSIGNALED(said.status) && WTERMSIG(said.status) == signal))
        return;
    dprintf(2, "%s: status %x\n%s", mode, (unsigned)said.status, said.text);
    _exit(1);
}

/* ---- what is right ---- */

static void misuse_ignored(void)
{
    char *block = sampled(100, RIGHT);
    block[100] = 0;
    drop(block);
    drop(block);
    free(opaque(block + 16));
    for (size_t n = 0; n < 1000; n++)
        free(make(n * 20));
}

static void check_ignored(void)
{
    run_again(&said, "misuse ignored", "ARENITE_OPTIONS", "misuse=ignore,guard_rate=1");
    CHECK(WIFEXITED(said.status) && WEXITSTATUS(said.status) == 0);
    CHECK(strstr(said.text, ": overwritten beside the block: ") != NULL);
    CHECK(strstr(said.text, ": double free: ") != NULL);
    CHECK(strstr(said.text, ": not the start of a block: ") != NULL);
}

/* Each at its alignment, with the size that was asked for; whatever is written there stays there. */
static void forms(void)
{
    unsigned seen = 0;
    for (size_t turn = 0; turn < 3000; turn++) {
        size_t bytes = turn * 7919 % 9000 + 17, alignment = (size_t)16 << turn % 9;
        void *blocks[4];
        blocks[0] = opaque(malloc(bytes));
        blocks[1] = opaque(calloc(1, bytes));
        blocks[2] = opaque(aligned_alloc(alignment, bytes));
        CHECK(posix_memalign(&blocks[3], alignment, bytes) == 0);
        for (size_t at = 0; at < bytes; at++)
            CHECK(((char *)blocks[1])[at] == 0);
        for (size_t i = 0; i < 4; i++) {
            size_t usable = malloc_usable_size(blocks[i]);
            CHECK(usable >= bytes && (uintptr_t)blocks[i] % (i < 2 ? 16 : alignment) == 0);
            seen += usable == bytes;
            memset(blocks[i], 0xff, bytes);
        }
        blocks[0] = opaque(realloc(blocks[0], bytes + 100));
        blocks[1] = opaque(realloc(blocks[1], bytes / 2 + 1));
        for (size_t at = 0; at < bytes; at++)
            CHECK(((unsigned char *)blocks[0])[at] == 0xff &&
                  ((unsigned char *)blocks[1])[at < bytes / 2 ? at : 0] == 0xff);
        for (size_t i = 0; i < 4; i++)
            free(blocks[i]);
    }
    CHECK(seen > 500);
    void *none = opaque(malloc(0));
    CHECK(none != NULL && malloc_usable_size(none) > 0);
    free(none);
    CHECK(malloc(SIZE_MAX / 2) == NULL && errno == ENOMEM);
}

/* No more than so many at a time, and a cell is not used again while others wait longer. */
static void bounds(void)
{
    static char *blocks[2000];
    unsigned live = 0;
    for (size_t i = 0; i < 2000; i++) {
        blocks[i] = make(1000 + i);
        live += is_sampled(blocks[i], 1000 + i, ANY_SIDE);
    }
    CHECK(live > 0 && live <= LIVE_MOST);
    for (size_t i = 0; i < 2000; i++)
        free(blocks[i]);
    char *freed = sampled(100, ANY_SIDE);
    uintptr_t page = (uintptr_t)freed & ~(uintptr_t)0xfff;
    free(freed);
    for (size_t i = 0; i < LIVE_MOST - 1; i++) {
        char *block = sampled(100, ANY_SIDE);
        CHECK(((uintptr_t)block & ~(uintptr_t)0xfff) != page);
        free(block);
    }
}

static void statistics(void)
{
    static char *blocks[50];
    size_t used = mallinfo2().uordblks;
    for (size_t i = 0; i < 50; i++)
        blocks[i] = sampled(1000, ANY_SIDE);
    size_t more = mallinfo2().uordblks - used;
    CHECK(more >= 50000 && more < 70000);
    for (size_t i = 0; i < 50; i++)
        free(blocks[i]);
    CHECK(mallinfo2().uordblks <= used);
}

/* ---- churn ---- */

enum { SHARED = 256, THREADS = 6 };
static _Atomic(void *) shared[SHARED];
static unsigned turns = 15000;

static void *make_random(uint64_t *random, size_t bytes)
{
    switch (next_random(random) % 8) {
    case 0:
        return aligned_alloc((size_t)16 << next_random(random) % 10, bytes);
    case 1:
        return calloc(bytes, 1);
    default:
        return malloc(bytes);
    }
}

/* Blocks change hands: whoever takes one out checks it, and frees it or lets it grow. */
static void *churn(void *argument)
{
    uint64_t random = (uintptr_t)argument * 0x9e3779b97f4a7c15u;
    for (unsigned turn = 0; turn < turns; turn++) {
        size_t bytes = 16 + next_random(&random) % (next_random(&random) % 4 == 0 ? 20000 : 600);
        void *block = opaque(make_random(&random, bytes));
        CHECK(block != NULL);
        block_fill(block, bytes, next_random(&random));
        block = atomic_exchange(&shared[next_random(&random) % SHARED], block);
        if (block == NULL)
            continue;
        size_t had = ((struct block_head *)block)->bytes;
        block_check_up_to(block, had);
        if (next_random(&random) % 8 == 0) {
            block = opaque(realloc(block, had / 2 + 16 + next_random(&random) % 1000));
            CHECK(block != NULL && ((struct block_head *)block)->bytes == had);
        }
        free(block);
    }
    return NULL;
}

static void churn_threads(void)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void churn_briefly(void)
{
    alarm(300);
    turns = 2000;
    churn_threads();
}

/* Children of a process whose threads are in the midst of things. */
static void churn_and_fork(void)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < 8; i++)
        run_apart(churn_briefly, 60, "child of churning threads");
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- forks while others are in the unwinder ---- */

enum { UNWINDING_THREADS = 3, FORKS = 150 };

/* As whoever makes code at run time does: libgcc's unwinder takes a lock from then on. In a static program it
 * does in any case. */
static int register_frames(struct dl_phdr_info *module, size_t unused_bytes, void *unused)
{
    (void)unused_bytes, (void)unused;
    void *unwinder = program_is_static() ? NULL : dlopen("libgcc_s.so.1", RTLD_NOW);
    void (*add)(void *) =
        unwinder == NULL ? NULL : (void (*)(void *))dlsym(unwinder, "__register_frame");
    for (size_t i = 0; i < module->dlpi_phnum && add != NULL; i++) {
        if (module->dlpi_phdr[i].p_type != PT_GNU_EH_FRAME)
            continue;
        /* Behind four bytes that tell how it is written: how far the table of frames is from here. */
        char *field = (char *)module->dlpi_addr + module->dlpi_phdr[i].p_vaddr + 4;
        add(field + *(int32_t *)field);
    }
    return 1; /* that of the program alone */
}

static void *unwind_on(void *stop)
{
    while (!atomic_load((atomic_bool *)stop))
        free(make(100));
    return NULL;
}

static void allocate_in_child(void)
{
    void *blocks[8];
    for (size_t i = 0; i < 8; i++)
        blocks[i] = make(100 + i);
    for (size_t i = 0; i < 8; i++)
        free(blocks[i]);
    free(sampled(100, ANY_SIDE));
}

static void unwind_and_fork(void)
{
    pthread_t threads[UNWINDING_THREADS];
    static atomic_bool stop;
    dl_iterate_phdr(register_frames, NULL);
    for (size_t i = 0; i < UNWINDING_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, unwind_on, &stop) == 0);
    for (size_t i = 0; i < FORKS; i++)
        run_apart(allocate_in_child, 20, "child of unwinding threads");
    atomic_store(&stop, true);
    for (size_t i = 0; i < UNWINDING_THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static atomic_uint handled;

static void on_alarm(int signal)
{
    (void)signal;
    static _Atomic(char *) kept;
    unsigned turn = atomic_fetch_add(&handled, 1);
    char *block = malloc(turn * 37 % 700 + 1);
    CHECK(block != NULL);
    block[0] = 1;
    free(atomic_exchange(&kept, block));
}

/* Only in slow paths, which a handler may interrupt: what is freed comes from another thread. */
static void *give_blocks(void *stop)
{
    while (!atomic_load((atomic_bool *)stop)) {
        for (size_t i = 0; i < SHARED; i++)
            if (atomic_load(&shared[i]) == NULL)
                atomic_store(&shared[i], malloc(i + 1));
    }
    return NULL;
}

static void interrupt(void)
{
    pthread_t thread;
    atomic_bool stop = false;
    sigset_t alarms;
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 200}, {0, 200}};
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    CHECK(pthread_sigmask(SIG_BLOCK, &alarms, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, give_blocks, &stop) == 0);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL) == 0);
    while (atomic_load(&handled) < 2000) {
        for (size_t i = 0; i < SHARED; i++)
            free(atomic_exchange(&shared[i], NULL));
    }
    often = (struct itimerval){{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    atomic_store(&stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void check_runs(const char *mode, const char *options)
{
    run_again(&said, mode, "ARENITE_OPTIONS", options);
    if (WIFEXITED(said.status) && WEXITSTATUS(said.status) == 0 && said.text[0] == '\0')
        return;
    dprintf(2, "%s, %s: status %x\n%s", mode, options, (unsigned)said.status, said.text);
    _exit(1);
}

/* ---- other programs ---- */

static const char *const commands[] = {
    "ls -l /usr/bin 2>&1",
    "sort -r /etc/passwd /proc/filesystems 2>&1",
    "awk 'BEGIN { for (i = 0; i < 9999; i++) a[i] = a[i - 1] i % 7; print length(a[9998]) }' 2>&1",
    "python3 -c 'print(sum(len(str({i: [i] * 9})) for i in range(30000)))' 2>&1",
    "perl -e '$h{$_} = \"x\" x ($_ % 300) for 1..20000; print scalar(keys %h), \"\\n\"' 2>&1",
};

static char outputs[2][1 << 18];

static size_t output_of(const char *command, const char *options, char *output)
{
    setenv("ARENITE_OPTIONS", options, 1);
    FILE *pipe = popen(command, "r");
    CHECK(pipe != NULL);
    size_t length = fread(output, 1, sizeof outputs[0], pipe);
    CHECK(pclose(pipe) != -1);
    unsetenv("ARENITE_OPTIONS");
    return length;
}

static void check_programs(void)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        size_t plain = output_of(commands[i], "guard_rate=0", outputs[0]);
        size_t length = output_of(commands[i], "guard_rate=1", outputs[1]);
        if (length == plain && memcmp(outputs[0], outputs[1], length) == 0)
            continue;
        dprintf(2, "%s says something else:\n%.*s", commands[i], (int)length, outputs[1]);
        _exit(1);
    }
}

/* ---- all of it ---- */

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {
    {"across threads", use_across_threads},
    {"in child", use_in_child},
    {"handle faults", handle_faults},
    {"fault elsewhere", fault_elsewhere},
    {"be sent fault", be_sent_fault},
    {"misuse ignored", misuse_ignored},
    {"forms", forms},
    {"bounds", bounds},
    {"statistics", statistics},
    {"churn", churn_threads},
    {"churn and fork", churn_and_fork},
    {"unwind and fork", unwind_and_fork},
    {"interrupt", interrupt},
};

static int again(const char *name)
{
    CHECK(pipe(ends) == 0);
    for (size_t i = 0; i < ERRORS; i++)
        if (strcmp(errors[i].name, name) == 0)
            errors[i].commit();
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, name) == 0)
            modes[i].run();
    return 0;
}

int main(int count, char **arguments)
{
    if (count > 1)
        return again(arguments[1]);
    for (size_t i = 0; i < ERRORS; i++)
        check_error(i);
    check_threads();
    check_child();
    check_silent("handle faults", 0);
    check_silent("fault elsewhere", SIGSEGV);
    check_silent("be sent fault", SIGSEGV);
    check_ignored();
    check_runs("forms", "guard_rate=1");
    check_runs("bounds", "guard_rate=1");
    check_runs("statistics", "guard_rate=1");
    check_runs("forms", "guard_rate=1,perturb=165");
    check_runs("churn", "guard_rate=1");
    check_runs("churn", "guard_rate=3");
    check_runs("churn", "guard_rate=10");
    check_runs("churn and fork", "guard_rate=2");
    check_runs("unwind and fork", "guard_rate=1");
    check_runs("interrupt", "guard_rate=1");
    if (program_is_preloaded())
        check_programs();
    return 0;
}
