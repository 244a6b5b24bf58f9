/* os.c - the kernel, as Linux offers it. No lock is taken here and nothing is allocated.
 *
 * System calls are made by system_call.h, and the clock is the kernel's own, for a library may have
 * replaced libc's functions. What is still libc's reads memory and no more: getauxval and
 * secure_getenv. abort is called last of all, so that a program may replace it. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "system_call.h"
#include "vdso.h"

/* Older headers lack what newer kernels know; a refusal at run time has its own way out. */
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
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

/* ---- mappings ---- */

/* Whether an answer is an errno. */
static bool is_error(long answer)
{
    return answer < 0 && answer >= -4095;
}

/* At `hint` where that is free; with MAP_FIXED, over what is there. */
static void *map_with(void *hint, size_t bytes, int protection, int flags)
{
    long answer = ARN__SYSTEM_CALL(SYS_mmap, hint, bytes, protection,
                                   MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return is_error(answer) ? NULL : (void *)answer;
}

static void *map_near(void *hint, size_t bytes, int protection, int flags)
{
    return injected() ? NULL : map_with(hint, bytes, protection, flags);
}

static long remap(void *start, size_t old_bytes, size_t new_bytes, int flags, void *target)
{
    return ARN__SYSTEM_CALL(SYS_mremap, start, old_bytes, new_bytes, flags, target);
}

/* 0, or an errno negated. */
static long advise(void *start, size_t bytes, int advice)
{
    return ARN__SYSTEM_CALL(SYS_madvise, start, bytes, advice);
}

static char *aligned_down(char *address, size_t alignment)
{
    return (char *)((uintptr_t)address & ~(uintptr_t)(alignment - 1));
}

enum { PLACES_NEAR = 12, PLACES = 24 };

/* Where there is no address space left for the slack. Where the kernel has room there is often some just below, too;
 * if that is a gap, there is some below what lies there: looked for in ever longer steps. */
static void *map_aligned_without_slack(size_t bytes, size_t alignment, int protection, int flags)
{
    char *start = map_near(NULL, bytes, protection, flags);
    char *wanted = aligned_down(start, alignment);
    size_t step = alignment;
    for (unsigned tried = 0; start != NULL && start != wanted && tried < PLACES; tried++) {
        arn__os_unmap(start, bytes);
        start = map_near(wanted, bytes, protection, flags);
        if (start == wanted || (uintptr_t)wanted <= 2 * step)
            break;
        wanted -= step;
        step <<= tried >= PLACES_NEAR;
    }
    if (start == aligned_down(start, alignment))
        return start;
    arn__os_unmap(start, bytes);
    return NULL;
}

/* Keeps `bytes` at a multiple of `alignment` of a mapping that has this slack beside. A trim that fails
 * leaves unused address space, no more. */
static char *trim(char *start, size_t bytes, size_t slack, size_t alignment)
{
    char *aligned = aligned_down(start + alignment - 1, alignment);
    size_t before = (size_t)(aligned - start);
    if (before > 0)
        arn__os_unmap(start, before);
    if (slack > before)
        arn__os_unmap(aligned + bytes, slack - before);
    return aligned;
}

/* What may have to be mapped beside, to find an aligned start. */
static size_t slack_for(size_t alignment)
{
    size_t page_bytes = arn__os_page_bytes();
    return alignment <= page_bytes ? 0 : alignment - page_bytes;
}

/* Over-reserves and trims both ends: the only portable way to an aligned mapping. */
static void *map_aligned(size_t bytes, size_t alignment, int protection, int flags)
{
    size_t slack = slack_for(alignment);
    if (slack == 0)
        return map_near(NULL, bytes, protection, flags);
    if (bytes > SIZE_MAX - slack)
        return NULL;
    char *start = map_near(NULL, bytes + slack, protection, flags);
    return start != NULL ? trim(start, bytes, slack, alignment)
                         : map_aligned_without_slack(bytes, alignment, protection, flags);
}

void *arn__os_map(size_t bytes)
{
    return map_near(NULL, bytes, PROT_READ | PROT_WRITE, 0);
}

void *arn__os_map_aligned(size_t bytes, size_t alignment)
{
    if (alignment <= CHEAP_SLACK_BYTES)
        return map_aligned(bytes, alignment, PROT_READ | PROT_WRITE, 0);
    /* The slack must not be charged for, not even for the moment until it is trimmed. */
    void *start = map_aligned(bytes, alignment, PROT_NONE, 0);
    if (start != NULL && !arn__os_open(start, bytes)) {
        arn__os_unmap(start, bytes);
        start = NULL;
    }
    return start;
}

void *arn__os_reserve(size_t bytes, size_t alignment)
{
    return map_aligned(bytes, alignment, PROT_NONE, MAP_STACK);
}

void *arn__os_reserve_near(void *place, size_t bytes)
{
    return map_near(place, bytes, PROT_NONE, MAP_STACK);
}

uintptr_t arn__os_linker(void)
{
    int saved = errno; /* ENOENT where the kernel does not tell */
    uintptr_t base = getauxval(AT_BASE);
    errno = saved;
    return base;
}

bool arn__os_stacks_are_small(void)
{
    struct utsname kernel = {.release = ""};
    unsigned major = 0, minor = 0;
    ARN__SYSTEM_CALL(SYS_uname, &kernel);
    const char *at = kernel.release;
    for (; *at >= '0' && *at <= '9'; at++)
        major = major * 10 + (unsigned)(*at - '0');
    for (at += *at == '.'; *at >= '0' && *at <= '9'; at++)
        minor = minor * 10 + (unsigned)(*at - '0');
    return major > 6 || (major == 6 && minor >= 7);
}

/* ---- seeds ---- */

void arn__os_sow(struct os_seed *seed, void *page, bool huge)
{
    size_t bytes = arn__os_page_bytes();
    if (!injected() && advise(page, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0)
        seed->page = page;
}

/* The seed, and right behind it `bytes` more. NULL: the seed is as it was. */
static char *grow(struct os_seed *seed, size_t bytes)
{
    size_t page_bytes = arn__os_page_bytes();
    if (seed->page == NULL || injected())
        return NULL;
    long answer = remap(seed->page, page_bytes, page_bytes + bytes, MREMAP_MAYMOVE, NULL);
    if (is_error(answer))
        return NULL;
    seed->page = (char *)answer;
    return seed->page + page_bytes;
}

void *arn__os_grow(struct os_seed *seed, size_t bytes, size_t alignment)
{
    size_t slack = slack_for(alignment);
    char *start = bytes > SIZE_MAX / 2 ? NULL : grow(seed, bytes + slack);
    return start == NULL ? NULL : trim(start, bytes, slack, alignment);
}

enum { TABLE_BYTES = 2 << 20 }; /* what one page table covers: a huge page */

/* Puts the seed right before a multiple of that, where as much is free. */
static void settle(struct os_seed *seed, size_t bytes)
{
    size_t page_bytes = arn__os_page_bytes(), room = page_bytes + TABLE_BYTES + bytes;
    char *start = map_with(NULL, room, PROT_NONE, 0);
    if (start == NULL)
        return;
    uintptr_t behind = ((uintptr_t)start + page_bytes + TABLE_BYTES - 1) & -(uintptr_t)TABLE_BYTES;
    char *place = (char *)behind - page_bytes, *end = start + room;
    if (is_error(remap(seed->page, page_bytes, page_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place))) {
        ARN__SYSTEM_CALL(SYS_munmap, start, room);
        return;
    }
    seed->page = place;
    if (place != start)
        ARN__SYSTEM_CALL(SYS_munmap, start, place - start);
    ARN__SYSTEM_CALL(SYS_munmap, (char *)behind, end - (char *)behind);
}

/* What is moved later has to have page tables to itself: a table that it shares with its neighbours goes along, and
 * where there is a table no huge page is put. */
static char *grow_apart(struct os_seed *seed, size_t bytes)
{
    char *grown = grow(seed, bytes);
    if (grown == NULL || bytes % TABLE_BYTES != 0 || (uintptr_t)grown % TABLE_BYTES == 0)
        return grown;
    ARN__SYSTEM_CALL(SYS_munmap, grown, bytes);
    settle(seed, bytes);
    return grow(seed, bytes);
}

enum os_grown arn__os_grow_at(struct os_seed *seed, void *start, size_t bytes)
{
    char *grown = grow_apart(seed, bytes);
    if (grown == NULL)
        return OS_REFUSED;
    long answer =
        injected() ? -ENOMEM : remap(grown, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, start);
    if (!is_error(answer))
        return arn__os_open(start, bytes) ? OS_GROWN : OS_REFUSED;
    ARN__SYSTEM_CALL(SYS_munmap, grown, bytes);
    /* The kernel may have unmapped the place before it refused: it is reserved again. What is there otherwise is
     * the place as it was, or what another thread has mapped since. */
    return map_with(start, bytes, PROT_NONE, MAP_FIXED_NOREPLACE) == start ? OS_REFUSED : OS_LOST;
}

bool arn__os_open(void *start, size_t bytes)
{
    const int protection = PROT_READ | PROT_WRITE;
    if (injected())
        return false;
    long answer = ARN__SYSTEM_CALL(SYS_mprotect, start, bytes, protection);
    /* ENOMEM: a limit. Anything else: the call is refused (a seccomp filter), and a new mapping in
     * place has the same effect. */
    return answer == 0 ||
           (answer != -ENOMEM && map_with(start, bytes, protection, MAP_FIXED) != NULL);
}

/* In two calls: a mapping in place that is refused may have taken the old one away. */
bool arn__os_close(void *start, size_t bytes)
{
    if (injected())
        return false;
    long answer = ARN__SYSTEM_CALL(SYS_mprotect, start, bytes, PROT_NONE);
    if (answer == 0)
        advise(start, bytes, MADV_DONTNEED);
    return answer == 0 ||
           (answer != -ENOMEM && map_with(start, bytes, PROT_NONE, MAP_FIXED) != NULL);
}

bool arn__os_reserve_over(void *start, size_t bytes)
{
    return !injected() && map_with(start, bytes, PROT_NONE, MAP_FIXED | MAP_STACK) != NULL;
}

bool arn__os_unmap(void *start, size_t bytes)
{
    return !injected() && ARN__SYSTEM_CALL(SYS_munmap, start, bytes) == 0;
}

bool arn__os_purge(void *start, size_t bytes)
{
    if (injected())
        return false;
    long answer = advise(start, bytes, MADV_DONTNEED);
    /* EINVAL: the pages are locked, and stay. Anything else: as in arn__os_open. */
    return answer == 0 ||
           (answer != -EINVAL && map_with(start, bytes, PROT_READ | PROT_WRITE, MAP_FIXED) != NULL);
}

bool arn__os_resize(void *start, size_t old_bytes, size_t new_bytes)
{
    return !injected() && !is_error(remap(start, old_bytes, new_bytes, 0, NULL));
}

bool arn__os_move(void *start, size_t old_bytes, size_t new_bytes, void *target)
{
    bool tried = !injected();
    long answer =
        tried ? remap(start, old_bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target) : -ENOSYS;
    /* Short of memory, the kernel may have unmapped the target before it refused, and another thread
     * may be there by now: address space is lost rather than a block. */
    if (is_error(answer) && !(tried && answer == -ENOMEM))
        ARN__SYSTEM_CALL(SYS_munmap, target, new_bytes);
    return !is_error(answer);
}

void arn__os_huge(void *start, size_t bytes, bool wanted)
{
    if (!injected())
        advise(start, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

bool arn__os_wipe_on_fork(void *start, size_t bytes)
{
    return !injected() && advise(start, bytes, MADV_WIPEONFORK) == 0;
}

static size_t limit_of(int resource)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    ARN__SYSTEM_CALL(SYS_prlimit64, 0, resource, NULL, &limit);
    return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)limit.rlim_cur;
}

size_t arn__os_memory_limit(void)
{
    size_t address_space = limit_of(RLIMIT_AS), data = limit_of(RLIMIT_DATA);
    return address_space < data ? address_space : data;
}

/* ---- the clock ---- */

#if defined(__x86_64__)
#define VDSO_CLOCK "__vdso_clock_gettime"
#else
#define VDSO_CLOCK "__kernel_clock_gettime"
#endif

typedef int (*clock_function)(clockid_t, struct timespec *);

static int ask_kernel(clockid_t clock, struct timespec *now)
{
    return (int)ARN__SYSTEM_CALL(SYS_clock_gettime, clock, now);
}

static struct timespec read_clock(clockid_t clock)
{
    static _Atomic clock_function known; /* any thread may look it up: the answer is the same */
    struct timespec now = {0, 0};
    clock_function function = atomic_load_explicit(&known, memory_order_relaxed);
    if (function == NULL) {
        function = (clock_function)arn__vdso_find(VDSO_CLOCK);
        if (function == NULL)
            function = ask_kernel;
        atomic_store_explicit(&known, function, memory_order_relaxed);
    }
    function(clock, &now);
    return now;
}

uint32_t arn__os_now_ms(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC_COARSE);
    return (uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

uint64_t arn__os_now_ns(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- threads and processes ---- */

int arn__os_thread(void)
{
    return (int)ARN__SYSTEM_CALL(SYS_gettid);
}

int arn__os_process(void)
{
    return (int)ARN__SYSTEM_CALL(SYS_getpid);
}

/* Since Linux 4.14; said so here, for headers may be older. */
enum { BARRIER_EXPEDITED = 1 << 3, BARRIER_REGISTER_EXPEDITED = 1 << 4 };

bool arn__os_barrier(void)
{
    return !injected() && ARN__SYSTEM_CALL(SYS_membarrier, BARRIER_REGISTER_EXPEDITED, 0) == 0 &&
           ARN__SYSTEM_CALL(SYS_membarrier, BARRIER_EXPEDITED, 0) == 0;
}

/* `most`: how long; NULL: until it is woken. */
static void wait_on(_Atomic uint32_t *word, uint32_t value, const struct timespec *most)
{
    long answer = ARN__SYSTEM_CALL(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, most, NULL, 0);
    /* Where futex is refused, yielding is all that is left. */
    if (answer != 0 && answer != -EAGAIN && answer != -EINTR && answer != -ETIMEDOUT)
        ARN__SYSTEM_CALL(SYS_sched_yield);
}

void arn__os_wait(_Atomic uint32_t *word, uint32_t value)
{
    wait_on(word, value, NULL);
}

void arn__os_wait_briefly(_Atomic uint32_t *word, uint32_t value)
{
    static const struct timespec brief = {.tv_nsec = 5 * 1000 * 1000};
    wait_on(word, value, &brief);
}

void arn__os_wake(_Atomic uint32_t *word, int sleepers)
{
    ARN__SYSTEM_CALL(SYS_futex, word, FUTEX_WAKE_PRIVATE, sleepers, NULL, NULL, 0);
}

/* Compares before it would wake or move sleepers, of whom it is asked to wake and move none: 0 if the word has
 * the value, -EAGAIN if it has not, -EFAULT if it cannot be read. */
static long compare(const void *word, uint32_t value)
{
    static const uint32_t nobody_sleeps;
    return ARN__SYSTEM_CALL(SYS_futex, word, FUTEX_CMP_REQUEUE_PRIVATE, 0, 0, &nobody_sleeps,
                            value);
}

bool arn__os_word_is(const void *word, uint32_t value)
{
    return compare(word, value) == 0;
}

bool arn__os_readable(const void *word)
{
    long answer = compare((const void *)((uintptr_t)word & ~(uintptr_t)3), 0);
    return answer == 0 || answer == -EAGAIN;
}

/* ---- signals ---- */

#if defined(__x86_64__)
/* How a handler returns. Unwinders know a signal's frame by these very bytes, where no other description covers
 * the address before: hence the nop. */
__asm__(".text\n"
        "nop\n"
        ".p2align 4\n"
        "nop\n"
        ".type arn__os_restore, @function\n"
        ".globl arn__os_restore\n"
        ".hidden arn__os_restore\n"
        "arn__os_restore:\n"
        ".byte 0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00\n" /* mov $SYS_rt_sigreturn, %rax */
        "syscall\n"
        ".size arn__os_restore, . - arn__os_restore\n");
extern void arn__os_restore(void) __attribute__((visibility("hidden")));
static const unsigned long restorer_flag = 0x04000000;
#else
#define arn__os_restore NULL /* the vDSO's */
static const unsigned long restorer_flag = 0;
#endif

static long set_action(int signal, const struct os_action *action, struct os_action *old)
{
    return ARN__SYSTEM_CALL(SYS_rt_sigaction, signal, action, old, sizeof action->mask);
}

bool arn__os_handle(int signal, void (*handler)(int, siginfo_t *, void *), struct os_action *old)
{
    const struct os_action action = {
        .handler = handler,
        .flags = SA_SIGINFO | SA_ONSTACK | restorer_flag,
        .restorer = arn__os_restore,
    };
    return set_action(signal, &action, old) == 0;
}

void arn__os_handle_again(int signal, const struct os_action *old)
{
    set_action(signal, old, NULL);
}

void arn__os_raise(int signal)
{
    ARN__SYSTEM_CALL(SYS_tgkill, arn__os_process(), arn__os_thread(), signal);
}

struct os_access arn__os_access(const void *context)
{
    const ucontext_t *interrupted = context;
#if defined(__x86_64__)
    const greg_t *registers = interrupted->uc_mcontext.gregs;
    return (struct os_access){(void *)registers[REG_RIP],
                              registers[REG_ERR] & 2 ? OS_WRITE : OS_READ};
#else
    return (struct os_access){(void *)interrupted->uc_mcontext.pc, OS_ACCESS};
#endif
}

/* ---- the rest ---- */

/* 0, or an errno negated. */
static long write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        long written = ARN__SYSTEM_CALL(SYS_write, fd, text, bytes);
        if (written == -EINTR)
            continue;
        if (written <= 0)
            return written;
        text += written;
        bytes -= (size_t)written;
    }
    return 0;
}

void arn__os_write(int fd, const char *text, size_t bytes)
{
    write_all(fd, text, bytes);
}

void arn__os_write_quietly(int fd, const char *text, size_t bytes)
{
    const uint64_t pipe_signal = (uint64_t)1 << (SIGPIPE - 1);
    const struct timespec at_once = {0, 0};
    uint64_t blocked = 0;
    bool asked = ARN__SYSTEM_CALL(SYS_rt_sigprocmask, SIG_BLOCK, &pipe_signal, &blocked,
                                  sizeof blocked) == 0;
    long answer = write_all(fd, text, bytes);
    if (!asked || (blocked & pipe_signal) != 0)
        return;
    if (answer == -EPIPE)
        ARN__SYSTEM_CALL(SYS_rt_sigtimedwait, &pipe_signal, NULL, &at_once, sizeof pipe_signal);
    ARN__SYSTEM_CALL(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof blocked);
}

bool arn__os_file(int fd, struct os_file *file)
{
    struct stat status;
    /* What has no type (eventfd and the like) shares its number with all others of its kind. */
    if (ARN__SYSTEM_CALL(SYS_fstat, fd, &status) != 0 || (status.st_mode & S_IFMT) == 0)
        return false;
    *file = (struct os_file){status.st_dev, status.st_ino, S_ISREG(status.st_mode)};
    return true;
}

uint64_t arn__os_birth_ns(int fd)
{
    struct statx status;
    if (ARN__SYSTEM_CALL(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BTIME, &status) != 0 ||
        (status.stx_mask & STATX_BTIME) == 0)
        return 0;
    return (uint64_t)status.stx_btime.tv_sec * 1000000000 + status.stx_btime.tv_nsec;
}

int arn__os_duplicate(int fd, int least)
{
    long answer = ARN__SYSTEM_CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, least);
    return is_error(answer) ? -1 : (int)answer;
}

const char *arn__os_program(void)
{
    return program_invocation_short_name;
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
