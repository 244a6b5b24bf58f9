/* cxx_library.c - a program without C++ loads a C++ library late, or has libc++ for one; operator new
 * throws as that library does. */
#include <dlfcn.h>
#include <stdint.h>

#include "self.h"

#ifdef __LP64__
#define OPERATOR_NEW "_Znwm"
#endif

static void terminated(void)
{
    _exit(42);
}

/* An exception that nobody catches ends in the terminate handler: proof that it was thrown. */
static void throw_through(const char *library, int flags)
{
    void *handle = dlopen(library, RTLD_NOW | flags);
    if (handle == NULL)
        _exit(77);
    void (*(*set_terminate)(void (*)(void)))(void) =
        (void (*(*)(void (*)(void)))(void))dlsym(handle, "_ZSt13set_terminatePFvvE");
    void *(*operator_new)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, OPERATOR_NEW);
    void *(*nothrow_new)(size_t, const char *) =
        (void *(*)(size_t, const char *))dlsym(RTLD_DEFAULT, "_ZnwmRKSt9nothrow_t");
    CHECK(set_terminate != NULL && operator_new != NULL && nothrow_new != NULL);
    char *block = operator_new(100);
    memset(block, 1, 100);
    free(block);
    CHECK(nothrow_new(PTRDIFF_MAX, "") == NULL);
    set_terminate(terminated);
    operator_new(PTRDIFF_MAX);
    _exit(3); /* it returned */
}

static int status_of(const char *library, int flags)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        throw_through(library, flags);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void late(const char *library)
{
    int status = status_of(library, RTLD_GLOBAL);
    CHECK(status == 42 || status == 77);
    status = status_of(library, RTLD_LOCAL);
    CHECK(status == 42 || status == 77);
}

/* As if the program had been linked with the library. */
static void from_the_start(const char *library)
{
    struct said said;
    const char *preload = getenv("LD_PRELOAD");
    char both[4096];
    snprintf(both, sizeof both, "%s%s%s", preload != NULL ? preload : "",
             preload != NULL ? ":" : "", library);
    run_again(&said, library, "LD_PRELOAD", both);
    CHECK(WIFEXITED(said.status));
    if (strstr(said.text, "cannot be preloaded") == NULL)
        CHECK(WEXITSTATUS(said.status) == 42);
}

int main(int count, char **arguments)
{
    if (count > 1)
        throw_through(arguments[1], RTLD_GLOBAL);
    if (!program_is_preloaded())
        SKIP("only a preloaded library is in front of another's operator new");
    late("libstdc++.so.6");
    late("libc++.so.1");
    from_the_start("libstdc++.so.6");
    from_the_start("libc++.so.1");
    return 0;
}
