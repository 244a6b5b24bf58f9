/* refusals.c - a seccomp filter refuses system calls, as sandboxes do: the program works all the
 * same. */
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "blocks.h"
#include "self.h"

static const struct {
    long number;
    const char *name;
} refused[] = {
    {SYS_madvise, "madvise"},         {SYS_mremap, "mremap"},
    {SYS_getrandom, "getrandom"},     {SYS_clock_gettime, "clock_gettime"},
    {SYS_prlimit64, "prlimit64"},     {SYS_getrlimit, "getrlimit"},
    {SYS_sched_yield, "sched_yield"}, {SYS_getpid, "getpid"},
    {SYS_gettid, "gettid"},           {SYS_tgkill, "tgkill"},
    {SYS_membarrier, "membarrier"},   {SYS_futex, "futex"}, /* last: without it only one thread */
};
enum { REFUSED = sizeof refused / sizeof *refused };
static const int answers[] = {ENOSYS, EPERM, EINVAL};

static int refuse(long number, int answer)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* the call's number */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void work(uint64_t seed)
{
    enum { BLOCKS = 200 };
    void *blocks[BLOCKS] = {NULL};
    uint64_t random = seed;
    for (unsigned i = 0; i < 500; i++) {
        size_t idx = next_random(&random) % BLOCKS;
        if (blocks[idx] != NULL && i % 3 == 0) {
            blocks[idx] = random_resized(blocks[idx], &random);
            continue;
        }
        block_free(blocks[idx]);
        blocks[idx] = random_block(&random);
    }
    /* Growth of a large block moves it. */
    char *grown = malloc(1 << 20);
    CHECK(grown != NULL);
    grown[12345] = 17;
    for (size_t mib = 2; mib < 40; mib *= 2) {
        CHECK((grown = realloc(grown, mib << 20)) != NULL);
        grown[(mib << 20) - 1] = 1;
        CHECK(grown[12345] == 17);
    }
    CHECK((grown = realloc(grown, 3 << 20)) != NULL);
    CHECK(grown[12345] == 17);
    free(grown);
    malloc_trim(0);
    for (size_t i = 0; i < BLOCKS; i++)
        block_free(blocks[i]);
    malloc_trim(0);
    unsigned char *zeros = calloc(1, 3 << 20);
    CHECK(zeros != NULL);
    for (size_t i = 0; i < 3 << 20; i++)
        CHECK(zeros[i] == 0);
    free(zeros);
    errno = 0;
    free(malloc(200000));
    CHECK(errno == 0);
}

static void *worker(void *seed)
{
    work((uint64_t)(uintptr_t)seed);
    return NULL;
}

/* The filter comes when there are blocks already. */
static void work_without(size_t call, int answer, int with_threads)
{
    if (!refuse(refused[call].number, answer))
        SKIP("seccomp filters are not permitted");
    work(11);
    if (with_threads) {
        pthread_t threads[3];
        for (size_t i = 0; i < 3; i++)
            CHECK(pthread_create(&threads[i], NULL, worker, (void *)(i + 1)) == 0);
        work(12);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(300);
            work(13);
            _exit(0);
        }
        expect_success(child, "forked child of it");
        for (size_t i = 0; i < 3; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

/* The filter is there before the first block. */
static void start_without(size_t call, int answer)
{
    if (!refuse(refused[call].number, answer))
        SKIP("seccomp filters are not permitted");
    execl("/proc/self/exe", "again", "work", NULL);
    _exit(127);
}

int main(int count, char **arguments)
{
    if (count > 1) {
        work(14);
        return 0;
    }
    (void)arguments;
    if (emulated())
        SKIP("the emulator knows no seccomp filters");
    for (size_t call = 0; call < REFUSED; call++) {
        for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
            char what[80];
            snprintf(what, sizeof what, "without %s (%s)", refused[call].name,
                     strerrorname_np(answers[i]));
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                alarm(300);
                if ((call + i) % 2 == 0)
                    start_without(call, answers[i]);
                else
                    work_without(call, answers[i], refused[call].number != SYS_futex);
                _exit(0);
            }
            expect_success(child, what);
        }
    }
    return 0;
}
