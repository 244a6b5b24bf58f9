/* refused_growth.c - a seccomp filter refuses one system call, or all but those for mapping: there is as much
 * memory as without, in blocks of every size, and what calloc gives is zero.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "blocks.h"
#include "self.h"

enum { MOST_REFUSED = 12 };
#define COUNT(array_) (sizeof(array_) / sizeof *(array_))

static const struct {
    const char *name;
    int calls[MOST_REFUSED + 1]; /* ended by -1 */
} refusals[] = {
    {"mprotect", {SYS_mprotect, -1}},
    {"munmap", {SYS_munmap, -1}},
    {"madvise", {SYS_madvise, -1}},
    {"mremap", {SYS_mremap, -1}},
    {"membarrier", {SYS_membarrier, -1}},
    {"prlimit64", {SYS_prlimit64, -1}},
    {"gettid", {SYS_gettid, -1}},
    {"mprotect and madvise", {SYS_mprotect, SYS_madvise, -1}},
    {"mprotect and munmap", {SYS_mprotect, SYS_munmap, -1}},
    {"all but mmap",
     {SYS_mprotect, SYS_munmap, SYS_madvise, SYS_mremap, SYS_membarrier, SYS_prlimit64, SYS_gettid,
      SYS_tgkill, SYS_getrandom, SYS_brk, SYS_sched_yield, SYS_clock_gettime, -1}},
};
static const int answers[] = {EPERM, ENOSYS, EACCES, EINVAL};

/* All threads of the process, from here on. */
static void refuse(size_t refusal, int answer)
{
    struct sock_filter code[2 * MOST_REFUSED + 2] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
    unsigned short length = 1;
    for (const int *call = refusals[refusal].calls; *call != -1; call++) {
        code[length++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)*call, 0, 1);
        code[length++] =
            (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)answer);
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {length, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        SKIP("seccomp filters are not permitted");
}

/* ---- work ---- */

static const struct {
    size_t bytes, count;
} amounts[] = {
    {16, 150000}, {100, 60000},  {1000, 12000},  {5000, 1600},  {20000, 400},
    {40000, 200}, {300000, 100}, {1 << 20, 100}, {5 << 20, 20}, {40 << 20, 20},
};

/* A block's ends are written, and lead from one to the next. */
static void *take(size_t bytes, size_t count)
{
    void *chain = NULL;
    for (size_t i = 0; i < count; i++) {
        uintptr_t *block = i % 4 == 0 ? calloc(1, bytes) : malloc(bytes);
        if (block == NULL) {
            dprintf(2, "%zu blocks of %zu bytes, and no more\n", i, bytes);
            _exit(1);
        }
        size_t last = bytes / sizeof *block - 1;
        CHECK(i % 4 != 0 || (block[0] == 0 && block[last / 2] == 0 && block[last] == 0));
        block[last] = i;
        block[0] = (uintptr_t)chain;
        chain = block;
    }
    return chain;
}

static void give(void *chain, size_t bytes, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        uintptr_t *block = chain;
        CHECK(block[bytes / sizeof *block - 1] == i);
        chain = (void *)block[0];
        memset(block, 0x5a, bytes < 2000 ? bytes : 2000); /* not zero, when it is there again */
        free(block);
    }
    CHECK(chain == NULL);
}

static void take_much(void)
{
    void *chains[COUNT(amounts)];
    for (size_t i = 0; i < COUNT(amounts); i++)
        chains[i] = take(amounts[i].bytes, amounts[i].count);
    for (size_t i = COUNT(amounts); i-- > 0;)
        give(chains[i], amounts[i].bytes, amounts[i].count);
    malloc_trim(0);
}

static void change(uint64_t random)
{
    enum { BLOCKS = 200 };
    void *blocks[BLOCKS] = {NULL};
    for (unsigned i = 0; i < 500; i++) {
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

/* Threads are made before the filter: without mprotect there are none after. */
enum { THREADS = 2 };
static pthread_barrier_t gate;

static void *work_behind_gate(void *seed)
{
    pthread_barrier_wait(&gate);
    pthread_barrier_wait(&gate);
    change((uint64_t)(uintptr_t)seed);
    give(take(3000, 5000), 3000, 5000);
    pthread_barrier_wait(&gate);
    return NULL;
}

static void work(size_t refusal, int answer, int warm)
{
    pthread_t threads[THREADS];
    CHECK(pthread_barrier_init(&gate, NULL, THREADS + 1) == 0);
    if (warm) {
        for (size_t i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, work_behind_gate, (void *)(i + 1)) == 0);
        change(5);
        pthread_barrier_wait(&gate);
    }
    refuse(refusal, answer);
    if (warm)
        pthread_barrier_wait(&gate);
    take_much();
    change(7);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(300);
        change(8);
        give(take(1000, 20000), 1000, 20000);
        give(take(300000, 100), 300000, 100);
        _exit(0);
    }
    expect_success(child, "child");
    if (warm) {
        pthread_barrier_wait(&gate);
        for (size_t i = 0; i < THREADS; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
    give(take(1000, 15000), 1000, 15000);
}

static size_t refusal_now;
static int answer_now;

static void refused_later(void)
{
    work(refusal_now, answer_now, 1);
}

/* The filter comes before the first block. */
static void refused_from_main_on(void)
{
    struct said said;
    char mode[] = {(char)('a' + refusal_now), (char)answer_now, '\0'};
    run_again(&said, mode, NULL, NULL);
    if (said.status == 0)
        return;
    if (WIFEXITED(said.status) && WEXITSTATUS(said.status) == 77)
        _exit(77);
    dprintf(2, "%s", said.text);
    _exit(1);
}

int main(int count, char **arguments)
{
    if (count > 1) {
        alarm(300);
        work((size_t)(arguments[1][0] - 'a'), arguments[1][1], 0);
        return 0;
    }
    if (emulated())
        SKIP("the emulator knows no seccomp filters");
    for (refusal_now = 0; refusal_now < COUNT(refusals); refusal_now++) {
        for (size_t i = 0; i < COUNT(answers); i++) {
            char what[80];
            answer_now = answers[i];
            snprintf(what, sizeof what, "without %s (%s)", refusals[refusal_now].name,
                     strerrorname_np(answer_now));
            if (i == refusal_now % COUNT(answers) || refusal_now == 0)
                run_apart(refused_from_main_on, 60, what);
            if (i == (refusal_now + 1) % COUNT(answers))
                run_apart(refused_later, 60, what);
        }
    }
    return 0;
}
