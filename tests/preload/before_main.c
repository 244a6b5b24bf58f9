/* before_main.c - blocks from before main and after it: preinit_array, constructors, exit handlers,
 * destructors; each uses what the one before has left. */
#include <pthread.h>

#include "blocks.h"

enum { STAGES = 7, PER_STAGE = 60 };

static void *kept[STAGES][PER_STAGE];
static unsigned stage;

/* Frees what the stage before left, leaves something for the next. */
static void next_stage(unsigned expected)
{
    static uint64_t random = 123456789;
    CHECK(stage == expected);
    for (size_t i = 0; i < PER_STAGE; i++) {
        if (stage > 0)
            block_free(kept[stage - 1][i]);
        kept[stage][i] = random_block(&random);
    }
    char *text = NULL;
    CHECK(asprintf(&text, "stage %u", stage) > 0);
    free(text);
    stage++;
}

static void very_first(void)
{
    next_stage(0);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = very_first;

__attribute__((constructor(101))) static void constructor(void)
{
    next_stage(1);
}

__attribute__((constructor)) static void later_constructor(void)
{
    next_stage(2);
}

static void *thread(void *unused)
{
    next_stage(3);
    return unused;
}

static void at_exit_handler(void)
{
    next_stage(4);
    fflush(NULL);
}

__attribute__((destructor)) static void destructor(void)
{
    next_stage(5);
}

__attribute__((destructor(101))) static void last_destructor(void)
{
    next_stage(6);
    for (size_t i = 0; i < PER_STAGE; i++)
        block_free(kept[6][i]);
    malloc_trim(0);
    CHECK(mallinfo2().uordblks < 16 << 20);
    _exit(0); /* it came so far: main says 9 */
}

int main(void)
{
    pthread_t other;
    CHECK(pthread_create(&other, NULL, thread, NULL) == 0);
    CHECK(pthread_join(other, NULL) == 0);
    CHECK(atexit(at_exit_handler) == 0);
    return 9;
}
