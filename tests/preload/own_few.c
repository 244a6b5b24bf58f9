/* own_few.c - a program that replaces malloc, realloc and free, and nothing else: what can go there goes there.
 * One that asks for alignment gets a block of libc's from libc, and of the library's from the library. */
#include <malloc.h>

#include "foreign.h"
#include "own.h"

void *malloc(size_t bytes)
{
    return own_take(16, bytes);
}

void *realloc(void *block, size_t bytes)
{
    return own_resize(block, bytes);
}

void free(void *block)
{
    own_give(block);
}

int main(void)
{
    CHECK(foreign_names_are_there());
    for (size_t bytes = 1; bytes < 100000; bytes *= 3) {
        char *block = calloc(3, bytes);
        CHECK(own_is(block));
        for (size_t i = 0; i < 3 * bytes; i++)
            CHECK(block[i] == 0);
        free(block);
        CHECK(own_is(block = reallocarray(NULL, 3, bytes)));
        free_sized(block, 3 * bytes);
        CHECK(own_is(block = operator_new(bytes)));
        operator_delete(block);
        void *aligned;
        CHECK(posix_memalign(&aligned, 16, bytes) == 0 && own_is(aligned));
        free(aligned);
        CHECK(own_is(block = aligned_alloc(8, bytes)));
        cfree(block);
        CHECK(own_is(block = operator_new_aligned(bytes, 16)));
        operator_delete_aligned(block, 16);
        block = memalign(4096, bytes);
        CHECK(block != NULL && !own_is(block));
        CHECK((uintptr_t)block % 4096 == 0 && malloc_usable_size(block) >= bytes);
        __libc_free(block);
    }
    volatile size_t many = SIZE_MAX / 2;
    errno = 0;
    CHECK(calloc(many, 3) == NULL && errno == ENOMEM);
    return 0;
}
