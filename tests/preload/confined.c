/* confined.c - without /proc, /sys or any file at all, and as a set-uid program, which hears no options
 * of its caller. */
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
    CHECK(mallinfo2().arena > 0);
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

static char directory[] = "/tmp/arenite-XXXXXX";

/* The root of this process is an empty directory. */
static void without_files(void)
{
    if (chroot(directory) != 0 || chdir("/") != 0)
        _exit(0); /* not permitted */
    CHECK(access("/proc", F_OK) != 0 && access("/sys", F_OK) != 0);
    work_with_threads();
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
    static char buffer[1 << 16];
    ssize_t got;
    int in = open(from, O_RDONLY);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    CHECK(in >= 0 && out >= 0);
    while ((got = read(in, buffer, sizeof buffer)) > 0)
        CHECK(write(out, buffer, (size_t)got) == got);
    close(in);
    CHECK(fchmod(out, mode) == 0 && close(out) == 0);
}

static void path_of(char *path, const char *name)
{
    snprintf(path, 100, "%s/%s", directory, name);
}

/* A static program, started where there is nothing else. */
static void start_without_files(void)
{
    char path[100];
    path_of(path, "program");
    copy_file("/proc/self/exe", path, 0755);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (chroot(directory) != 0 || chdir("/") != 0)
            _exit(0);
        execl("/program", "program", "work", NULL);
        _exit(errno == EACCES ? 0 : 127); /* mounted noexec */
    }
    expect_success(child, "started without /proc and /sys");
    unlink(path);
}

/* Its owner is another user: the kernel tells libc so (AT_SECURE), and options are not heard. Says
 * what it does by its exit status, for the caller's options would say something on stderr. */
static void set_user_id(void)
{
    char path[100];
    path_of(path, "set-uid");
    copy_file("/proc/self/exe", path, 0755);
    if (geteuid() != 0 || chown(path, 65534, 65534) != 0 || chmod(path, 06755) != 0 ||
        chmod(directory, 0755) != 0) {
        unlink(path);
        return;
    }
    int ends[2];
    char text[1000];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        setenv("ARENITE_OPTIONS", "show=1,stats=exit,no_such_key=1", 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        execl(path, "set-uid", "secure", NULL);
        _exit(errno == EACCES ? 78 : 127); /* mounted noexec */
    }
    close(ends[1]);
    ssize_t length = read(ends[0], text, sizeof text);
    close(ends[0]);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    unlink(path);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 78) /* mounted nosuid, or the like */
        return;
    CHECK(length == 0); /* silence: no option was heard */
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int count, char **arguments)
{
    if (count > 1) {
        if (strcmp(arguments[1], "secure") == 0 && secure_getenv("PATH") != NULL)
            return 78;
        work(3);
        return 0;
    }
    CHECK(mkdtemp(directory) != NULL);
    run_apart(without_files, 60, "without /proc and /sys");
    if (program_is_static() && !emulated())
        start_without_files();
    /* A preload does not reach a set-uid program; what is linked with arenite does. */
    if (!program_is_preloaded() && !emulated())
        set_user_id();
    rmdir(directory);
    return 0;
}
