/* start_cost.c - at most four calls for memory come before the first block: a reservation; access to the part of it
 * that is between guards; huge pages for one page of it alone (they would cost a small process megabytes); and the
 * page that is wiped in children. Kernels before 6.7 take one more, for a page from which memory without huge pages
 * grows.
 *
 * A program that asks for one block is started with and without the library, and its system calls
 * are counted up to the end of main. (The dynamic linker's own: files, and places that it fixes.)
 */
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "self.h"

struct counts {
    unsigned maps;  /* anonymous, anywhere */
    unsigned other; /* madvise; mprotect or munmap of such */
    unsigned opened;
    unsigned copied; /* descriptors; nobody asks for statistics at exit */
};

/* Where the maps went: a call about other memory is the dynamic linker's. */
static uint64_t map_starts[64], map_ends[64];

static int is_about_a_map(uint64_t address, const struct counts *counts)
{
    for (unsigned i = 0; i < counts->maps && i < 64; i++) {
        if (address >= map_starts[i] && address < map_ends[i])
            return 1;
    }
    return 0;
}

static void count_call(const struct __ptrace_syscall_info *entry, struct counts *counts)
{
    const uint64_t *arguments = (const uint64_t *)entry->entry.args;
    switch (entry->entry.nr) {
    case SYS_mmap:
        if ((int)arguments[4] == -1 && (arguments[3] & MAP_FIXED) == 0)
            counts->maps++;
        break;
    case SYS_madvise: /* the dynamic linker's is none */
        counts->other++;
        break;
    case SYS_mprotect:
    case SYS_munmap:
        counts->other += is_about_a_map(arguments[0], counts);
        break;
    case SYS_openat:
        counts->opened++;
        break;
    case SYS_fcntl:
    case SYS_statx:
        counts->copied++;
        break;
    default:
        break;
    }
}

static void note_result(const struct __ptrace_syscall_info *entry, int64_t result,
                        const struct counts *counts)
{
    const uint64_t *arguments = (const uint64_t *)entry->entry.args;
    if (entry->op == PTRACE_SYSCALL_INFO_ENTRY && entry->entry.nr == SYS_mmap &&
        (int)arguments[4] == -1 && (arguments[3] & MAP_FIXED) == 0 && counts->maps <= 64) {
        map_starts[counts->maps - 1] = (uint64_t)result;
        map_ends[counts->maps - 1] = (uint64_t)result + arguments[1];
    }
}

static struct counts trace(const char *mode, const char *preload)
{
    struct counts counts = {0, 0, 0, 0};
    struct __ptrace_syscall_info entry = {0}, info;
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (preload != NULL)
            setenv("LD_PRELOAD", preload, 1);
        else
            unsetenv("LD_PRELOAD");
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(77);
        execl("/proc/self/exe", "again", mode, NULL);
        _exit(127);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status))
        SKIP("tracing is not permitted");
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
        SKIP("tracing is not permitted");
    for (;;) {
        CHECK(ptrace(PTRACE_SYSCALL, child, NULL, NULL) == 0);
        CHECK(waitpid(child, &status, 0) == child);
        if (WIFEXITED(status))
            break;
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
        if (ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info) <= 0)
            SKIP("the kernel does not tell of system calls");
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
            entry = info;
            count_call(&entry, &counts);
        } else {
            note_result(&entry, info.exit.rval, &counts);
        }
    }
    CHECK(WEXITSTATUS(status) == 0);
    return counts;
}

static int again(const char *mode)
{
    if (strcmp(mode, "one block") == 0) {
        void *volatile block = malloc(100);
        _exit(block == NULL);
    }
    _exit(0);
}

static unsigned most_calls(void)
{
    struct utsname kernel;
    unsigned major = 0, minor = 0;
    CHECK(uname(&kernel) == 0 && sscanf(kernel.release, "%u.%u", &major, &minor) == 2);
    return major > 6 || (major == 6 && minor >= 7) ? 4 : 5;
}

int main(int count, char **arguments)
{
    const char *preload = getenv("LD_PRELOAD");
    struct counts none, one;
    if (count > 1)
        return again(arguments[1]);
    if (emulated())
        SKIP("the emulator traces nothing");
    if (program_is_preloaded()) {
        none = trace("one block", NULL);
        one = trace("one block", preload);
        one.opened--; /* the library's file */
    } else {
        none = trace("no block", NULL);
        one = trace("one block", NULL);
    }
    if (one.maps + one.other <= none.maps + none.other + most_calls() &&
        one.opened == none.opened && one.copied == none.copied)
        return 0;
    dprintf(
        2, "maps: %u without, %u with; other calls: %u, %u; files opened: %u, %u; copied: %u, %u\n",
        none.maps, one.maps, none.other, one.other, none.opened, one.opened, none.copied,
        one.copied);
    return 1;
}
