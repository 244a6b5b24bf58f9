/* file_descriptors.c - the library holds no file open and writes to none but stderr, whatever the
 * program has closed or put in its place. */
#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

#include "blocks.h"
#include "self.h"

static void work(uint64_t seed)
{
    void *blocks[200] = {NULL};
    for (unsigned i = 0; i < 3000; i++) {
        size_t idx = next_random(&seed) % 200;
        block_free(blocks[idx]);
        blocks[idx] = random_block(&seed);
    }
    for (size_t i = 0; i < 200; i++)
        block_free(blocks[i]);
    malloc_trim(0);
}

static void *worker(void *seed)
{
    work((uint64_t)(uintptr_t)seed);
    return NULL;
}

static void work_with_threads(void)
{
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, worker, (void *)(i + 1)) == 0);
    work(99);
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* Bits of the descriptors that are open. */
static uint64_t open_descriptors(void)
{
    uint64_t open = 0;
    for (int fd = 0; fd < 64; fd++) {
        if (fcntl(fd, F_GETFD) != -1)
            open |= (uint64_t)1 << fd;
    }
    return open;
}

static void keeps_none(void)
{
    uint64_t before = open_descriptors();
    work_with_threads();
    CHECK(open_descriptors() == before);
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    work_with_threads();
    if (open_descriptors() != 0)
        _exit(2);
}

/* All three are closed from the start, options have something to say, and what the program then
 * opens gets these numbers. */
static int with_closed_standard(void)
{
    char name[] = "/tmp/arenite-XXXXXX";
    struct stat status;
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) != -1)
            return 3;
    }
    work(1);
    int file = mkstemp(name);
    unlink(name);
    if (file != 0 || dup(file) != 1)
        return 4;
    work_with_threads();
    if (fstat(file, &status) != 0 || status.st_size != 0)
        return 5;
    return 0;
}

static void closed_from_the_start(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        setenv("ARENITE_OPTIONS", "show=1,stats=exit,no_such_key=1", 1);
        close(0);
        close(1);
        close(2);
        execl("/proc/self/exe", "again", "closed", NULL);
        _exit(127);
    }
    expect_success(child, "closed standard descriptors");
}

/* A message that cannot be written is lost; the program is not. */
static void full_stderr(void)
{
    int full = open("/dev/full", O_WRONLY);
    if (full < 0)
        return;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        setenv("ARENITE_OPTIONS", "show=1,stats=exit,no_such_key=1", 1);
        dup2(full, 2);
        execl("/proc/self/exe", "again", "work", NULL);
        _exit(127);
    }
    expect_success(child, "full stderr");
    close(full);
}

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "closed") == 0)
        return with_closed_standard();
    if (count > 1) {
        work(5);
        return 0;
    }
    if (!emulated()) {
        closed_from_the_start();
        full_stderr();
    }
    run_apart(keeps_none, 60, "no descriptor is kept");
    return 0;
}
