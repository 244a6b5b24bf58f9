/* fork.c - a full collection in a child, of a heap that it shares with its parent.
 *
 *     fork [--scale F]
 *
 * dirtied_share is what of the child's memory is not shared any more after it, by the kernel's account.
 */
#include "manager.h"
#include <sys/wait.h>

/* The sum of what smaps_rollup has under names that begin with this. */
static double memory_kib(const char *name)
{
    char line[256];
    double sum = 0, kib;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, name, strlen(name)) == 0 && colon != NULL &&
            sscanf(colon, ": %lf kB", &kib) == 1)
            sum += kib;
    }
    fclose(file);
    return sum;
}

static void child(const ref *tree, size_t count)
{
    memory_kib("Shared_"); /* what it takes itself */
    double resident = memory_kib("Rss"), shared = memory_kib("Shared_");
    double start_ns = now_ns();
    CHECK(manager_collect() <= 0);
    double ns = now_ns() - start_ns;
    print_figure("dirtied_share", (shared - memory_kib("Shared_")) / resident);
    print_figure("collect_ns", ns / (double)count);
    fflush(stdout);
    CHECK(manager_lives(count) && tree_count(tree) == count);
    _exit(0);
}

int main(int argc, char **argv)
{
    size_t count = scaled(MANY, read_scale(argc, argv));
    manager_start();
    ref tree = tree_new(count);
    manager_collect(); /* it has grown old */
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        child(&tree, count);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(tree_count(&tree) == count);
    return 0;
}
