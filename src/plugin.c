/* plugin.c - dlopen and dlmopen without RTLD_DEEPBIND, so that plug-ins find this malloc.
 *
 * The flag has a plug-in, and what it needs, look for names among themselves before they look in the program:
 * it calls libc's free then, with blocks that libc's strdup got from here. Without the flag it finds what
 * everybody finds. What it loses, see arenite(7); so there is an option to keep it.
 *
 * libc's dlopen looks at its caller, for $ORIGIN, run paths and the namespace. So these do not call it but
 * jump to it, with the return address that they found: assembly, for no compiler promises that.
 *
 * A static program has no plug-ins: without dlsym, which weak references do not bring, these open nothing. */
#include <arenite/arenite.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

#include "interpose.h"
#include "options.h"
#include "thread.h"

/* Before glibc 2.34 another library has it, which comes with whoever calls dlopen. */
extern void *late_dlsym(void *, const char *) __asm__("dlsym") __attribute__((weak));

enum opener { DLOPEN, DLMOPEN, OPENERS };

static void *nowhere(void)
{
    return NULL;
}

/* libc's, or that of whoever comes between. Found at the first call: a constructor may make it before those of
 * this library could run, which has none. dlsym takes no lock of ours, and allocates at most an error. */
static void *next(enum opener which)
{
    static const char *const names[] = {"dlopen", "dlmopen"};
    static void *_Atomic found[OPENERS];
    void *function = atomic_load_explicit(&found[which], memory_order_relaxed);
    if (function == NULL && late_dlsym != NULL) {
        function = late_dlsym(RTLD_NEXT, names[which]);
        atomic_store_explicit(&found[which], function, memory_order_relaxed);
    }
    return function == NULL ? (void *)nowhere : function;
}

/* What plug-ins allocate by libc would meet blocks of ours: not if another's malloc is in force, and nothing
 * came from here. A new namespace has a libc and a malloc of its own, and nothing of ours in it. */
static int flags_of(long namespace, int flags)
{
    if ((flags & RTLD_DEEPBIND) == 0 || namespace != LM_ID_BASE)
        return flags;
    arn__thread_read_options();
    if (arn__options.deepbind == DEEPBIND_KEEP ||
        !(arn__interpose_has_malloc() || arn__thread_has_started()))
        return flags;
    return flags & ~RTLD_DEEPBIND;
}

/* In two registers. */
struct jump {
    void *target;
    long flags;
};

/* Where to go on, and with which flags. */
__attribute__((used)) struct jump arn__plugin_dlopen(const char *file, int flags);
struct jump arn__plugin_dlopen(const char *file, int flags)
{
    (void)file;
    return (struct jump){next(DLOPEN), flags_of(LM_ID_BASE, flags)};
}

__attribute__((used)) struct jump arn__plugin_dlmopen(long namespace, const char *file, int flags);
struct jump arn__plugin_dlmopen(long namespace, const char *file, int flags)
{
    (void)file;
    return (struct jump){next(DLMOPEN), flags_of(namespace, flags)};
}

/* NAME: keeps its three arguments, asks arn__plugin_NAME, puts the flags back into the FLAGS register, and
 * jumps. */
#if defined(__x86_64__)
#define OPENER(name, flags)                          \
    __asm__(".text\n"                                \
            ".globl " name "\n"                      \
            ".type " name ", @function\n" name ":\n" \
            ".cfi_startproc\n"                       \
            "endbr64\n"                              \
            "push %rdi\n"                            \
            ".cfi_adjust_cfa_offset 8\n"             \
            "push %rsi\n"                            \
            ".cfi_adjust_cfa_offset 8\n"             \
            "push %rdx\n" /* the stack is aligned */ \
            ".cfi_adjust_cfa_offset 8\n"             \
            "call arn__plugin_" name "\n"            \
            "mov %rdx, %rcx\n"                       \
            "pop %rdx\n"                             \
            ".cfi_adjust_cfa_offset -8\n"            \
            "pop %rsi\n"                             \
            ".cfi_adjust_cfa_offset -8\n"            \
            "pop %rdi\n"                             \
            ".cfi_adjust_cfa_offset -8\n"            \
            "mov %ecx, " flags "\n"                  \
            "jmp *%rax\n"                            \
            ".cfi_endproc\n"                         \
            ".size " name ", . - " name "\n")
OPENER("dlopen", "%esi");
OPENER("dlmopen", "%edx");
#elif defined(__aarch64__)
#define OPENER(name, flags)               \
    __asm__(".text\n"                     \
            ".globl " name "\n"           \
            ".type " name ", %function\n" \
            ".p2align 2\n" name ":\n"     \
            ".cfi_startproc\n"            \
            "hint #34\n" /* bti c */      \
            "stp x29, x30, [sp, #-48]!\n" \
            ".cfi_def_cfa_offset 48\n"    \
            ".cfi_offset x29, -48\n"      \
            ".cfi_offset x30, -40\n"      \
            "stp x0, x1, [sp, #16]\n"     \
            "str x2, [sp, #32]\n"         \
            "bl arn__plugin_" name "\n"   \
            "mov x16, x0\n"               \
            "mov x17, x1\n"               \
            "ldp x0, x1, [sp, #16]\n"     \
            "ldr x2, [sp, #32]\n"         \
            "ldp x29, x30, [sp], #48\n"   \
            ".cfi_restore x29\n"          \
            ".cfi_restore x30\n"          \
            ".cfi_def_cfa_offset 0\n"     \
            "mov " flags ", w17\n"        \
            "br x16\n"                    \
            ".cfi_endproc\n"              \
            ".size " name ", . - " name "\n")
OPENER("dlopen", "w1");
OPENER("dlmopen", "w2");
#endif
