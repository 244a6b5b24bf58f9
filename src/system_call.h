/* system_call.h - a system call by the machine's own instruction.
 *
 * libc's wrappers are names that any library may replace: preloads that trace, redirect or forbid
 * calls export `syscall`, `mmap`, `madvise` and others, take locks in them, and allocate. The
 * allocator must not come back to itself through them, so it asks the kernel directly.
 */
#ifndef ARENITE_SYSTEM_CALL_H
#define ARENITE_SYSTEM_CALL_H

#include <sys/syscall.h>

/* What the kernel answers: -1 to -4095 is an errno, negated. errno itself is left alone. */
static inline long arn__system_call(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    long answer;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return answer;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#else
#error "system_call.h: the instruction of this machine is not known"
#endif
}

/* A sanitizer has to see memory come and go: libc's functions, which it watches. */
#if !defined(__has_feature)
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#include <errno.h>
#include <sys/mman.h>
static inline long arn__watched_call(long number, long a, long b, long c, long d, long e, long f)
{
    int saved = errno;
    long answer;
    if (number == SYS_mmap)
        answer = (long)mmap((void *)a, (size_t)b, (int)c, (int)d, (int)e, f);
    else if (number == SYS_munmap)
        answer = munmap((void *)a, (size_t)b);
    else
        return arn__system_call(number, a, b, c, d, e, f);
    if (answer == -1)
        answer = -errno;
    errno = saved;
    return answer;
}
#define arn__system_call arn__watched_call
#endif

/* With as many arguments as the call has, each a number or a pointer. */
#define ARN__SYSTEM_CALL(...) ARN__CALL_PICK(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)(__VA_ARGS__)
#define ARN__CALL_PICK(number, a, b, c, d, e, f, count, ...) ARN__CALL_##count
#define ARN__CALL_6(n, a, b, c, d, e, f) \
    arn__system_call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define ARN__CALL_5(n, a, b, c, d, e) ARN__CALL_6(n, a, b, c, d, e, 0)
#define ARN__CALL_4(n, a, b, c, d) ARN__CALL_5(n, a, b, c, d, 0)
#define ARN__CALL_3(n, a, b, c) ARN__CALL_4(n, a, b, c, 0)
#define ARN__CALL_2(n, a, b) ARN__CALL_3(n, a, b, 0)
#define ARN__CALL_1(n, a) ARN__CALL_2(n, a, 0)
#define ARN__CALL_0(n) ARN__CALL_1(n, 0)

#endif
