/* os.c - the kernel, as Linux and libc offer it. No lock is taken here and nothing is allocated. */
#include "os.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Older headers lack what newer kernels know; a refusal at run time has its own way out. */
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

enum { CHEAP_SLACK_BYTES = 64 * 1024 };

struct os_failure arn__os_failure;

void arn__os_fail_at(long first, long last)
{
    atomic_store(&arn__os_failure.calls, 0);
    atomic_store(&arn__os_failure.last, last);
    atomic_store(&arn__os_failure.first, first);
}

/* True when a test wants this call to fail. */
static bool injected(void)
{
    long first = atomic_load_explicit(&arn__os_failure.first, memory_order_relaxed);
    if (first == 0)
        return false;
    long n = atomic_fetch_add(&arn__os_failure.calls, 1) + 1;
    return n >= first && n <= atomic_load(&arn__os_failure.last);
}

size_t arn__os_page_bytes(void)
{
    static _Atomic size_t page_bytes; /* any thread may compute it: the answer is the same */
    size_t bytes = atomic_load_explicit(&page_bytes, memory_order_relaxed);
    if (bytes == 0) {
        bytes = getauxval(AT_PAGESZ);
        atomic_store_explicit(&page_bytes, bytes, memory_order_relaxed);
    }
    return bytes;
}

/* At `hint` where that is free. */
static void *map_near(void *hint, size_t bytes, int protection)
{
    int saved = errno;
    if (injected())
        return NULL;
    void *start = mmap(hint, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = saved;
    return start == MAP_FAILED ? NULL : start;
}

static void *map(size_t bytes, int protection)
{
    return map_near(NULL, bytes, protection);
}

static char *aligned_down(char *address, size_t alignment)
{
    return (char *)((uintptr_t)address & ~(uintptr_t)(alignment - 1));
}

/* Where there is no address space left for the slack: where the kernel has room there is often some
 * just below, too. */
static void *map_aligned_without_slack(size_t bytes, size_t alignment, int protection)
{
    char *start = map(bytes, protection);
    char *wanted = aligned_down(start, alignment);
    if (start != wanted) {
        arn__os_unmap(start, bytes);
        start = map_near(wanted, bytes, protection);
    }
    if (start == aligned_down(start, alignment))
        return start;
    arn__os_unmap(start, bytes);
    return NULL;
}

/* Over-reserves and trims both ends: the only portable way to an aligned mapping. */
static void *map_aligned(size_t bytes, size_t alignment, int protection)
{
    if (alignment <= arn__os_page_bytes())
        return map(bytes, protection);
    size_t slack = alignment - arn__os_page_bytes();
    if (bytes > SIZE_MAX - slack)
        return NULL;
    char *start = map(bytes + slack, protection);
    if (start == NULL)
        return map_aligned_without_slack(bytes, alignment, protection);
    char *aligned = aligned_down(start + alignment - 1, alignment);
    size_t before = (size_t)(aligned - start);
    /* A trim that fails leaves unused address space, no more. */
    if (before > 0)
        arn__os_unmap(start, before);
    if (slack > before)
        arn__os_unmap(aligned + bytes, slack - before);
    return aligned;
}

void *arn__os_map(size_t bytes)
{
    return map(bytes, PROT_READ | PROT_WRITE);
}

void *arn__os_map_zeros(size_t bytes)
{
    return map(bytes, PROT_READ);
}

void *arn__os_map_aligned(size_t bytes, size_t alignment)
{
    if (alignment <= CHEAP_SLACK_BYTES)
        return map_aligned(bytes, alignment, PROT_READ | PROT_WRITE);
    /* The slack must not be charged for, not even for the moment until it is trimmed. */
    void *start = map_aligned(bytes, alignment, PROT_NONE);
    if (start != NULL && !arn__os_open(start, bytes)) {
        arn__os_unmap(start, bytes);
        start = NULL;
    }
    return start;
}

void *arn__os_reserve(size_t bytes, size_t alignment)
{
    return map_aligned(bytes, alignment, PROT_NONE);
}

bool arn__os_open(void *start, size_t bytes)
{
    int saved = errno;
    bool done = !injected() && mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0;
    errno = saved;
    return done;
}

bool arn__os_unmap(void *start, size_t bytes)
{
    int saved = errno;
    bool done = !injected() && munmap(start, bytes) == 0;
    errno = saved;
    return done;
}

bool arn__os_purge(void *start, size_t bytes)
{
    int saved = errno;
    bool done = !injected();
    if (done && madvise(start, bytes, MADV_DONTNEED) != 0) {
        /* EINVAL: the pages are locked, and stay. Anything else: the call is refused (a seccomp
         * filter), and a new mapping in place has the same effect. */
        done =
            errno != EINVAL && mmap(start, bytes, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
    }
    errno = saved;
    return done;
}

bool arn__os_resize(void *start, size_t old_bytes, size_t new_bytes)
{
    int saved = errno;
    bool done = !injected() && mremap(start, old_bytes, new_bytes, 0) != MAP_FAILED;
    errno = saved;
    return done;
}

bool arn__os_move(void *start, size_t old_bytes, size_t new_bytes, void *target)
{
    int saved = errno;
    bool tried = !injected();
    bool done = tried && mremap(start, old_bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                                target) != MAP_FAILED;
    /* Short of memory, the kernel may have unmapped the target before it refused, and another thread
     * may be there by now: address space is lost rather than a block. */
    if (!done && !(tried && errno == ENOMEM))
        munmap(target, new_bytes);
    errno = saved;
    return done;
}

void arn__os_huge(void *start, size_t bytes, bool wanted)
{
    int saved = errno;
    if (!injected())
        madvise(start, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    errno = saved;
}

bool arn__os_wipe_on_fork(void *start, size_t bytes)
{
    int saved = errno;
    bool done = !injected() && madvise(start, bytes, MADV_WIPEONFORK) == 0;
    errno = saved;
    return done;
}

bool arn__os_address_space_limited(void)
{
    struct rlimit limit;
    int saved = errno;
    bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    errno = saved;
    return limited;
}

uint32_t arn__os_now_ms(void)
{
    struct timespec now = {0, 0};
    int saved = errno;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    errno = saved;
    return (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

uint64_t arn__os_now_ns(void)
{
    struct timespec now = {0, 0};
    int saved = errno;
    clock_gettime(CLOCK_MONOTONIC, &now);
    errno = saved;
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int arn__os_thread(void)
{
    return (int)syscall(SYS_gettid);
}

int arn__os_process(void)
{
    return (int)syscall(SYS_getpid); /* glibc once kept an old answer */
}

bool arn__os_thread_gone(int thread)
{
    int saved = errno;
    bool gone = syscall(SYS_tgkill, (int)syscall(SYS_getpid), thread, 0) != 0 && errno == ESRCH;
    errno = saved;
    return gone;
}

/* Since Linux 4.14; said so here, for headers may be older. */
enum { BARRIER_EXPEDITED = 1 << 3, BARRIER_REGISTER_EXPEDITED = 1 << 4 };

bool arn__os_barrier(void)
{
    int saved = errno;
    bool done = !injected() && syscall(SYS_membarrier, BARRIER_REGISTER_EXPEDITED, 0) == 0 &&
                syscall(SYS_membarrier, BARRIER_EXPEDITED, 0) == 0;
    errno = saved;
    return done;
}

void arn__os_wait(_Atomic uint32_t *word, uint32_t value)
{
    int saved = errno;
    /* Where futex is refused, yielding is all that is left. */
    if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0) != 0 &&
        errno != EAGAIN && errno != EINTR)
        sched_yield();
    errno = saved;
}

void arn__os_wake(_Atomic uint32_t *word, int sleepers)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, sleepers, NULL, NULL, 0);
    errno = saved;
}

void arn__os_write(int fd, const char *text, size_t bytes)
{
    int saved = errno;
    while (bytes > 0) {
        ssize_t written = write(fd, text, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break;
        text += written;
        bytes -= (size_t)written;
    }
    errno = saved;
}

const char *arn__os_environment(const char *name, bool *known)
{
    /* The first blocks may be asked for before libc's own start has set `environ`. */
    *known = environ != NULL;
    return *known ? secure_getenv(name) : NULL;
}

void arn__os_abort(void)
{
    abort();
}
