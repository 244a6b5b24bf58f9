/* interposition.c - every way to a block leads to arenite, and every block can be freed there. */
#include <dirent.h>
#include <dlfcn.h>
#include <locale.h>
#include <search.h>
#include <stdint.h>
#include <wchar.h>

#include "blocks.h"
#include "self.h"

void *__libc_malloc(size_t bytes);
void __libc_free(void *block);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void *__libc_valloc(size_t bytes);
void *__libc_pvalloc(size_t bytes);

/* Weak: libc, which the preloaded program is linked with, lacks these. */
extern void free_sized(void *block, size_t bytes) __attribute__((weak));
extern void free_aligned_sized(void *block, size_t alignment, size_t bytes) __attribute__((weak));
extern void cfree(void *block) __attribute__((weak));
extern size_t arn_malloc_usable_size(void *block) __attribute__((weak));
extern void arn_free(void *block) __attribute__((weak));

/* arenite's own look at the block: another malloc's would end the process here. */
static void check(void *block, size_t bytes)
{
    CHECK(block != NULL);
    CHECK((uintptr_t)block % 16 == 0);
    CHECK(malloc_usable_size(block) >= bytes);
    CHECK(arn_malloc_usable_size(block) == malloc_usable_size(block));
}

static void check_string(char *text)
{
    check(text, strlen(text) + 1);
    free(text);
}

static const size_t sizes[] = {0,    1,     8,     16,    17,     100,     1000,    1024,
                               1025, 10000, 32768, 32769, 200000, 1000000, 5000000, 40 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void every_name(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *block = malloc(bytes);
    check(block, bytes);
    free(block);
    block = calloc(3, bytes);
    check(block, 3 * bytes);
    CHECK((block = realloc(block, bytes + 1)) != NULL);
    check(block, bytes + 1);
    CHECK((block = reallocarray(block, 2, bytes + 1)) != NULL);
    check(block, 2 * (bytes + 1));
    free_sized(block, 2 * (bytes + 1));
    for (size_t alignment = 8; alignment <= 1 << 22; alignment *= 8) {
        block = aligned_alloc(alignment, bytes);
        check(block, bytes);
        CHECK((uintptr_t)block % alignment == 0);
        free_aligned_sized(block, alignment, bytes);
        CHECK(posix_memalign(&block, alignment, bytes) == 0);
        check(block, bytes);
        CHECK((uintptr_t)block % alignment == 0);
        cfree(block);
        block = memalign(alignment, bytes);
        check(block, bytes);
        CHECK((uintptr_t)block % alignment == 0);
        free(block);
        block = __libc_memalign(alignment, bytes);
        check(block, bytes);
        CHECK((uintptr_t)block % alignment == 0);
        __libc_free(block);
    }
    block = valloc(bytes);
    check(block, bytes);
    CHECK((uintptr_t)block % page == 0);
    free(block);
    block = pvalloc(bytes);
    check(block, (bytes + page - 1) & ~(page - 1));
    CHECK((uintptr_t)block % page == 0);
    free(block);
    block = __libc_malloc(bytes);
    check(block, bytes);
    CHECK((block = __libc_realloc(block, bytes + 100)) != NULL);
    check(block, bytes + 100);
    __libc_free(block);
    block = __libc_calloc(1, bytes);
    check(block, bytes);
    free(block);
    block = __libc_valloc(bytes);
    check(block, bytes);
    free(block);
    block = __libc_pvalloc(bytes);
    check(block, bytes);
    arn_free(block);
}

static void blocks_of_libc(void)
{
    check_string(strdup("a string"));
    check_string(strndup("another string", 7));
    char *text = NULL;
    CHECK(asprintf(&text, "%s %d", "formatted", 12345) > 0);
    check_string(text);
    check_string(realpath("/", NULL));
    check_string(getcwd(NULL, 0));
    wchar_t *wide = wcsdup(L"wide");
    check(wide, 5 * sizeof *wide);
    free(wide);

    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen("/etc/passwd", "r");
    check(file, sizeof *file);
    while (getline(&line, &capacity, file) > 0)
        check(line, capacity);
    CHECK(fclose(file) == 0);
    free(line);

    size_t written = 0;
    file = open_memstream(&text, &written);
    CHECK(file != NULL);
    for (int i = 0; i < 10000; i++)
        fprintf(file, "%d ", i);
    CHECK(fclose(file) == 0);
    CHECK(strlen(text) == written);
    check_string(text);

    DIR *directory = opendir("/");
    check(directory, 1);
    while (readdir(directory) != NULL)
        ;
    CHECK(closedir(directory) == 0);

    struct dirent **names;
    int count = scandir("/", &names, NULL, alphasort);
    CHECK(count > 0);
    check(names, (size_t)count * sizeof *names);
    while (count-- > 0) {
        check(names[count], 1);
        free(names[count]);
    }
    free(names);
    CHECK(setenv("A_NAME", "a value", 1) == 0);
    CHECK(unsetenv("A_NAME") == 0);
    setlocale(LC_ALL, "C.UTF-8");
    setlocale(LC_ALL, "C");
}

/* Each name leads into one object, and that is not libc. */
static void every_symbol(void)
{
    static const char *const names[] = {
        "malloc",
        "free",
        "calloc",
        "realloc",
        "reallocarray",
        "aligned_alloc",
        "posix_memalign",
        "memalign",
        "valloc",
        "pvalloc",
        "cfree",
        "free_sized",
        "free_aligned_sized",
        "malloc_usable_size",
        "mallinfo",
        "mallinfo2",
        "mallopt",
        "malloc_trim",
        "malloc_stats",
        "malloc_info",
        "__libc_malloc",
        "__libc_free",
        "__libc_calloc",
        "__libc_realloc",
        "__libc_memalign",
        "__libc_valloc",
        "__libc_pvalloc",
        "_Znwm",
        "_Znam",
        "_ZnwmRKSt9nothrow_t",
        "_ZnamRKSt9nothrow_t",
        "_ZnwmSt11align_val_t",
        "_ZnamSt11align_val_t",
        "_ZnwmSt11align_val_tRKSt9nothrow_t",
        "_ZnamSt11align_val_tRKSt9nothrow_t",
        "_ZdlPv",
        "_ZdaPv",
        "_ZdlPvRKSt9nothrow_t",
        "_ZdaPvRKSt9nothrow_t",
        "_ZdlPvm",
        "_ZdaPvm",
        "_ZdlPvSt11align_val_t",
        "_ZdaPvSt11align_val_t",
        "_ZdlPvmSt11align_val_t",
        "_ZdaPvmSt11align_val_t",
        "_ZdlPvSt11align_val_tRKSt9nothrow_t",
        "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    };
    Dl_info ours;
    CHECK(dladdr(dlsym(RTLD_DEFAULT, "arn_malloc"), &ours) != 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Dl_info info = {0};
        void *symbol = dlsym(RTLD_DEFAULT, names[i]);
        if (symbol == NULL || dladdr(symbol, &info) == 0 || info.dli_fbase != ours.dli_fbase) {
            dprintf(2, "%s is in %s\n", names[i], symbol == NULL ? "nothing" : info.dli_fname);
            _exit(1);
        }
    }
}

/* Sizes that a compiler would warn of. */
static volatile size_t most = SIZE_MAX;

static void errors(void)
{
    void *untouched = &untouched;
    errno = 0;
    CHECK(malloc(most / 2 + 1) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(malloc(most) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(most / 2, 3) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(realloc(NULL, most - 4096) == NULL && errno == ENOMEM);
    void *block = malloc(10);
    errno = 0;
    CHECK(reallocarray(block, most / 4, 5) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(realloc(block, most / 2) == NULL && errno == ENOMEM);
    errno = EDOM;
    free(block);
    CHECK(errno == EDOM);
    CHECK(posix_memalign(&untouched, 24, 10) == EINVAL);
    CHECK(posix_memalign(&untouched, 4, 10) == EINVAL);
    CHECK(posix_memalign(&untouched, 0, 10) == EINVAL);
    CHECK(errno == EDOM);
    CHECK(posix_memalign(&untouched, 64, PTRDIFF_MAX) == ENOMEM);
    CHECK(errno == ENOMEM && untouched == &untouched); /* as glibc leaves it */
    errno = EDOM;
    CHECK(posix_memalign(&block, 64, 100) == 0 && errno == EDOM);
    free(block);
    errno = 0;
    volatile size_t no_power = 48; /* volatile: compilers know better than to try */
    CHECK(aligned_alloc(no_power, 100) == NULL && errno == EINVAL);
    errno = 0;
    CHECK(pvalloc(most - 100) == NULL && errno == ENOMEM);
    CHECK((block = memalign((size_t)1 << 30, 100)) != NULL);
    CHECK((uintptr_t)block % ((size_t)1 << 30) == 0);
    free(block);
    CHECK(malloc_usable_size(NULL) == 0);
    free(NULL);
    cfree(NULL);
    CHECK((block = malloc(0)) != NULL);
    CHECK(realloc(block, 0) == NULL);
    for (size_t bytes = 100; bytes < 100 << 20; bytes *= 10) {
        CHECK((block = malloc(bytes)) != NULL);
        errno = EDOM;
        free(block);
        CHECK(errno == EDOM);
    }
}

int main(void)
{
    CHECK(arn_malloc_usable_size != NULL && arn_free != NULL);
    CHECK(free_sized != NULL && free_aligned_sized != NULL && cfree != NULL);
    for (size_t i = 0; i < SIZES; i++)
        every_name(sizes[i]);
    blocks_of_libc();
    errors();
    if (program_is_preloaded())
        every_symbol();
    return 0;
}
