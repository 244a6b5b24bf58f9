/* accounting.c - mallinfo, malloc_info, malloc_trim, mallopt tell the truth. */
#include <malloc.h>
#include <pthread.h>

#include "blocks.h"
#include "self.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* mallinfo is meant */

static size_t resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (length <= 0)
        SKIP("no /proc/self/statm");
    close(fd);
    text[length] = '\0';
    return strtoul(strchr(text, ' '), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void expect_change(size_t before, size_t after, size_t least, size_t most, const char *what)
{
    size_t change = after - before;
    if (change >= least && change <= most)
        return;
    dprintf(2, "%s: %zu became %zu: expected %zu to %zu more\n", what, before, after, least, most);
    _exit(1);
}

/* The program's blocks, at least what was asked for and no more than an eighth above. */
static void used_bytes(size_t bytes, size_t count)
{
    void **blocks = malloc(count * sizeof *blocks);
    struct mallinfo2 before = mallinfo2();
    size_t usable = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK((blocks[i] = malloc(bytes)) != NULL);
        usable += malloc_usable_size(blocks[i]);
    }
    struct mallinfo2 with = mallinfo2();
    expect_change(before.uordblks + before.hblkhd, with.uordblks + with.hblkhd, usable, usable,
                  "bytes in use");
    CHECK(with.arena == with.uordblks + with.fordblks);
    for (size_t i = 0; i < count; i += 2)
        free(blocks[i]);
    struct mallinfo2 half = mallinfo2();
    expect_change(half.uordblks + half.hblkhd, with.uordblks + with.hblkhd, usable / 2, usable / 2,
                  "bytes freed");
    for (size_t i = 1; i < count; i += 2)
        free(blocks[i]);
    struct mallinfo2 after = mallinfo2();
    expect_change(before.uordblks + before.hblkhd, after.uordblks + after.hblkhd, 0, 0,
                  "bytes in use in the end");
    struct mallinfo narrow = mallinfo();
    CHECK((unsigned)narrow.uordblks == (unsigned)after.uordblks);
    CHECK((unsigned)narrow.fordblks == (unsigned)after.fordblks);
    free(blocks);
}

static void mapped_bytes(void)
{
    struct mallinfo2 before = mallinfo2();
    void *first = malloc(50 << 20);
    void *second = malloc(64 << 20);
    struct mallinfo2 with = mallinfo2();
    CHECK(first != NULL && second != NULL);
    CHECK(with.hblks == before.hblks + 2);
    expect_change(before.hblkhd, with.hblkhd, 114 << 20, (114 << 20) + 200000, "mapped bytes");
    expect_change(before.uordblks, with.uordblks, 0, 0, "bytes in arenas");
    CHECK((second = realloc(second, 96 << 20)) != NULL);
    expect_change(with.hblkhd, mallinfo2().hblkhd, 32 << 20, (32 << 20) + 200000, "mapped bytes");
    free(first);
    free(second);
    CHECK(mallinfo2().hblks == before.hblks && mallinfo2().hblkhd == before.hblkhd);
}

/* What a trim says that it would give back, it gives back. */
static void trim(size_t bytes)
{
    enum { TOTAL = 48 << 20 };
    size_t count = TOTAL / bytes;
    void **blocks = malloc(count * sizeof *blocks);
    memset(blocks, 0, count * sizeof *blocks);
    malloc_trim(0);
    size_t resident_before = resident_bytes();
    for (size_t i = 0; i < count; i++) {
        CHECK((blocks[i] = malloc(bytes)) != NULL);
        memset(blocks[i], 1, bytes);
    }
    size_t resident_with = resident_bytes();
    if (!emulated())
        CHECK(resident_with - resident_before >= TOTAL / 8 * 7);
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    size_t keepcost = mallinfo2().keepcost;
    int answer = malloc_trim(0);
    if (keepcost > 0)
        CHECK(answer == 1);
    CHECK(mallinfo2().keepcost == 0);
    CHECK(malloc_trim(0) == 0); /* nothing is left to give */
    if (!emulated() && resident_bytes() > resident_before + (2 << 20)) {
        dprintf(2, "blocks of %zu bytes: %zu KiB resident, then %zu, after the trim %zu\n", bytes,
                resident_before >> 10, resident_with >> 10, resident_bytes() >> 10);
        _exit(1);
    }
    free(blocks);
}

static void trim_keeps(void)
{
    void *blocks[12];
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    for (size_t i = 0; i < 12; i++) {
        CHECK((blocks[i] = malloc(1 << 20)) != NULL);
        memset(blocks[i], 1, 1 << 20);
    }
    for (size_t i = 0; i < 12; i++)
        free(blocks[i]);
    CHECK(mallinfo2().keepcost >= 12 << 20);
    CHECK(malloc_trim(6 << 20) == 1);
    size_t kept = mallinfo2().keepcost;
    CHECK(kept <= 6 << 20 && kept >= 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
    malloc_trim(0);
}

/* Without a trim, what is freed goes back but for the budget. */
static void budget(void)
{
    enum { BLOCKS = 2000, BYTES = 60000 };
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(BYTES)) != NULL);
        memset(blocks[i], 1, BYTES);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    CHECK(mallinfo2().keepcost <= 8 << 20);
}

/* A thread's blocks count while it lives, and after it is gone; so does what others free of them. */
enum { THEIRS = 1000 };
static void *theirs[THEIRS];
static size_t their_bytes;
static pthread_barrier_t barrier;

static void *allocate(void *waits)
{
    their_bytes = 0;
    for (size_t i = 0; i < THEIRS; i++) {
        CHECK((theirs[i] = malloc(1000 + i % 3 * 2000)) != NULL);
        their_bytes += malloc_usable_size(theirs[i]);
    }
    if (waits != NULL) {
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void other_threads(int live)
{
    pthread_t thread;
    /* The first thread leaves what the library keeps for all. */
    CHECK(pthread_create(&thread, NULL, allocate, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    for (size_t i = 0; i < THEIRS; i++)
        free(theirs[i]);
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    size_t before = mallinfo2().uordblks;
    CHECK(pthread_create(&thread, NULL, allocate, live ? &barrier : NULL) == 0);
    if (live)
        pthread_barrier_wait(&barrier);
    else
        CHECK(pthread_join(thread, NULL) == 0);
    size_t with = mallinfo2().uordblks;
    /* libc keeps a little for a thread */
    expect_change(before, with, their_bytes, their_bytes + 1024, "another's bytes");
    size_t freed = 0;
    for (size_t i = 0; i < THEIRS; i += 2) {
        freed += malloc_usable_size(theirs[i]);
        free(theirs[i]);
    }
    expect_change(mallinfo2().uordblks, with, freed, freed, "another's bytes, half of them freed");
    for (size_t i = 1; i < THEIRS; i += 2)
        free(theirs[i]);
    expect_change(mallinfo2().uordblks, with, their_bytes, their_bytes, "another's bytes, freed");
    if (live) {
        pthread_barrier_wait(&barrier);
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

/* ---- malloc_info ---- */

/* The elements nest; returns the text behind. No more of XML is used. */
static const char *parse_element(const char *at)
{
    char name[32];
    size_t length = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz");
    CHECK(*at == '<' && length > 0 && length < sizeof name);
    memcpy(name, at + 1, length);
    name[length] = '\0';
    at += 1 + length;
    while (*at == ' ') {
        at += 1 + strspn(at + 1, "abcdefghijklmnopqrstuvwxyz");
        CHECK(at[0] == '=' && at[1] == '"');
        at = strchr(at + 2, '"');
        CHECK(at != NULL);
        at++;
    }
    if (strncmp(at, "/>", 2) == 0)
        return at + 2;
    CHECK(*at == '>');
    at++;
    for (;;) {
        at += strspn(at, " \n");
        if (strncmp(at, "</", 2) == 0)
            break;
        at = parse_element(at);
    }
    CHECK(strncmp(at + 2, name, length) == 0 && at[2 + length] == '>');
    return at + length + 3;
}

static size_t figure(const char *text, const char *element, const char *attribute)
{
    const char *at = NULL;
    for (const char *next = text; (next = strstr(next, element)) != NULL; next++)
        at = next; /* the last one: the whole, not a heap */
    CHECK(at != NULL);
    at = strstr(at, attribute);
    CHECK(at != NULL);
    return strtoul(at + strlen(attribute), NULL, 10);
}

static void info(void)
{
    static const char *const elements[] = {
        "<malloc version=\"1\">",
        "<heap nr=\"0\">",
        "<sizes>",
        "<size from=\"",
        "<total type=\"fast\" count=\"",
        "<total type=\"rest\" count=\"",
        "<total type=\"mmap\" count=\"",
        "<system type=\"current\" size=\"",
        "<system type=\"max\" size=\"",
        "<aspace type=\"total\" size=\"",
        "<aspace type=\"mprotect\" size=\"",
    };
    char *text = NULL;
    size_t length;
    void *mapped = malloc(77 << 20);
    FILE *stream = open_memstream(&text, &length);
    CHECK(stream != NULL);
    CHECK(malloc_info(1, stream) == EINVAL);
    CHECK(malloc_info(0, stream) == 0);
    CHECK(fclose(stream) == 0);
    const char *end = parse_element(text);
    CHECK(end[strspn(end, " \n")] == '\0');
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        CHECK(strstr(text, elements[i]) != NULL);
    CHECK(figure(text, "<total type=\"mmap\"", "size=\"") >= 77 << 20);
    CHECK(figure(text, "<total type=\"mmap\"", "count=\"") == mallinfo2().hblks);
    free(mapped);
    free(text);
}

static void options(void)
{
    CHECK(mallopt(M_TRIM_THRESHOLD, 4 << 20) == 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, -1) == 1); /* never */
    CHECK(mallopt(M_TRIM_THRESHOLD, 4 << 20) == 1);
    CHECK(mallopt(M_MMAP_THRESHOLD, 2 << 20) == 1);
    size_t maps = mallinfo2().hblks;
    void *block = malloc(3 << 20);
    CHECK(mallinfo2().hblks == maps + 1);
    free(block);
    CHECK(mallopt(M_MMAP_THRESHOLD, 32 << 20) == 1);
    block = malloc(3 << 20);
    CHECK(mallinfo2().hblks == maps);
    free(block);
    CHECK(mallopt(12345, 1) == 0);
    CHECK(mallopt(M_MMAP_THRESHOLD, -1) == 0); /* as glibc has it: at most 32 MiB */
    CHECK(mallopt(M_MMAP_THRESHOLD, (32 << 20) + 1) == 0);
    block = malloc(3 << 20);
    CHECK(mallinfo2().hblks == maps);
    free(block);
    CHECK(mallopt(M_MMAP_THRESHOLD, 50000) == 1); /* a small one is honoured, too, from 32 KiB on */
    block = malloc(50000);
    CHECK(mallinfo2().hblks == maps + 1);
    void *smaller = malloc(49999);
    CHECK(mallinfo2().hblks == maps + 1);
    CHECK((block = realloc(block, 100000)) != NULL && mallinfo2().hblks == maps + 1);
    CHECK((block = realloc(block, 40000)) != NULL);
    free(block);
    free(smaller);
    CHECK(mallopt(M_MMAP_THRESHOLD, 0) == 1);
    block = malloc(32769);
    smaller = malloc(32768);
    CHECK(mallinfo2().hblks == maps + 1);
    free(block);
    free(smaller);
    CHECK(mallopt(M_MMAP_THRESHOLD, 32 << 20) == 1);
}

static int has_said;

static void *says_although_cancelled(void *unused)
{
    CHECK(pthread_cancel(pthread_self()) == 0);
    malloc_stats();
    has_said = 1;
    pthread_testcancel();
    return unused;
}

/* As in glibc, no point of cancellation: a thread that ended in the middle would keep a lock, or say half. */
static void statistics_while_cancelled(void)
{
    pthread_t thread;
    void *result = NULL;
    int kept = dup(2), nothing = open("/dev/null", O_WRONLY);
    CHECK(kept >= 0 && nothing >= 0 && dup2(nothing, 2) == 2);
    int error = pthread_create(&thread, NULL, says_although_cancelled, NULL);
    if (error == 0)
        error = pthread_join(thread, &result);
    CHECK(dup2(kept, 2) == 2);
    close(kept);
    close(nothing);
    CHECK(error == 0 && has_said && result == PTHREAD_CANCELED);
}

int main(void)
{
    struct mallinfo2 start = mallinfo2();
    CHECK(start.arena == start.uordblks + start.fordblks);
    budget(); /* first: what is used again soon raises it */
    used_bytes(16, 10000);
    used_bytes(100, 10000);
    used_bytes(3000, 1000);
    used_bytes(32768, 100);
    used_bytes(50000, 100);
    used_bytes(300000, 40);
    used_bytes(3000000, 6);
    used_bytes(40000000, 2);
    mapped_bytes();
    other_threads(0);
    other_threads(1);
    trim(64);
    trim(1000);
    trim(20000);
    trim(100000);
    trim(270000); /* most of its second arena is never written, but may be part of a huge page */
    trim(2000000);
    trim_keeps();
    info();
    options();
    statistics_while_cancelled();
    return 0;
}
