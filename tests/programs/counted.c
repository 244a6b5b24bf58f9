/* counted.c - blocks by each of C's names, their number known, and a child: for the tools that count.
 *
 * WITHOUT_ALIGNED: but for the names that align. WITH_MEMALIGN: with those that heaptrack does not know, and
 * sees only where they are built on others. With an argument in threads, where a library's thread-local
 * storage counts: for each thread libc allocates a table with 16 bytes for each such library. */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *fill(void *block, size_t bytes)
{
    if (block == NULL)
        abort();
    return memset(block, 1, bytes);
}

static void use_aligned(size_t n)
{
#ifndef WITHOUT_ALIGNED
    void *aligned;
    free(fill(aligned_alloc(64, 64 * n), 64 * n));
    if (posix_memalign(&aligned, 256, n) != 0)
        abort();
    free(fill(aligned, n));
#ifdef WITH_MEMALIGN
    free(fill(memalign(32, n), n));
    free(fill(valloc(n), n)); /* not pvalloc: Valgrind ends a program that calls it */
#endif
#else
    (void)n;
#endif
}

static void *use(void *unused)
{
    for (size_t n = 1; n <= 500; n++) {
        char *text = strdup("a text");
        char *grown = (char *)fill(realloc(text, n * 50), n * 50);
        char *array = (char *)fill(reallocarray(NULL, n, 20), n * 20);
        array = (char *)fill(reallocarray(array, n, 40), n * 40);
        char *zeros = (char *)fill(calloc(n, 7), n * 7);
        free(fill(malloc(n * n), n * n));
        use_aligned(n);
        free(zeros);
        free(array);
        if (n % 100 != 0) /* five are left over */
            free(grown);
    }
    return unused;
}

static void use_threads(void)
{
    pthread_t threads[3];
    for (int n = 0; n < 3; n++) {
        if (pthread_create(&threads[n], NULL, use, NULL) != 0)
            abort();
    }
    for (int n = 0; n < 3; n++)
        pthread_join(threads[n], NULL);
}

int main(int count, char **arguments)
{
    (void)arguments;
    if (count > 1)
        use_threads();
    use(NULL);
    pid_t child = fork();
    if (child == 0) {
        use(NULL);
        _exit(7);
    }
    int status;
    waitpid(child, &status, 0);
    printf("%d\n", WEXITSTATUS(status));
    return 0;
}
