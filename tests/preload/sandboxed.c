/* sandboxed.c - a worker that confines itself when it has started: a system call that is not on its list ends it.
 *
 * The list is what sandboxes grant for memory: a worker that has threads, or forks, may call what that takes, too.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

#include "blocks.h"
#include "self.h"

static const int memory_calls[] = {
    SYS_brk,        SYS_mmap,           SYS_munmap,       SYS_mprotect,  SYS_mremap,
    SYS_futex,      SYS_read,           SYS_write,        SYS_close,     SYS_exit,
    SYS_exit_group, SYS_clock_gettime,  SYS_getpid,       SYS_getrandom, SYS_fstat,
    SYS_newfstatat, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_lseek, /* dprintf */
};
static const int thread_calls[] = {SYS_clone, SYS_clone3, SYS_set_robust_list, SYS_rseq,
                                   SYS_rt_sigaction};
static const int fork_calls[] = {SYS_clone, SYS_set_robust_list, SYS_wait4};

enum advice { ANY_ADVICE, COMMON_ADVICE, ONLY_DONTNEED, FORMS };
static const char *const form_names[FORMS] = {"any advice", "common advice", "only DONTNEED"};
static const int common_advice[] = {MADV_DONTNEED, MADV_NORMAL,   MADV_FREE,
                                    MADV_DONTFORK, MADV_DONTDUMP, MADV_WIPEONFORK};
#define COUNT(array_) (sizeof(array_) / sizeof *(array_))

static enum advice form;

/* ---- the filter ---- */

struct filter {
    struct sock_filter code[128];
    unsigned short length;
};

static void add(struct filter *filter, struct sock_filter step)
{
    CHECK(filter->length < COUNT(filter->code));
    filter->code[filter->length++] = step;
}

static void load(struct filter *filter, size_t offset)
{
    add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void answer(struct filter *filter, unsigned with)
{
    add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, with));
}

static void allow(struct filter *filter, const int *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add(filter,
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)values[i], 0, 1));
        answer(filter, SECCOMP_RET_ALLOW);
    }
}

static void allow_advice(struct filter *filter)
{
    static const int madvise_call[] = {SYS_madvise};
    if (form == ANY_ADVICE) {
        allow(filter, madvise_call, 1);
        return;
    }
    size_t count = form == ONLY_DONTNEED ? 1 : COUNT(common_advice);
    add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0,
                                             (unsigned char)(1 + 2 * count)));
    load(filter, offsetof(struct seccomp_data, args[2]));
    allow(filter, common_advice, count);
}

static void on_refusal(int signal, siginfo_t *info, void *context)
{
    (void)signal;
#if defined(__x86_64__)
    long third = (long)((ucontext_t *)context)->uc_mcontext.gregs[REG_RDX];
#else
    long third = (long)((ucontext_t *)context)->uc_mcontext.regs[2];
#endif
    char text[80]; /* without stdio's locks and buffers: the thread may be amid anything */
    int length =
        snprintf(text, sizeof text, "system call %d (..., ..., %ld)\n", info->si_syscall, third);
    _exit(write(2, text, (size_t)length) < 0 ? 2 : 1);
}

/* All threads of the process, from here on. */
static void confine(const int *more, size_t more_count, unsigned otherwise)
{
    struct filter filter = {.length = 0};
    struct sigaction action = {.sa_sigaction = on_refusal, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSYS, &action, NULL) == 0);
    load(&filter, offsetof(struct seccomp_data, nr));
    allow(&filter, memory_calls, COUNT(memory_calls));
    allow(&filter, more, more_count);
    allow_advice(&filter);
    answer(&filter, otherwise);
    struct sock_fprog program = {filter.length, filter.code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        SKIP("seccomp filters are not permitted");
}

static void confine_to_memory(void)
{
    confine(NULL, 0, SECCOMP_RET_TRAP);
}

/* ---- work ---- */

static void churn(uint64_t random, unsigned turns)
{
    enum { BLOCKS = 400 };
    void *blocks[BLOCKS] = {NULL};
    for (unsigned i = 0; i < turns; i++) {
        size_t idx = next_random(&random) % BLOCKS;
        if (blocks[idx] != NULL && i % 3 == 0) {
            blocks[idx] = random_resized(blocks[idx], &random);
            continue;
        }
        block_free(blocks[idx]);
        blocks[idx] = random_block(&random);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        block_free(blocks[i]);
}

/* A heap of hundreds of megabytes of one size, which is given up again. */
static void fill(size_t bytes, size_t total)
{
    void *chain = NULL;
    for (size_t i = 0; i < total / bytes; i++) {
        uint64_t *block = malloc(bytes);
        CHECK(block != NULL);
        block[0] = (uintptr_t)chain;
        block[1] = i;
        chain = block;
    }
    for (size_t i = total / bytes; i-- > 0;) {
        uint64_t *block = chain;
        CHECK(block[1] == i);
        chain = (void *)(uintptr_t)block[0];
        free(block);
    }
}

static void grow(void)
{
    size_t bytes = 1000;
    uint64_t *block = malloc(bytes);
    CHECK(block != NULL);
    block[77] = 77;
    for (; bytes < 400 << 20; bytes = bytes * 3 / 2) {
        CHECK((block = realloc(block, bytes)) != NULL && block[77] == 77);
        ((char *)block)[bytes - 1] = 1;
    }
    for (; bytes > 1000; bytes /= 5)
        CHECK((block = realloc(block, bytes)) != NULL && block[77] == 77);
    free(block);
}

static void wait_a_while(void)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while (now.tv_sec - start.tv_sec < 2);
}

static void work(void)
{
    churn(3, 2000);
    fill(16, 4 << 20);
    fill(1000, 30 << 20);
    fill(16000, 300 << 20);
    fill(300000, 300 << 20);
    fill(5 << 20, 400 << 20);
    grow();
    CHECK(mallinfo2().arena < (size_t)1 << 40);
    malloc_trim(0);
    fill(5000, 20 << 20);
    churn(4, 500);
    malloc_trim(0);
}

/* ---- one thread ---- */

static void start_then_confine(void)
{
    free(malloc(1000));
    confine_to_memory();
    work();
}

static void much_then_confine(void)
{
    churn(9, 1000);
    fill(1000, 50 << 20);
    confine_to_memory();
    work();
    wait_a_while(); /* what is done now and then is due */
    churn(10, 1000);
}

static void killed_for_anything_else(void)
{
    free(malloc(1000));
    confine(NULL, 0, SECCOMP_RET_KILL_PROCESS);
    work();
}

static void memory_ends(void)
{
    struct rlimit limit = {120 << 20, 120 << 20};
    free(malloc(1000));
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    confine_to_memory();
    for (unsigned round = 0; round < 3; round++) {
        void *chain = NULL, **block;
        size_t bytes = round == 0 ? 3000 : round == 1 ? 100000 : 64;
        while ((block = malloc(bytes)) != NULL) {
            *block = chain;
            chain = block;
        }
        CHECK(errno == ENOMEM);
        while (chain != NULL) {
            void *next = *(void **)chain;
            free(chain);
            chain = next;
        }
        fill(1 << 20, 32 << 20);
    }
}

/* ---- threads ---- */

enum { THREADS = 6 };
static pthread_barrier_t gate;

static void *work_behind_gate(void *seed)
{
    pthread_barrier_wait(&gate); /* has begun to run */
    pthread_barrier_wait(&gate);
    churn((uint64_t)(uintptr_t)seed, 500);
    fill(3000 + (size_t)seed, 10 << 20);
    pthread_barrier_wait(&gate);
    return NULL;
}

/* They exist, and have never allocated. */
static void confine_threads(void)
{
    pthread_t threads[THREADS];
    CHECK(pthread_barrier_init(&gate, NULL, THREADS + 1) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work_behind_gate, (void *)(i + 1)) == 0);
    pthread_barrier_wait(&gate);
    confine_to_memory();
    pthread_barrier_wait(&gate);
    churn(77, 500);
    pthread_barrier_wait(&gate);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    churn(78, 500);
}

static void *_Atomic left_behind[64];

static void *short_life(void *seed)
{
    uint64_t random = (uint64_t)(uintptr_t)seed * 7919 + 1;
    for (size_t i = 0; i < 100; i++)
        block_free(atomic_exchange(&left_behind[next_random(&random) % 64], random_block(&random)));
    return NULL;
}

static void threads_come_and_go(void)
{
    free(malloc(10));
    confine(thread_calls, COUNT(thread_calls), SECCOMP_RET_TRAP);
    for (size_t round = 0; round < 20; round++) {
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, short_life, (void *)(round * 16 + i)) == 0);
        churn(round + 1, 50);
        for (size_t i = 0; i < THREADS; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
    for (size_t i = 0; i < 64; i++)
        block_free(atomic_exchange(&left_behind[i], NULL));
    churn(79, 500);
}

/* ---- children ---- */

static void in_child(void)
{
    churn(21, 300);
    fill(2000, 10 << 20);
    fill(300000, 60 << 20);
}

static void fork_confined(void)
{
    pthread_t threads[2];
    free(malloc(10));
    CHECK(pthread_barrier_init(&gate, NULL, 3) == 0);
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, work_behind_gate, (void *)(i + 1)) == 0);
    pthread_barrier_wait(&gate);
    confine(fork_calls, COUNT(fork_calls), SECCOMP_RET_TRAP);
    pthread_barrier_wait(&gate);
    for (size_t i = 0; i < 6; i++) {
        churn(i + 1, 100);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            in_child();
            _exit(0);
        }
        expect_success(child, "child of a confined process");
    }
    pthread_barrier_wait(&gate);
    for (size_t i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void *sleep_in_life(void *unused)
{
    void *block = malloc(3000);
    pthread_barrier_wait(&gate);
    pause();
    free(block);
    return unused;
}

/* A worker is forked, confines itself, and is the first to allocate there. */
static void confine_child(void)
{
    pthread_t thread;
    churn(5, 500);
    CHECK(pthread_barrier_init(&gate, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, sleep_in_life, NULL) == 0);
    pthread_barrier_wait(&gate);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        confine_to_memory();
        in_child();
        grow();
        in_child();
        _exit(0);
    }
    expect_success(child, "confined child");
}

static const struct {
    void (*function)(void);
    const char *name;
    unsigned forms; /* bits */
} workers[] = {
    {start_then_confine, "confined after the first block", 1 << ANY_ADVICE | 1 << COMMON_ADVICE},
    {much_then_confine, "confined after many blocks", 1 << ONLY_DONTNEED},
    {killed_for_anything_else, "killed for other calls", 1 << COMMON_ADVICE},
    {memory_ends, "memory ends", 1 << COMMON_ADVICE},
    {confine_threads, "threads that have not allocated yet", 1 << COMMON_ADVICE},
    {threads_come_and_go, "threads come and go", 1 << COMMON_ADVICE | 1 << ONLY_DONTNEED},
    {fork_confined, "a confined process forks", 1 << COMMON_ADVICE},
    {confine_child, "a child is confined", 1 << COMMON_ADVICE | 1 << ONLY_DONTNEED},
};

int main(void)
{
    if (emulated())
        SKIP("the emulator knows no seccomp filters");
    for (size_t i = 0; i < COUNT(workers); i++) {
        for (form = 0; form < FORMS; form++) {
            char what[100];
            snprintf(what, sizeof what, "%s, %s", workers[i].name, form_names[form]);
            if ((workers[i].forms & 1u << form) != 0)
                run_apart(workers[i].function, 60, what);
        }
    }
    return 0;
}
