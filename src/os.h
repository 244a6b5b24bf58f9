/* os.h - everything asked of the kernel.
 *
 * The only layer with system calls. Each wrapper preserves errno, reports failure as NULL or false,
 * and knows the older way where a kernel or a seccomp filter refuses the newer call. Tests make the
 * n-th call fail through arn__os_fail_at.
 */
#ifndef ARENITE_OS_H
#define ARENITE_OS_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of a user-space address; beyond them no pointer is ours. */
#if defined(__x86_64__)
enum { ARN__ADDRESS_BITS = 47 };
#else
enum { ARN__ADDRESS_BITS = 48 };
#endif

/* For large variables of zeros that few programs touch: linkers lay common symbols behind all others, which are on
 * fewer pages then. Not for static ones. */
#define ARN__LAID_LAST __attribute__((common, visibility("hidden")))

/* No block is this large, whatever is given back for it. */
#define ARN__ADDRESS_SPACE_BYTES ((size_t)1 << ARN__ADDRESS_BITS)

/* No OS page is larger. */
#if defined(__x86_64__)
enum { ARN__PAGE_BYTES_MOST = 4096 };
#else
enum { ARN__PAGE_BYTES_MOST = 65536 };
#endif

/* Calls counted since arn__os_fail_at was set; those from `first` to `last` fail. */
struct os_failure {
    _Atomic long calls; /* calls made, counted only while `first` is not 0 */
    _Atomic long first; /* first call (from 1) that fails; 0: none */
    _Atomic long last;  /* last call that fails */
};
extern struct os_failure arn__os_failure;

/* From the next call on, calls number first..last fail with ENOMEM; first = 0 ends it. */
void arn__os_fail_at(long first, long last);

/* Bytes of an OS page: 4, 16 or 64 KiB. */
size_t arn__os_page_bytes(void);

/* Readable and writable zero pages; NULL when there are none. */
void *arn__os_map(size_t bytes);

/* As arn__os_map, but at a multiple of `alignment` (a power of two). */
void *arn__os_map_aligned(size_t bytes, size_t alignment);

/* Address space only, at a multiple of `alignment`: no access, no commit charge, and no huge pages when
 * it is opened, if the kernel goes by MAP_STACK (since Linux 6.7: arn__os_stacks_are_small). */
void *arn__os_reserve(size_t bytes, size_t alignment);
bool arn__os_stacks_are_small(void);

/* The same at this place, or where the kernel likes if something lies there, or if the place is NULL. */
void *arn__os_reserve_near(void *place, size_t bytes);

/* Where the dynamic linker begins; 0: there is none, or the program does not know. */
uintptr_t arn__os_linker(void);

/* A seed is a page that was once told what pages the memory is to have that is grown from it. A system
 * call filter may forbid the advice itself by then: a mapping that grows keeps what it was told.
 * Under a lock of the caller's. */
struct os_seed {
    char *page; /* NULL: there is none (any more), and what is asked for is refused */
};

/* Makes a page without access, which nothing else is in, the seed of huge pages, or of small ones only. */
void arn__os_sow(struct os_seed *seed, void *page, bool huge);

/* Memory grown from a seed, at a multiple of `alignment`: without access, until it is opened. NULL: none, or no
 * such advice. */
void *arn__os_grow(struct os_seed *seed, size_t bytes, size_t alignment);

/* Puts such memory in place of reserved pages that were never opened, and opens it. */
enum os_grown {
    OS_GROWN,
    OS_REFUSED, /* they are as they were */
    OS_LOST,    /* they may be another thread's mapping by now: not to be touched any more */
};
enum os_grown arn__os_grow_at(struct os_seed *seed, void *start, size_t bytes);

/* Whether the word, anywhere, has this value: the kernel reads it, so that a page that cannot be read does no
 * harm. False also where the kernel refuses. */
bool arn__os_word_is(const void *word, uint32_t value);

/* Whether the page of this word can be read, as far as the kernel tells. */
bool arn__os_readable(const void *word);

/* Makes reserved pages readable and writable. They were never written: where the kernel does not let
 * protection be changed, zero pages take their place. */
bool arn__os_open(void *start, size_t bytes);

/* The reverse: no access, and the pages go back, unless they are locked. False: they can still be accessed. */
bool arn__os_close(void *start, size_t bytes);

/* Inaccessible pages in place of these, as arn__os_reserve_near reserves them. False: these stay. */
bool arn__os_reserve_over(void *start, size_t bytes);

bool arn__os_unmap(void *start, size_t bytes);

/* Gives the pages back; they read as zero afterwards. False: the contents stay as they were. */
bool arn__os_purge(void *start, size_t bytes);

/* Grows or shrinks a mapping where it is. */
bool arn__os_resize(void *start, size_t old_bytes, size_t new_bytes);

/* Moves a mapping's pages onto a reserved range and grows it. False leaves the mapping as it was; the
 * range is not the caller's any more. */
bool arn__os_move(void *start, size_t old_bytes, size_t new_bytes, void *target);

/* Huge pages for this range, where the kernel has them. A hint: no answer. Not late in a process's life,
 * but where its user asks for it: see struct os_seed. */
void arn__os_huge(void *start, size_t bytes, bool wanted);

/* The page reads as zero in every child, however it was forked. */
bool arn__os_wipe_on_fork(void *start, size_t bytes);

/* The lower one of RLIMIT_AS and RLIMIT_DATA: SIZE_MAX where there is neither. */
size_t arn__os_memory_limit(void);

/* A moment's wait for another processor. */
static inline void arn__os_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* Milliseconds of a monotonic clock, coarse. */
uint32_t arn__os_now_ms(void);

/* Nanoseconds of a monotonic clock. */
uint64_t arn__os_now_ns(void);

/* The calling thread's number, and the process's: that of its first thread; in a forked child, of the thread
 * that forked. */
int arn__os_thread(void);
int arn__os_process(void);

/* Every thread of the process has come by a memory barrier, at some point between the call and its end. False:
 * the kernel refuses. */
bool arn__os_barrier(void);

/* Sleeps while *word == value (may return early); wakes so many sleepers. */
void arn__os_wait(_Atomic uint32_t *word, uint32_t value);
void arn__os_wait_briefly(_Atomic uint32_t *word, uint32_t value); /* for some milliseconds at most */
void arn__os_wake(_Atomic uint32_t *word, int sleepers);

/* Bytes to a file descriptor, through interruptions; nothing can be done about a failure. */
void arn__os_write(int fd, const char *text, size_t bytes);

/* The same, without SIGPIPE from a pipe or socket that nobody reads. */
void arn__os_write_quietly(int fd, const char *text, size_t bytes);

/* Which file a descriptor leads to. */
struct os_file {
    uint64_t device, number;
    bool regular; /* when it is removed and closed, a new file may get its number */
};

/* False: the descriptor leads to none, or to one that has no number of its own, or the kernel refuses to tell. */
bool arn__os_file(int fd, struct os_file *file);

/* When the file was made; 0: not known. */
uint64_t arn__os_birth_ns(int fd);

/* A second descriptor for the same file, numbered `least` or more, which execve closes; -1: none. */
int arn__os_duplicate(int fd, int least);

/* What becomes of a signal, as the kernel has it: libc's sigaction may be another library's. */
struct os_action {
    void (*handler)(int signal, siginfo_t *info, void *context);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

/* `handler` for the signal, on the thread's signal stack if it has one. `old`: what was there. */
bool arn__os_handle(int signal, void (*handler)(int, siginfo_t *, void *), struct os_action *old);
void arn__os_handle_again(int signal, const struct os_action *old);

/* To the calling thread. */
void arn__os_raise(int signal);

/* What a handler's context tells of the instruction that was interrupted: where it is, and whether it wrote. */
struct os_access {
    void *instruction;
    enum { OS_ACCESS, OS_READ, OS_WRITE } kind; /* OS_ACCESS: not known */
};
struct os_access arn__os_access(const void *context);

/* The name that the program was started by, without its directory. The program may write over it;
 * empty or NULL: libc has none yet, or none at all. */
const char *arn__os_program(void);

/* The variable's value; NULL if unset, in set-uid programs, and before libc has an environment. */
const char *arn__os_environment(const char *name, bool *known);

_Noreturn void arn__os_abort(void);

#endif
