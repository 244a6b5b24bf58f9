/* tiny_stack.c - every entry into the allocator fits on the smallest stack that a thread can have. */
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>

#include "blocks.h"
#include "self.h"

static pthread_key_t key;

/* Its own frames are small, too: no formatted output, no large arrays. */
static void *frugal(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument + 1;
    static const size_t sizes[] = {16,     100,    1000,    5000,    32768,
                                   100000, 262144, 1000000, 4000000, 35 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *block = malloc(sizes[i]);
        CHECK(block != NULL);
        block_fill(block, sizes[i], i);
        block = random_resized(block, &random);
        block_free(block);
        block = calloc(1, sizes[i]);
        CHECK(block != NULL);
        free(block);
        block = memalign(1 << 16, sizes[i]);
        CHECK(block != NULL);
        free(block);
    }
    for (unsigned i = 0; i < 30; i++)
        block_free(random_block(&random));
    malloc_trim(0);
    void *last = malloc(10);
    CHECK(last != NULL && pthread_setspecific(key, last) == 0);
    return NULL;
}

int main(void)
{
    pthread_attr_t attributes;
    CHECK(pthread_key_create(&key, free) == 0);
    CHECK(pthread_attr_init(&attributes) == 0);
    long least = sysconf(_SC_THREAD_STACK_MIN);
    CHECK(pthread_attr_setstacksize(&attributes, least > 0 ? (size_t)least : PTHREAD_STACK_MIN) ==
          0);
    for (uintptr_t i = 0; i < 25; i++) {
        pthread_t threads[2];
        for (size_t k = 0; k < 2; k++)
            CHECK(pthread_create(&threads[k], &attributes, frugal, (void *)(i * 2 + k)) == 0);
        for (size_t k = 0; k < 2; k++)
            CHECK(pthread_join(threads[k], NULL) == 0);
    }
    return 0;
}
