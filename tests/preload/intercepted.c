/* intercepted.c - another preloaded library intercepts system calls and allocates in that, before the
 * library in LD_PRELOAD or after it (interceptor.c). */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "blocks.h"
#include "self.h"

/* --- What runs beside the interceptor --------------------------------------------------------- */

static void churn(uint64_t random, unsigned rounds)
{
    void *blocks[100] = {NULL};
    for (unsigned i = 0; i < rounds; i++) {
        size_t idx = next_random(&random) % 100;
        if (blocks[idx] != NULL && i % 4 == 0) {
            blocks[idx] = random_resized(blocks[idx], &random);
        } else {
            block_free(blocks[idx]);
            blocks[idx] = random_block(&random);
        }
    }
    for (size_t i = 0; i < 100; i++)
        block_free(blocks[i]);
}

/* Names that the interceptor has, as a program calls them. */
static void ask(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    CHECK(syscall(SYS_getpid) == getpid());
    char *start = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED);
    CHECK(mprotect(start, 1 << 20, PROT_READ | PROT_WRITE) == 0);
    start[0] = 1;
    CHECK(madvise(start, 1 << 20, MADV_DONTNEED) == 0 && start[0] == 0);
    start = mremap(start, 1 << 20, 2 << 20, MREMAP_MAYMOVE);
    CHECK(start != MAP_FAILED);
    CHECK(munmap(start, 2 << 20) == 0);
    CHECK(write(1, "", 0) == 0);
}

static void *work(void *seed)
{
    for (unsigned i = 0; i < 6; i++) {
        churn((uint64_t)(uintptr_t)seed + i * 100 + 1, 200);
        ask();
    }
    return NULL;
}

static void fork_children(uint64_t seed, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            churn(seed + i, 150);
            ask();
            if (i % 2 == 0)
                _exit(0);
            exit(0);
        }
        expect_success(child, "a child under the interceptor");
    }
}

static void run_threads(bool forking)
{
    pthread_t threads[4];
    for (uintptr_t n = 0; n < 4; n++)
        CHECK(pthread_create(&threads[n], NULL, work, (void *)(n * 7 + 1)) == 0);
    if (forking)
        fork_children(77, 6);
    work((void *)99);
    for (size_t n = 0; n < 4; n++)
        CHECK(pthread_join(threads[n], NULL) == 0);
}

static void run_intercepted(void)
{
    unsigned long (*intercepted_calls)(void);
    *(void **)&intercepted_calls = dlsym(RTLD_DEFAULT, "intercepted_calls");
    CHECK(intercepted_calls != NULL);
    churn(5, 1000);
    ask();
    fork_children(33, 4);
    run_threads(false);
    fork_children(44, 4); /* the heaps of threads that are gone */
    run_threads(true);
    CHECK(malloc_trim(0) >= 0);
    CHECK(intercepted_calls() > 100);
}

/* Aborts: the message is written by no function that the interceptor could have replaced. */
static void free_twice(void)
{
    char *volatile block = malloc(100);
    free(block);
    free(block);
}

/* --- The test ----------------------------------------------------------------------------------- */

/* Waits for a command, which is to end successfully within a minute; without its output, if it is
 * preloaded. */
static void run_command(char *const arguments[], const char *preload, const char *options)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        if (preload != NULL) {
            int nowhere = open("/dev/null", O_WRONLY);
            dup2(nowhere, 1);
            dup2(nowhere, 2);
            setenv("LD_PRELOAD", preload, 1);
        }
        if (options != NULL)
            setenv("ARENITE_OPTIONS", options, 1);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    expect_success(child, arguments[0]);
}

static void expect_all(const char *preload)
{
    struct said said;
    CHECK(setenv("LD_PRELOAD", preload, 1) == 0);
    run_again(&said, "intercepted", NULL, NULL);
    if (said.status != 0) {
        dprintf(2, "LD_PRELOAD='%s': status %x: %s\n", preload, (unsigned)said.status, said.text);
        _exit(1);
    }
    run_again(&said, "twice", NULL, NULL);
    CHECK(WIFSIGNALED(said.status) && WTERMSIG(said.status) == SIGABRT);
    CHECK(strstr(said.text, "double free") != NULL);
    unsetenv("LD_PRELOAD");
    char *const programs[][6] = {
        {(char *)"true"},
        {(char *)"sh", (char *)"-c", (char *)"(echo a child; (true | cat)) | cat >/dev/null; :"},
        {(char *)"ls", (char *)"-l", (char *)"/"},
        {(char *)"sort", (char *)"--parallel=4", (char *)"-o", (char *)"/dev/null",
         (char *)"/etc/passwd"},
    };
    static const char *const options[] = {"show=1,stats=exit", NULL};
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        for (size_t k = 0; k < 2; k++)
            run_command(programs[i], preload, options[k]);
    }
}

static void try_each(const char *ours, const char *interceptor)
{
    char preload[8192];
    if (ours == NULL) { /* it is in the program */
        expect_all(interceptor);
        return;
    }
    snprintf(preload, sizeof preload, "%s %s", interceptor, ours);
    expect_all(preload);
    snprintf(preload, sizeof preload, "%s %s", ours, interceptor);
    expect_all(preload);
}

int main(int count, char **arguments)
{
    if (count > 1) {
        if (strcmp(arguments[1], "twice") == 0)
            free_twice();
        else
            run_intercepted();
        return 0;
    }
    if (program_is_static())
        SKIP("nothing is preloaded into a static program");
    if (emulated())
        SKIP("a program under the emulator cannot run another");
    unsetenv("LD_PRELOAD");
    char interceptor[4096];
    ssize_t length = readlink("/proc/self/exe", interceptor, sizeof interceptor - 20);
    CHECK(length > 0);
    interceptor[length] = '\0';
    strcpy(strrchr(interceptor, '/'), "/interceptor.so");
    const char *ours = program_is_preloaded() ? getenv("ARENITE_LIB") : NULL;
    try_each(ours, interceptor);
    CHECK(setenv("INTERCEPTOR_LOCKED", "", 1) == 0);
    try_each(ours, interceptor);
    return 0;
}
