/* wild.c - pointers with bits above the address space are told, and never read through: every such bit and many
 * of their patterns, at the start of a block and within it, in every function that takes a block. */
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "self.h"

extern void free_sized(void *block, size_t bytes) __attribute__((weak));
extern void free_aligned_sized(void *block, size_t alignment, size_t bytes) __attribute__((weak));
extern void cfree(void *block) __attribute__((weak));
extern void operator_delete(void *block) __asm__("_ZdlPv") __attribute__((weak));
extern void operator_delete_sized(void *block, size_t bytes) __asm__("_ZdlPvm")
    __attribute__((weak));
extern void arn_free(void *block) __attribute__((weak));

/* Each: whether it answered as it should. */
static bool call_free(void *pointer)
{
    free(pointer);
    return true;
}

static bool call_realloc(void *pointer)
{
    errno = 0;
    return realloc(pointer, 500) == NULL && errno == EINVAL;
}

static bool call_realloc_to_nothing(void *pointer)
{
    return realloc(pointer, 0) == NULL;
}

static bool call_reallocarray(void *pointer)
{
    return reallocarray(pointer, 20, 20) == NULL;
}

static bool call_usable(void *pointer)
{
    return malloc_usable_size(pointer) == 0;
}

static bool call_cfree(void *pointer)
{
    cfree(pointer);
    return true;
}

static bool call_free_sized(void *pointer)
{
    free_sized(pointer, 64);
    return true;
}

static bool call_free_aligned_sized(void *pointer)
{
    free_aligned_sized(pointer, 16, 64);
    return true;
}

static bool call_delete(void *pointer)
{
    operator_delete(pointer);
    return true;
}

static bool call_delete_sized(void *pointer)
{
    operator_delete_sized(pointer, 64);
    return true;
}

static bool call_arn_free(void *pointer)
{
    arn_free(pointer);
    return true;
}

static int lines, standard_error;

/* The program lives on, for misuse is ignored here: one line each. */
static void expect_line(bool (*call)(void *), void *pointer)
{
    char text[200] = "";
    CHECK(ftruncate(lines, 0) == 0 && lseek(lines, 0, SEEK_SET) == 0);
    CHECK(dup2(lines, 2) == 2);
    bool answered = call(pointer);
    CHECK(dup2(standard_error, 2) == 2);
    ssize_t length = pread(lines, text, sizeof text - 1, 0);
    CHECK(answered);
    CHECK(length > 0 && strchr(text, '\n') == text + length - 1);
    CHECK(strncmp(text, "arenite: ", 9) == 0);
    CHECK(strstr(text, ": wild pointer: no such address in user space\n") != NULL);
}

static void expect_lines(void *pointer)
{
    expect_line(call_free, pointer);
    expect_line(call_realloc, pointer);
    expect_line(call_realloc_to_nothing, pointer);
    expect_line(call_reallocarray, pointer);
    expect_line(call_usable, pointer);
    expect_line(call_free_sized, pointer);
    expect_line(call_free_aligned_sized, pointer);
    expect_line(call_delete_sized, pointer);
    expect_line(call_cfree, pointer);
    expect_line(call_delete, pointer);
    expect_line(call_arn_free, pointer);
}

static void all_bits(char *block)
{
#if defined(__x86_64__)
    const unsigned first = 47;
#else
    const unsigned first = 48;
#endif
    for (unsigned bit = first; bit < 64; bit++) {
        expect_lines((void *)((uintptr_t)block ^ (uintptr_t)1 << bit));
        expect_lines((void *)((uintptr_t)block | UINT64_MAX << bit));
    }
}

/* What one multiplication takes for a multiple: the bits above make up for what is below. */
static void all_patterns(char *block, size_t bytes)
{
    for (size_t within = 0; within < bytes; within++) {
        for (uintptr_t pattern = 1; pattern < 1 << 6; pattern++)
            expect_line(call_free, (void *)((uintptr_t)(block + within) ^ pattern << 58));
    }
}

int main(void)
{
    static const size_t sizes[] = {1,    32,   48,   64,    80,    96,    100,   128,    160,
                                   208,  512,  640,  1000,  1024,  1100,  2048,  2500,   4096,
                                   5000, 8192, 9000, 16384, 20000, 32768, 40000, 300000, 40 << 20};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    char *blocks[SIZES];
    CHECK(free_sized != NULL && free_aligned_sized != NULL && cfree != NULL);
    CHECK(operator_delete != NULL && operator_delete_sized != NULL && arn_free != NULL);
    CHECK(mallopt(M_CHECK_ACTION, 0) == 1);
    CHECK((lines = memfd_create("lines", MFD_CLOEXEC)) >= 0);
    CHECK((standard_error = dup(2)) >= 0);
    for (size_t i = 0; i < SIZES; i++)
        CHECK((blocks[i] = malloc(sizes[i])) != NULL);
    for (size_t i = 0; i < SIZES; i++) {
        all_bits(blocks[i]);
        all_bits(blocks[i] + sizes[i] / 2);
    }
    all_patterns(blocks[0], 16);
    all_patterns(blocks[2], 48);
    all_patterns(blocks[3], 64);
    all_patterns(blocks[8], 160);
    CHECK(mallopt(M_CHECK_ACTION, 2) == 1);
    for (size_t i = 0; i < SIZES; i++) { /* all of them are still in use */
        CHECK(malloc_usable_size(blocks[i]) >= sizes[i]);
        free(blocks[i]);
    }
    return 0;
}
