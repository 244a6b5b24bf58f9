/* own_malloc.c - a program with a malloc of its own that leaves out some of the names: those, too, give and take
 * its blocks, in libc, in C++ and wherever they are called. */
#include <malloc.h>

#include "foreign.h"
#include "own.h"

void *malloc(size_t bytes)
{
    return own_take(16, bytes);
}

void free(void *block)
{
    own_give(block);
}

void *calloc(size_t count, size_t bytes)
{
    void *block = own_take(16, count * bytes);
    return block == NULL ? NULL : memset(block, 0, count * bytes);
}

void *realloc(void *block, size_t bytes)
{
    return own_resize(block, bytes);
}

/* Of the aligned forms, this alone. */
void *memalign(size_t alignment, size_t bytes)
{
    return own_take(alignment, bytes);
}

static void expect_own(void *block, size_t alignment)
{
    CHECK(own_is(block) && (uintptr_t)block % alignment == 0);
}

static void left_out(void)
{
    void *block;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t alignment = 8; alignment <= 65536; alignment *= 4) {
        expect_own(block = aligned_alloc(alignment, 3 * alignment), alignment);
        free_aligned_sized(block, alignment, 3 * alignment);
        CHECK(posix_memalign(&block, alignment, 100) == 0);
        expect_own(block, alignment);
        free(block);
        expect_own(block = operator_new_aligned(100, alignment), alignment);
        operator_delete_aligned(block, alignment);
    }
    errno = 0;
    CHECK(posix_memalign(&block, 64, OWN_BYTES) == ENOMEM && errno == ENOMEM);
    volatile size_t no_power = 24;
    CHECK(posix_memalign(&block, no_power, 100) == EINVAL);
    CHECK(aligned_alloc(no_power, 100) == NULL && errno == EINVAL);
    expect_own(block = valloc(100), page);
    free_sized(block, 100);
    expect_own(block = pvalloc(100), page);
    cfree(block);
    CHECK(malloc_usable_size(malloc(100)) == 0); /* nobody here knows */
}

int main(void)
{
    CHECK(foreign_names_are_there());
    void *block = reallocarray(NULL, 10, 10);
    expect_own(block, 16);
    memset(block, 7, 100);
    expect_own(block = reallocarray(block, 10, 1000), 16);
    CHECK(((char *)block)[99] == 7);
    free(block);
    volatile size_t many = SIZE_MAX / 2;
    errno = 0;
    CHECK(reallocarray(NULL, many, 3) == NULL && errno == ENOMEM);
    left_out();
    expect_own(block = operator_new(100), 16);
    operator_delete(block);
    expect_own(block = operator_new_array(100), 16);
    operator_delete_array(block);
    expect_own(block = operator_new_nothrow(100, NULL), 16);
    operator_delete_sized(block, 100);
    CHECK(opaque(operator_new_nothrow(OWN_BYTES, NULL)) == NULL);
    expect_own(block = strdup("a string"), 1);
    free(block);
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen("/etc/passwd", "r");
    CHECK(file != NULL && getline(&line, &capacity, file) > 0 && fclose(file) == 0);
    expect_own(line, 1);
    free(line);
    return 0;
}
