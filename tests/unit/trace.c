/* trace.c - random traces of operations against a model that knows every block.
 *
 * Every block is filled with a pattern to its usable size and checked when it is resized or freed.
 * A trace is plain data: any part of it is a trace, too, so that one that fails can be shrunk
 * (after Zeller, "Yesterday, my program worked" (1999)) and printed, one operation a line. Such a
 * list is replayed with ARENITE_TRACE=file. ARENITE_TRACE_SECONDS lengthens the tests,
 * ARENITE_TRACE_SEED starts them elsewhere.
 */
#include <arenite/arenite.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "options.h"
#include "pattern.h"
#include "shim.h"

enum { SLOTS = 256, TRACE_OPS = 6000 };

enum op_kind { OP_MALLOC, OP_CALLOC, OP_REALLOC, OP_FREE, OP_ALIGNED, OP_TRIM, OP_KINDS };

static const char *const op_names[OP_KINDS] = {"malloc", "calloc",  "realloc",
                                               "free",   "aligned", "trim"};

struct op {
    uint8_t kind;
    uint8_t align_shift; /* OP_ALIGNED */
    uint16_t slot;
    uint32_t bytes;
};

/* ---- making traces ---- */

/* Crosses all kinds: pools mostly, runs, spans, now and then a mapping. */
static uint32_t random_bytes(uint64_t *random)
{
    uint64_t r = pattern_random(random);
    unsigned dice = (unsigned)(r & 255);
    r >>= 8;
    if (dice < 100)
        return (uint32_t)(r % 257);
    if (dice < 150)
        return (uint32_t)(r % 1100);
    if (dice < 205)
        return (uint32_t)(r % 33000);
    if (dice < 240)
        return (uint32_t)(r % (300 << 10));
    if (dice < 255)
        return (uint32_t)(r % (3 << 20));
    return (uint32_t)(r % (40 << 20));
}

/* Few sizes, so that lists run short and are refilled over and over; nothing is one of them. */
static uint32_t narrow_bytes(uint32_t bytes, uint64_t seed)
{
    const uint32_t few[] = {0, 16, (uint32_t)(seed % 1024), (uint32_t)(seed % 31 * 1000)};
    return few[bytes % 4];
}

static struct op random_op(uint64_t *random, unsigned slots)
{
    uint64_t r = pattern_random(random);
    struct op op = {.slot = (uint16_t)(r % slots), .bytes = random_bytes(random)};
    unsigned dice = (unsigned)(r >> 32) % 1000;
    op.kind = dice < 400   ? OP_MALLOC
              : dice < 500 ? OP_CALLOC
              : dice < 700 ? OP_REALLOC
              : dice < 940 ? OP_FREE
              : dice < 999 ? OP_ALIGNED
                           : OP_TRIM;
    op.align_shift = (uint8_t)(r >> 48 & 15) + 3;
    if (op.kind == OP_ALIGNED && (r >> 52 & 63) == 0)
        op.align_shift = 18 + (r >> 58) % 9;
    return op;
}

static void make_trace(struct op *ops, size_t count, uint64_t seed)
{
    uint64_t random = seed * 2 + 1;
    for (size_t i = 0; i < count; i++) {
        ops[i] = random_op(&random, SLOTS);
        if (seed % 3 == 1)
            ops[i].bytes = narrow_bytes(ops[i].bytes, seed);
    }
}

/* ---- the model ---- */

struct slot {
    char *block; /* NULL: nothing is held */
    size_t asked;
    size_t usable; /* all of it is filled */
    uint64_t seed;
};

struct model {
    struct slot slots[SLOTS];
    size_t count;
    uint64_t next_seed;
    char wrong[200]; /* what does not hold; "" */
};

#define WRONG(model_, ...) snprintf((model_)->wrong, sizeof(model_)->wrong, __VA_ARGS__)

static void check_apart(struct model *model, const struct slot *slot)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct slot *other = &model->slots[i];
        if (other != slot && other->block != NULL && other->block < slot->block + slot->usable &&
            slot->block < other->block + other->usable)
            WRONG(model, "%p + %zu overlaps %p + %zu", (void *)slot->block, slot->usable,
                  (void *)other->block, other->usable);
    }
}

/* A block has come: is it what was asked for? Fills it. */
static void enter(struct model *model, struct slot *slot, char *block, size_t asked,
                  size_t alignment)
{
    if (block == NULL) {
        WRONG(model, "no memory for %zu bytes", asked);
        return;
    }
    slot->block = block;
    slot->asked = asked;
    slot->usable = arn_malloc_usable_size(block);
    slot->seed = model->next_seed++ << 20;
    if (slot->usable < asked)
        WRONG(model, "%p: usable %zu of %zu", (void *)block, slot->usable, asked);
    if ((uintptr_t)block % alignment != 0)
        WRONG(model, "%p is not at a multiple of %zu", (void *)block, alignment);
    check_apart(model, slot);
    if (model->wrong[0] == '\0')
        pattern_fill(block, slot->usable, slot->seed);
}

static void check_whole(struct model *model, const struct slot *slot)
{
    size_t usable = arn_malloc_usable_size(slot->block);
    if (usable != slot->usable)
        WRONG(model, "%p: usable size was %zu, is %zu", (void *)slot->block, slot->usable, usable);
    else if (!pattern_holds(slot->block, usable, usable, slot->seed))
        WRONG(model, "%p + %zu: contents changed", (void *)slot->block, usable);
}

static void leave(struct model *model, struct slot *slot)
{
    if (slot->block == NULL)
        return;
    check_whole(model, slot);
    arn_free(slot->block);
    slot->block = NULL;
}

static void resize(struct model *model, struct slot *slot, size_t bytes)
{
    if (slot->block == NULL) {
        enter(model, slot, arn_realloc(NULL, bytes), bytes, 16);
        return;
    }
    check_whole(model, slot);
    size_t usable = slot->usable;
    char *resized = arn_realloc(slot->block, bytes);
    slot->block = NULL;
    if (bytes == 0) {
        if (resized != NULL)
            WRONG(model, "realloc to 0 bytes gives a block");
        return;
    }
    if (resized != NULL &&
        !pattern_holds(resized, usable, bytes < usable ? bytes : usable, slot->seed))
        WRONG(model, "%p: contents lost in realloc from %zu to %zu", (void *)resized, usable,
              bytes);
    enter(model, slot, resized, bytes, 16);
}

static void enter_zeroed(struct model *model, struct slot *slot, size_t bytes)
{
    char *block = bytes % 8 == 0 ? arn_calloc(bytes / 8, 8) : arn_calloc(bytes, 1);
    if (block != NULL && !pattern_zero(block, bytes))
        WRONG(model, "%p + %zu from calloc is not zero", (void *)block, bytes);
    enter(model, slot, block, bytes, 16);
}

static void enter_aligned(struct model *model, struct slot *slot, size_t bytes, size_t alignment)
{
    void *block = NULL;
    int error = arn_posix_memalign(&block, alignment, bytes);
    if (error != 0)
        WRONG(model, "posix_memalign of %zu at %zu: %d", bytes, alignment, error);
    enter(model, slot, block, bytes, alignment);
}

static void apply(struct model *model, struct op op)
{
    struct slot *slot = &model->slots[op.slot];
    if (op.kind != OP_REALLOC && op.kind != OP_TRIM)
        leave(model, slot);
    if (model->wrong[0] != '\0')
        return;
    switch (op.kind) {
    case OP_MALLOC:
        enter(model, slot, arn_malloc(op.bytes), op.bytes, 16);
        break;
    case OP_CALLOC:
        enter_zeroed(model, slot, op.bytes);
        break;
    case OP_REALLOC:
        resize(model, slot, op.bytes);
        break;
    case OP_ALIGNED:
        enter_aligned(model, slot, op.bytes, (size_t)1 << op.align_shift);
        break;
    case OP_TRIM:
        arn_malloc_trim(op.bytes);
        break;
    default:
        break;
    }
}

/* Plays a trace in this process; false, and what is wrong is said, if it fails. */
static bool play(const struct op *ops, size_t count)
{
    static struct model model;
    model.count = SLOTS;
    for (size_t i = 0; i < count && model.wrong[0] == '\0'; i++)
        apply(&model, ops[i]);
    for (size_t i = 0; i < SLOTS && model.wrong[0] == '\0'; i++)
        leave(&model, &model.slots[i]);
    if (model.wrong[0] == '\0') {
        struct arn_stats stats;
        arn_stats(&stats);
        if (stats.used_blocks != 0)
            WRONG(&model, "all is freed, but %zu blocks are in use", stats.used_blocks);
        arn__arena_verify();
    }
    if (model.wrong[0] != '\0')
        fprintf(stderr, "# wrong: %s\n", model.wrong);
    return model.wrong[0] == '\0';
}

/* ---- in a child, so that a crash is a result ---- */

static bool passes(const struct op *ops, size_t count)
{
    fflush(stderr);
    pid_t child = fork();
    if (child == 0)
        _exit(play(ops, count) ? 0 : 1);
    int status = 0;
    waitpid(child, &status, 0);
    return status == 0;
}

/* Leaves out what the failure does not need; returns how much is left. */
static size_t shrink(struct op *ops, size_t count)
{
    enum { MOST_RUNS = 1500 };
    static struct op shorter[TRACE_OPS];
    unsigned runs = 0;
    for (size_t piece = count / 2; piece > 0; piece /= 2) {
        for (size_t from = 0; from < count && runs < MOST_RUNS;) {
            size_t left_out = piece < count - from ? piece : count - from;
            memcpy(shorter, ops, from * sizeof *ops);
            memcpy(shorter + from, ops + from + left_out, (count - from - left_out) * sizeof *ops);
            runs++;
            if (passes(shorter, count - left_out)) {
                from += piece;
            } else {
                count -= left_out;
                memcpy(ops, shorter, count * sizeof *ops);
            }
        }
    }
    return count;
}

static void print_trace(const struct op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s %u %u %u\n", op_names[ops[i].kind], ops[i].slot, ops[i].bytes,
                ops[i].align_shift);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double seconds_wanted(void)
{
    const char *text = getenv("ARENITE_TRACE_SECONDS");
    return text != NULL ? atof(text) : 1;
}

static uint64_t first_seed(void)
{
    const char *text = getenv("ARENITE_TRACE_SEED");
    return text != NULL ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
}

static void play_traces(void)
{
    static struct op ops[TRACE_OPS];
    double end = seconds() + seconds_wanted();
    uint64_t seed = first_seed();
    fprintf(stderr, "# first seed %" PRIu64 "\n", seed);
    do {
        size_t count = seed % 3 == 0 ? 200 : TRACE_OPS;
        make_trace(ops, count, seed);
        if (!passes(ops, count)) {
            count = shrink(ops, count);
            fprintf(stderr, "# seed %" PRIu64 " fails; shrunk to %zu operations:\n", seed, count);
            passes(ops, count);
            print_trace(ops, count);
            FAIL("seed %" PRIu64, seed);
        }
        seed++;
    } while (seconds() < end);
}

TEST(trace, one_thread_agrees_with_the_model)
{
    IN_OWN_PROCESS(play_traces());
}

/* Maps, spans and huge-page groups at a tenth of their sizes: more of each in the same time. */
static void play_traces_of_maps(void)
{
    arn__options.map_threshold_bytes = 1 << 20;
    arn__options.purge_budget_bytes = 0;
    arn__options.purge_delay_ms = 0;
    play_traces();
}

TEST(trace, one_thread_agrees_with_the_model_when_everything_is_purged_at_once)
{
    IN_OWN_PROCESS(play_traces_of_maps());
}

static void replay(const char *name)
{
    static struct op ops[TRACE_OPS];
    FILE *file = fopen(name, "r");
    ASSERT_NE(file, NULL);
    size_t count = 0;
    char word[16];
    unsigned slot, bytes, align_shift;
    while (count < TRACE_OPS &&
           fscanf(file, "%15s %u %u %u", word, &slot, &bytes, &align_shift) == 4) {
        ops[count] = (struct op){
            .slot = (uint16_t)(slot % SLOTS), .bytes = bytes, .align_shift = (uint8_t)align_shift};
        while (ops[count].kind < OP_KINDS && strcmp(word, op_names[ops[count].kind]) != 0)
            ops[count].kind++;
        ASSERT_LT(ops[count].kind, OP_KINDS);
        count++;
    }
    fclose(file);
    EXPECT_TRUE(play(ops, count));
}

TEST(trace, a_recorded_one_replays)
{
    const char *name = getenv("ARENITE_TRACE");
    if (name == NULL)
        SKIP("ARENITE_TRACE names no file");
    IN_OWN_PROCESS(replay(name));
}

/* ---- several threads ---- */

enum { THREADS = 4, OWN_SLOTS = 96, SHELF = 64 };

/* Where threads leave blocks for each other. */
static struct {
    pthread_mutex_t lock;
    struct slot slots[SHELF];
} shelf = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct worker {
    uint64_t seed;
    size_t ops;
    struct model model;
};

/* Swaps one of the worker's blocks for one of somebody else's. */
static void swap(struct model *model, unsigned own, unsigned other)
{
    pthread_mutex_lock(&shelf.lock);
    struct slot slot = shelf.slots[other];
    shelf.slots[other] = model->slots[own];
    model->slots[own] = slot;
    pthread_mutex_unlock(&shelf.lock);
    if (slot.block != NULL) {
        check_whole(model, &model->slots[own]);
        check_apart(model, &model->slots[own]);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct model *model = &worker->model;
    uint64_t random = worker->seed;
    for (size_t i = 0; i < worker->ops && model->wrong[0] == '\0'; i++) {
        struct op op = random_op(&random, OWN_SLOTS);
        if (op.bytes > 1 << 20)
            op.bytes >>= 4; /* not more than the machine has */
        uint64_t r = pattern_random(&random);
        if (op.kind == OP_TRIM && r % 8 != 0)
            op.kind = OP_FREE;
        apply(model, op);
        if (r % 4 == 0 && model->wrong[0] == '\0')
            swap(model, op.slot, (unsigned)(r >> 8) % SHELF);
    }
    /* Half of them outlive their thread, on the shelf. */
    for (unsigned i = 0; i < OWN_SLOTS && model->wrong[0] == '\0'; i++) {
        if (i % 2 == 0)
            swap(model, i, (unsigned)pattern_random(&random) % SHELF);
        leave(model, &model->slots[i]);
    }
    return NULL;
}

static void empty_shelf(void)
{
    static struct model model;
    memcpy(model.slots, shelf.slots, sizeof shelf.slots);
    memset(shelf.slots, 0, sizeof shelf.slots);
    model.count = SHELF;
    for (unsigned i = 0; i < SHELF; i++)
        leave(&model, &model.slots[i]);
    EXPECT_STREQ(model.wrong, "");
}

static void work_in_threads(void)
{
    static struct worker workers[THREADS];
    double end = seconds() + seconds_wanted();
    uint64_t seed = first_seed();
    fprintf(stderr, "# first seed %" PRIu64 "\n", seed);
    do {
        pthread_t threads[THREADS];
        for (unsigned i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){.seed = seed * THREADS + i + 1, .ops = 4000};
            workers[i].model.count = OWN_SLOTS;
            workers[i].model.next_seed = (seed * THREADS + i) << 16;
            ASSERT_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        for (unsigned i = 0; i < THREADS; i++) {
            if (workers[i].model.wrong[0] != '\0')
                FAIL("seed %" PRIu64 ", thread %u: %s", seed, i, workers[i].model.wrong);
        }
        if (seed % 4 == 0)
            empty_shelf();
        arn__arena_verify();
        seed++;
    } while (seconds() < end);
    empty_shelf();
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_EQ(stats.used_blocks, 0);
    arn_malloc_trim(0);
    arn_stats(&stats);
    EXPECT_EQ(stats.free_bytes, 0);
    EXPECT_EQ(stats.dirty_bytes, 0);
}

TEST(trace, threads_that_hand_blocks_around_agree_with_the_model)
{
    IN_OWN_PROCESS(work_in_threads());
}

static void work_in_threads_purging(void)
{
    arn__options.map_threshold_bytes = 1 << 20;
    arn__options.purge_budget_bytes = 0;
    arn__options.purge_delay_ms = 0;
    work_in_threads();
}

TEST(trace, threads_agree_with_the_model_when_everything_is_purged_at_once)
{
    IN_OWN_PROCESS(work_in_threads_purging());
}
