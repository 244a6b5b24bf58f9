/* replay.c - does what a trace of arenite record says, with whatever malloc is preloaded.
 *
 *     replay [--rounds N] [--threads N] FILE
 *     replay --print FILE
 *
 * Every block is marked at both ends and touched on every page; the marks are checked when it is
 * resized or freed. Threads are as many as were recorded, at most --threads (64): they keep the
 * order of their own events and of the events of each block, and are free otherwise.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "events.h"

enum { THREADS_MOST = 64 };

/* A block's present state. All but `turn` belong to who does the next event of the block. */
struct slot {
    unsigned char *block; /* NULL: none */
    uint64_t bytes;
    _Atomic uint32_t turn; /* events done */
};

struct player {
    const struct event *events;
    size_t count;
    struct slot *slots;
    uint64_t checks; /* passed */
    pthread_t thread;
};

static size_t page_bytes;
static pthread_barrier_t ready;

/* --- Marks ------------------------------------------------------------------------------------ */

enum { MARK_BYTES = 8 };

static uint64_t mark_of(uint32_t block)
{
    return (block + UINT64_C(1)) * 0x9E3779B97F4A7C15;
}

static size_t head_bytes(uint64_t bytes)
{
    return bytes < MARK_BYTES ? (size_t)bytes : MARK_BYTES;
}

/* Of the mark at the block's end: what the one at its start leaves. */
static size_t tail_bytes(uint64_t bytes)
{
    return head_bytes(bytes - head_bytes(bytes));
}

static void write_marks(const struct slot *slot, uint64_t mark)
{
    for (uint64_t at = page_bytes; at < slot->bytes; at += page_bytes)
        slot->block[at] = 1;
    memcpy(slot->block, &mark, head_bytes(slot->bytes));
    size_t tail = tail_bytes(slot->bytes);
    memcpy(slot->block + slot->bytes - tail, &mark, tail);
}

/* Waits for nobody: other threads may wait for this one. */
static _Noreturn void fail(const char *what, const struct event *event)
{
    fprintf(stderr, "replay: %s: block %" PRIu32 ", event %" PRIu32 " of it, thread %" PRIu32 "\n",
            what, event->block, event->turn, event->thread);
    _exit(1);
}

static void check_head(struct player *player, const struct event *event, const void *block,
                       uint64_t bytes, uint64_t mark)
{
    if (memcmp(block, &mark, head_bytes(bytes)) != 0)
        fail("corrupted at its start", event);
    player->checks++;
}

static void check_marks(struct player *player, const struct event *event, const struct slot *slot,
                        uint64_t mark)
{
    check_head(player, event, slot->block, slot->bytes, mark);
    size_t tail = tail_bytes(slot->bytes);
    if (memcmp(slot->block + slot->bytes - tail, &mark, tail) != 0)
        fail("corrupted at its end", event);
    player->checks++;
}

static void check_zero(struct player *player, const struct event *event, const struct slot *slot)
{
    for (uint64_t at = page_bytes; at < slot->bytes; at += page_bytes)
        if (slot->block[at] != 0)
            fail("not zero", event);
    check_marks(player, event, slot, 0);
}

static void check_aligned(struct player *player, const struct event *event, const void *block)
{
    if (((uintptr_t)block & ((UINT64_C(1) << event->alignment_log) - 1)) != 0)
        fail("misaligned", event);
    player->checks++;
}

/* --- Events ----------------------------------------------------------------------------------- */

static void obtain(struct player *player, const struct event *event, struct slot *slot)
{
    size_t bytes = event->bytes;
    if (event->op == EVENT_CALLOC)
        slot->block = calloc(1, bytes);
    else if (event->op == EVENT_ALIGNED)
        slot->block = aligned_alloc((size_t)1 << event->alignment_log, bytes);
    else
        slot->block = malloc(bytes);
    if (slot->block == NULL)
        fail("out of memory", event);
    slot->bytes = bytes;
    if (event->op == EVENT_CALLOC)
        check_zero(player, event, slot);
    if (event->op == EVENT_ALIGNED)
        check_aligned(player, event, slot->block);
}

static void resize(struct player *player, const struct event *event, struct slot *slot,
                   uint64_t mark)
{
    /* Not 0 bytes: allocators differ in what realloc does then. */
    size_t bytes = event->bytes == 0 ? 1 : event->bytes;
    check_marks(player, event, slot, mark);
    unsigned char *block = realloc(slot->block, bytes);
    if (block == NULL)
        fail("out of memory", event);
    check_head(player, event, block, slot->bytes < bytes ? slot->bytes : bytes, mark);
    slot->block = block;
    slot->bytes = bytes;
}

static void release(struct player *player, const struct event *event, struct slot *slot,
                    uint64_t mark)
{
    check_marks(player, event, slot, mark);
    free(slot->block);
    slot->block = NULL;
}

static void await_turn(struct slot *slot, uint32_t turn)
{
    enum { SPINS = 200 };
    /* acquire: pairs with the release in play. */
    for (unsigned i = 0; atomic_load_explicit(&slot->turn, memory_order_acquire) != turn; i++)
        if (i >= SPINS)
            sched_yield();
}

static void play(struct player *player)
{
    for (size_t i = 0; i < player->count; i++) {
        const struct event *event = &player->events[i];
        struct slot *slot = &player->slots[event->block];
        uint64_t mark = mark_of(event->block);
        await_turn(slot, event->turn);
        if (event->op == EVENT_FREE)
            release(player, event, slot, mark);
        else if (event->op == EVENT_REALLOC)
            resize(player, event, slot, mark);
        else
            obtain(player, event, slot);
        if (slot->block != NULL)
            write_marks(slot, mark);
        /* release: whoever comes next sees the slot and the marks. */
        atomic_store_explicit(&slot->turn, event->turn + 1, memory_order_release);
    }
}

static void *play_in_thread(void *argument)
{
    pthread_barrier_wait(&ready);
    play(argument);
    return NULL;
}

/* --- A round ---------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Returns how long it took. */
static uint64_t play_round(struct player *players, unsigned count)
{
    if (count == 1) {
        uint64_t start = now_ns();
        play(&players[0]);
        return now_ns() - start;
    }
    pthread_barrier_init(&ready, NULL, count + 1);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&players[i].thread, NULL, play_in_thread, &players[i]) != 0) {
            fprintf(stderr, "replay: cannot create thread %u\n", i);
            exit(1);
        }
    uint64_t start = now_ns();
    pthread_barrier_wait(&ready);
    for (unsigned i = 0; i < count; i++)
        pthread_join(players[i].thread, NULL);
    uint64_t end = now_ns();
    pthread_barrier_destroy(&ready);
    return end - start;
}

/* Frees, and checks, what the program had when it ended. */
static void clear(struct player *player, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++) {
        struct slot *slot = &player->slots[i];
        struct event end = {.block = (uint32_t)i, .turn = slot->turn};
        if (slot->block != NULL)
            release(player, &end, slot, mark_of(end.block));
        slot->turn = 0;
    }
}

/* Deals the events to the players, each one's in order. They cannot block one another for good: an
 * event waits for earlier ones alone. */
static void deal(const struct events *events, struct player *players, unsigned count)
{
    struct event *dealt = events_memory(events->count * sizeof(struct event));
    size_t next[THREADS_MOST];
    for (unsigned i = 0; i < count; i++)
        players[i].count = 0;
    for (size_t i = 0; i < events->count; i++)
        players[events->all[i].thread % count].count++;
    for (unsigned i = 0; i < count; i++) {
        next[i] = i == 0 ? 0 : next[i - 1] + players[i - 1].count;
        players[i].events = dealt + next[i];
    }
    for (size_t i = 0; i < events->count; i++)
        dealt[next[events->all[i].thread % count]++] = events->all[i];
}

/* --- The program ------------------------------------------------------------------------------ */

static void print_events(const struct events *events)
{
    static const char *const names[] = {"malloc", "calloc", "aligned", "realloc", "free"};
    for (size_t i = 0; i < events->count; i++) {
        const struct event *event = &events->all[i];
        printf("%" PRIu32 " %s %" PRIu32, event->thread, names[event->op], event->block);
        if (event->op != EVENT_FREE)
            printf(" %" PRIu64, event->bytes);
        if (event->op == EVENT_ALIGNED)
            printf(" %" PRIu64, UINT64_C(1) << event->alignment_log);
        putchar('\n');
    }
}

static void replay(const struct events *events, unsigned long rounds, unsigned threads)
{
    struct player players[THREADS_MOST] = {0};
    struct slot *slots = events_memory(events->blocks * sizeof(struct slot));
    uint64_t checks = 0;
    for (unsigned i = 0; i < threads; i++)
        players[i].slots = slots;
    deal(events, players, threads);
    printf("events %zu\nblocks %zu\nthreads %u\npeak_bytes %" PRIu64 "\nunknown %" PRIu64 "\n",
           events->count, events->blocks, threads, events->peak_bytes, events->unknown);
    for (unsigned long i = 0; i < rounds; i++) {
        printf("replay_ns %" PRIu64 "\n", play_round(players, threads));
        clear(&players[0], events->blocks);
    }
    for (unsigned i = 0; i < threads; i++)
        checks += players[i].checks;
    printf("checks %" PRIu64 "\n", checks);
}

static _Noreturn void usage(FILE *out, int status)
{
    fputs(
        "usage: replay [--rounds N] [--threads N] FILE\n"
        "       replay --print FILE\n"
        "Do what a trace of 'arenite record' says, and print what it was and how long it took.\n"
        "\n"
        "  --rounds N   do it N times, and print each time\n"
        "  --threads N  use at most N threads, 1 to 64, instead of as many as were recorded\n"
        "  --print      print the events instead: thread, operation, block, bytes, alignment\n"
        "\n"
        "Exit status: 1 if the malloc in use returns NULL or corrupts a block, or if FILE is not\n"
        "a trace; 2 for wrong usage.\n",
        out);
    exit(status);
}

static unsigned long number(const char *text, unsigned long most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < 1 || value > most)
        usage(stderr, 2);
    return value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"print", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    unsigned long rounds = 1, threads = THREADS_MOST;
    bool print = false;
    for (int found; (found = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (found == 'r')
            rounds = number(optarg, UINT32_MAX);
        else if (found == 't')
            threads = number(optarg, THREADS_MOST);
        else if (found == 'p')
            print = true;
        else
            usage(found == 'h' ? stdout : stderr, found == 'h' ? 0 : 2);
    }
    if (optind + 1 != argc)
        usage(stderr, 2);
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    struct events events;
    if (!events_read(argv[optind], &events))
        return 1;
    if (print)
        print_events(&events);
    else
        replay(&events, rounds, threads < events.threads ? (unsigned)threads : events.threads);
    if (fflush(stdout) != 0) {
        perror("replay: standard output");
        return 1;
    }
    return 0;
}
