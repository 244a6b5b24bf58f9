/* tracing.cc - <arenite/trace.h> in a whole C++ program: malloc and its like, new and delete, what the C and
 * C++ libraries allocate, threads, forks, signal handlers.
 */
#include <arenite/trace.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <atomic>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "program.h"

/* There only if arenite is the program's malloc. */
#define WEAK(name) extern "C" __typeof__(name) name __attribute__((weak))
WEAK(arn_trace_start);
WEAK(arn_trace_stop);
WEAK(arn_trace_get_traced);
WEAK(arn_trace_traceback);
WEAK(arn_trace_snapshot);
WEAK(arn_trace_release);
WEAK(arn_trace_print);
WEAK(arn_trace_get_lost);

enum { FRAMES = 8 };

static size_t current()
{
    size_t bytes;
    arn_trace_get_traced(&bytes, nullptr);
    return bytes;
}

/* The program's call of this function is the innermost frame, or one of the first: libraries are callers, too. */
template <class Function> static bool comes_from(const void *block, Function *function, size_t most)
{
    void *frames[FRAMES];
    size_t count = arn_trace_traceback(block, frames, FRAMES);
    for (size_t i = 0; i < count && i < most; i++) {
        uintptr_t offset =
            reinterpret_cast<uintptr_t>(frames[i]) - reinterpret_cast<uintptr_t>(function);
        if (offset > 0 && offset < 300)
            return true;
    }
    return false;
}

#define SITE(name, result, call)                        \
    __attribute__((noinline)) static result name()      \
    {                                                   \
        result made = call;                             \
        __asm__ volatile("" : "+r"(made) : : "memory"); \
        return made;                                    \
    }

struct alignas(128) wide {
    char bytes[128];
};

static void *aligned()
{
    void *block = nullptr;
    return posix_memalign(&block, 256, 100) == 0 ? block : nullptr;
}

SITE(by_malloc, void *, malloc(40))
SITE(by_calloc, void *, calloc(3, 40))
SITE(by_realloc, void *, realloc(malloc(100), 100000))
SITE(by_large, void *, malloc(size_t(50) << 20))
SITE(by_aligned_alloc, void *, aligned_alloc(64, 64))
SITE(by_posix_memalign, void *, aligned())
SITE(by_new, int *, new int(1))
SITE(by_new_array, int *, new int[100])
SITE(by_new_nothrow, int *, new (std::nothrow) int(1))
SITE(by_new_aligned, wide *, new wide)
SITE(by_strdup, char *, strdup("text"))

/* Each traced to its site, and not when it is gone. */
static void blocks()
{
    size_t before = current();
#define TRIED(site, most, give_back)                       \
    do {                                                   \
        auto *made = site();                               \
        void *volatile gone = made;                        \
        CHECK(made != nullptr);                            \
        CHECK(comes_from(made, site, most));               \
        give_back;                                         \
        CHECK(arn_trace_traceback(gone, nullptr, 0) == 0); \
        CHECK(current() == before);                        \
    } while (0)
    TRIED(by_malloc, 1, free(made));
    TRIED(by_calloc, 1, free(made));
    TRIED(by_realloc, 1, free(made));
    TRIED(by_large, 1, free(made));
    TRIED(by_aligned_alloc, 1, free(made));
    TRIED(by_posix_memalign, 2, free(made));
    TRIED(by_new, 1, delete made);
    TRIED(by_new_array, 1, delete[] made);
    TRIED(by_new_nothrow, 1, delete made);
    TRIED(by_new_aligned, 1, delete made);
    TRIED(by_strdup, 2, free(made)); /* libc's strdup is the first */
}

static void containers()
{
    size_t before = current();
    {
        std::map<int, std::string> map;
        for (int i = 0; i < 1000; i++)
            map[i] = std::string(size_t(i), 'x');
        CHECK(current() > before + 500000);
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; i++)
            threads.emplace_back([] {
                for (int j = 0; j < 2000; j++)
                    std::string(size_t(j), 'y').append(100, 'z');
            });
        for (auto &thread : threads)
            thread.join();
    }
    CHECK(current() < before + 10000); /* a thread's storage may be kept by libc */
}

/* A handler that allocates, wherever the program is: in the unwinder, in the table, outside. */
static std::atomic<int> handled;

static void handle(int)
{
    static void *kept;
    free(kept);
    kept = malloc(size_t(handled % 5) * 9000 + 10);
    handled++;
}

static void handlers()
{
    struct sigaction action = {};
    action.sa_handler = handle;
    sigaction(SIGALRM, &action, nullptr);
    /* One at a time: on a slow machine they could leave the program no time between them. */
    const struct itimerval once = {{0, 0}, {0, 300}};
    for (int sent = 0; handled < 300;) {
        if (sent == handled) {
            sent++;
            setitimer(ITIMER_REAL, &once, nullptr);
        }
        void *large = malloc(100000), *small = calloc(1, 3000);
        large = realloc(large, 300000);
        free(large);
        free(small);
    }
}

static void forks()
{
    void *kept = by_malloc();
    pid_t child = fork();
    if (child == 0) {
        CHECK(comes_from(kept, by_malloc, 1));
        size_t before = current();
        free(kept);
        CHECK(current() == before - 48);
        blocks();
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(comes_from(kept, by_malloc, 1));
    free(kept);
}

int main()
{
    if (arn_trace_start == nullptr && program_is_static())
        SKIP("an archive gives what is asked for, and weak references ask for nothing");
    CHECK(arn_trace_start != nullptr);
    for (int round = 0; round < 2; round++) {
        CHECK(arn_trace_start(FRAMES, ARN_TRACE_BLOCKS) == 0);
        CHECK(current() == 0);
        blocks();
        containers();
        forks();
        CHECK(arn_trace_get_lost() == 0);
        handled = 0;
        handlers();
        arn_snapshot *snapshot = arn_trace_snapshot();
        CHECK(arn_trace_print(snapshot, ARN_TRACE_BY_SITE, 3, 1) == 0);
        arn_trace_release(snapshot);
        arn_trace_stop();
    }
    return 0;
}
