/* interceptor.c - a library that intercepts libc's names of system calls, and allocates in that: what I/O
 * tracers, sandboxes and cwrap's libraries do. intercepted.c preloads it.
 *
 * It finds libc's function by dlsym at the first call, and notes each call in a block. With
 * INTERCEPTOR_LOCKED in the environment it holds a lock while it allocates, and across a fork. Whoever
 * calls such a name in malloc, in free or in a handler of fork's then waits for itself; without the lock
 * it calls itself for ever. */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long calls;
static char *last;

/* Whether the lock is taken. Asked of the environment at the first call: that may be before any start. */
static bool is_locked(void)
{
    static int answer;
    if (answer == 0)
        answer = getenv("INTERCEPTOR_LOCKED") != NULL ? 1 : -1;
    return answer > 0;
}

static void enter(void)
{
    if (is_locked())
        pthread_mutex_lock(&lock);
}

static void leave(void)
{
    if (is_locked())
        pthread_mutex_unlock(&lock);
}

unsigned long intercepted_calls(void);

unsigned long intercepted_calls(void)
{
    return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

/* Small, of a few pages, of more than a slice, and now and then so large that it is mapped. */
static size_t bytes_of(unsigned long call)
{
    static const size_t bytes[] = {24, 20000, 500, 50000, 3000};
    return call % 512 == 0 ? (size_t)3 << 20 : bytes[call % 5];
}

static void note(const char *name)
{
    enter();
    unsigned long call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    char *text = malloc(bytes_of(call));
    if (text == NULL)
        abort();
    snprintf(text, 24, "%s", name);
    free(__atomic_exchange_n(&last, text, __ATOMIC_RELAXED));
    leave();
}

static void before_fork(void)
{
    enter();
    free(malloc(20000));
}

static void after_fork(void)
{
    free(malloc(20000));
    leave();
}

__attribute__((constructor)) static void start(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

#define INTERCEPT(type_, name_, parameters_, arguments_) \
    type_ name_ parameters_                              \
    {                                                    \
        static __typeof__(&name_) real;                  \
        if (real == NULL)                                \
            *(void **)&real = dlsym(RTLD_NEXT, #name_);  \
        note(#name_);                                    \
        return real arguments_;                          \
    }

INTERCEPT(void *, mmap,
          (void *start, size_t bytes, int protection, int flags, int file, off_t offset),
          (start, bytes, protection, flags, file, offset))
INTERCEPT(void *, mmap64,
          (void *start, size_t bytes, int protection, int flags, int file, off_t offset),
          (start, bytes, protection, flags, file, offset))
INTERCEPT(int, munmap, (void *start, size_t bytes), (start, bytes))
INTERCEPT(int, mprotect, (void *start, size_t bytes, int protection), (start, bytes, protection))
INTERCEPT(int, madvise, (void *start, size_t bytes, int advice), (start, bytes, advice))
INTERCEPT(ssize_t, write, (int file, const void *data, size_t bytes), (file, data, bytes))
INTERCEPT(int, clock_gettime, (clockid_t clock, struct timespec *now), (clock, now))
INTERCEPT(pid_t, getpid, (void), ())
INTERCEPT(int, sched_yield, (void), ())
INTERCEPT(long, sysconf, (int name), (name))

void *mremap(void *start, size_t bytes, size_t wanted, int flags, ...)
{
    static void *(*real)(void *, size_t, size_t, int, void *);
    va_list more;
    va_start(more, flags);
    void *target = (flags & MREMAP_FIXED) != 0 ? va_arg(more, void *) : NULL;
    va_end(more);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "mremap");
    note("mremap");
    return real(start, bytes, wanted, flags, target);
}

long syscall(long number, ...)
{
    static long (*real)(long, ...);
    long arguments[6];
    va_list more;
    va_start(more, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(more, long);
    va_end(more);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    note("syscall");
    return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                arguments[5]);
}
