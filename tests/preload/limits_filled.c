/* limits_filled.c - of a tight limit a program gets at least nine tenths of what libc's malloc gets of it: address
 * space, data, memory that is locked. Where the library itself and its tables, 1 MiB, are more than a twentieth of
 * the limit, that much is taken off; and see known_from_start.
 *
 * The program fills limits, in processes of its own: once itself, and once as the program that was built without
 * the library, which is the one without "-object" or "-archive" at its name's end.
 */
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "self.h"

enum kind {
    ADDRESS_SPACE,
    DATA,
    LOCKED_ALL,    /* what there is, and all that is mapped */
    LOCKED_FUTURE, /* all that is mapped from here on */
    LOCKED_USED,   /* the limit counts what is mapped, but only what is used is locked */
    KINDS,
};
static const char *const kind_names[KINDS] = {"address space", "data", "locked",
                                              "locked from now on", "locked when used"};

enum when { AT_START, LATER, BEFORE, WHENS };
static const char *const when_names[WHENS] = {"set at start", "set later",
                                              "set before the program"};

/* What the limit is filled with. */
enum filling { BLOCKS, DESCENDING, BY_THREADS, FILLINGS };
static const char *const filling_names[FILLINGS] = {"blocks", "ever smaller blocks",
                                                    "threads' blocks"};

struct order {
    enum kind kind;
    enum when when;
    enum filling filling;
    unsigned mib;
    unsigned bytes; /* of a block */
};

/* ---- filling ---- */

static void set_limit(const struct order *order)
{
    int resource = order->kind == ADDRESS_SPACE ? RLIMIT_AS
                   : order->kind == DATA        ? RLIMIT_DATA
                                                : RLIMIT_MEMLOCK;
    struct rlimit limit = {(rlim_t)order->mib << 20, (rlim_t)order->mib << 20};
    if (setrlimit(resource, &limit) != 0)
        _exit(77);
}

/* The limit is for those that may not lock what they like. */
static void lock(enum kind kind)
{
    static const int flags[KINDS] = {[LOCKED_ALL] = MCL_CURRENT | MCL_FUTURE,
                                     [LOCKED_FUTURE] = MCL_FUTURE,
                                     [LOCKED_USED] = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT};
    if (kind < LOCKED_ALL)
        return;
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        _exit(77);
    if (mlockall(flags[kind]) != 0) {
        dprintf(2, "mlockall: errno %d", errno);
        _exit(3);
    }
}

struct block {
    struct block *next;
    struct block **self; /* where its address is kept, were it not overwritten */
};

static size_t take_all(struct block **chain, size_t bytes)
{
    size_t count = 0;
    for (;;) {
        errno = 0;
        struct block *block = malloc(bytes);
        if (block == NULL) {
            CHECK(errno == ENOMEM);
            return count;
        }
        *block = (struct block){*chain, &block->next};
        *chain = block;
        count++;
    }
}

static void give_all(struct block **chain)
{
    while (*chain != NULL) {
        struct block *block = *chain;
        CHECK(block->self == &block->next);
        *chain = block->next;
        free(block);
    }
}

/* Bytes that were had, of one size; or of ever smaller ones, to the last. */
static size_t fill(enum filling filling, size_t bytes)
{
    struct block *chain = NULL;
    size_t sum = 0;
    for (;;) {
        sum += take_all(&chain, bytes) * bytes;
        if (filling != DESCENDING || bytes == 16)
            break;
        bytes = bytes / 8 < 16 ? 16 : bytes / 8;
    }
    give_all(&chain);
    return sum;
}

static pthread_barrier_t gate;

static void *fill_in_thread(void *argument)
{
    struct block *chain = NULL;
    size_t bytes = (size_t)argument;
    pthread_barrier_wait(&gate);
    size_t sum = take_all(&chain, bytes) * bytes;
    pthread_barrier_wait(&gate);
    give_all(&chain);
    pthread_barrier_wait(&gate);
    return (void *)sum;
}

static size_t fill_by_threads(size_t bytes)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    pthread_attr_t attributes;
    size_t sum = 0;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, 128 << 10) == 0);
    CHECK(pthread_barrier_init(&gate, NULL, THREADS) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], &attributes, fill_in_thread, (void *)bytes) == 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *had;
        CHECK(pthread_join(threads[i], &had) == 0);
        sum += (size_t)had;
    }
    return sum;
}

/* Says the bytes that were had: at first, and again when all was freed, in blocks of another size. */
static void fill_limit(const struct order *order)
{
    size_t other = order->bytes == 1000 ? 50000 : 1000, had[2];
    if (order->when == LATER) {
        struct block *chain = NULL;
        for (size_t i = 0; i < 1000; i++) {
            struct block *block = malloc(16 + i);
            *block = (struct block){chain, &block->next};
            chain = block;
        }
        give_all(&chain);
    }
    if (order->when != BEFORE)
        set_limit(order);
    lock(order->kind);
    for (size_t i = 0; i < 2; i++) {
        size_t bytes = i == 0 ? order->bytes : other;
        had[i] =
            order->filling == BY_THREADS ? fill_by_threads(bytes) : fill(order->filling, bytes);
    }
    dprintf(2, "%zu %zu", had[0], had[1]);
    _exit(0);
}

/* ---- both programs ---- */

struct answer {
    int status; /* as of waitpid */
    size_t had[2];
    char text[200];
};

static void ask(struct answer *answer, const char *program, bool without, const struct order *order)
{
    int ends[2];
    ssize_t got;
    size_t length = 0;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char numbers[40];
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        alarm(60);
        if (without)
            unsetenv("LD_PRELOAD");
        snprintf(numbers, sizeof numbers, "%d %d %d %u %u", order->kind, order->when,
                 order->filling, order->mib, order->bytes);
        if (order->when == BEFORE)
            set_limit(order);
        execl(program, program, numbers, NULL);
        _exit(127);
    }
    close(ends[1]);
    while ((got = read(ends[0], answer->text + length, sizeof answer->text - 1 - length)) > 0)
        length += (size_t)got;
    answer->text[length] = '\0';
    close(ends[0]);
    CHECK(waitpid(child, &answer->status, 0) == child);
    memset(answer->had, 0, sizeof answer->had);
    if (answer->status == 0)
        CHECK(sscanf(answer->text, "%zu %zu", &answer->had[0], &answer->had[1]) == 2);
}

static char reference_path[PATH_MAX], own_path[PATH_MAX];
static unsigned failures;

static void find_programs(void)
{
    ssize_t length = readlink("/proc/self/exe", own_path, sizeof own_path - 1);
    CHECK(length > 0);
    own_path[length] = '\0';
    strcpy(reference_path, own_path);
    if (!program_is_preloaded()) {
        char *dash = strrchr(reference_path, '-');
        CHECK(dash != NULL && (strcmp(dash, "-object") == 0 || strcmp(dash, "-archive") == 0));
        *dash = '\0';
    }
    CHECK(access(reference_path, X_OK) == 0);
}

/* The library reads the limits when it starts: before main in a static program. Of a limit that it learns of by a
 * refusal, arenas have a part by then, in which a block of 100,000 bytes takes seven slices of sixteen. The same
 * holds for what small blocks had before larger ones: four blocks of 50,000 bytes take an arena. */
static bool known_from_start(const struct order *order)
{
    return order->kind <= DATA &&
           (order->when == BEFORE || (order->when == AT_START && !program_is_static()));
}

static size_t least_of(const struct order *order, size_t libc, bool again)
{
    size_t own_bytes = order->mib < 20 ? 1 << 20 : 0;
    size_t hundredths = again && order->bytes == 1000  ? 70
                        : order->filling == BY_THREADS ? 85 /* each has pools of its own */
                        : known_from_start(order)      ? 90
                        : order->bytes >= 32000        ? 70
                                                       : 90;
    return libc < own_bytes ? 0 : (libc - own_bytes) / 100 * hundredths;
}

/* Prints every failure: a table of them says more than the first. */
static void compare(struct order order)
{
    struct answer libc, ours;
    ask(&libc, reference_path, true, &order);
    if (libc.status != 0) /* too little for anybody, or not permitted */
        return;
    ask(&ours, own_path, false, &order);
    bool enough = ours.status == 0;
    for (size_t i = 0; i < 2; i++)
        enough = enough && ours.had[i] >= least_of(&order, libc.had[i], i > 0);
    if (enough)
        return;
    failures++;
    dprintf(2,
            "%u MiB of %s, %s, %s of %u bytes: libc's malloc had %s bytes; ours %s (status %x)\n",
            order.mib, kind_names[order.kind], when_names[order.when], filling_names[order.filling],
            order.bytes, libc.text, ours.text, (unsigned)ours.status);
}

static const unsigned sizes[] = {16, 100, 1000, 4000, 32000, 100000, 1 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void compare_sizes(enum kind kind, enum when when, unsigned mib, size_t first, size_t step)
{
    for (size_t i = first; i < SIZES; i += step)
        compare((struct order){kind, when, BLOCKS, mib, sizes[i]});
}

static void compare_locked(void)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    static const unsigned limits[] = {8, 16, 48};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (limit.rlim_max != RLIM_INFINITY && (rlim_t)limits[i] << 20 > limit.rlim_max)
            continue;
        for (enum kind kind = LOCKED_ALL; kind < KINDS; kind++)
            compare_sizes(kind, i % 2 == 0 ? AT_START : LATER, limits[i], kind % 3, 3);
    }
}

int main(int count, char **arguments)
{
    if (count > 1) {
        struct order order;
        unsigned kind, when, filling;
        CHECK(sscanf(arguments[1], "%u %u %u %u %u", &kind, &when, &filling, &order.mib,
                     &order.bytes) == 5);
        order.kind = (enum kind)kind;
        order.when = (enum when)when;
        order.filling = (enum filling)filling;
        fill_limit(&order);
    }
    if (emulated())
        SKIP("the emulator's own memory is limited, too");
    find_programs();
    for (enum kind kind = ADDRESS_SPACE; kind <= DATA; kind++) {
        compare_sizes(kind, AT_START, 16, 0, 1);
        compare_sizes(kind, BEFORE, 16, 2, 3);
        compare_sizes(kind, AT_START, 24, 1, 2);
        compare_sizes(kind, LATER, 24, 0, 3);
        compare_sizes(kind, BEFORE, 32, kind, 3);
        compare_sizes(kind, LATER, 48, 2 + kind, 4);
        compare((struct order){kind, AT_START, BLOCKS, 64, 1000});
        compare((struct order){kind, AT_START, BLOCKS, 128, 100000});
        compare((struct order){kind, AT_START, DESCENDING, 24, 1 << 20});
        compare((struct order){kind, LATER, DESCENDING, 48, 1 << 20});
        compare((struct order){kind, AT_START, BY_THREADS, 32, 1000});
        compare((struct order){kind, BEFORE, BY_THREADS, 48, 20000});
    }
    compare_locked();
    return failures > 0;
}
