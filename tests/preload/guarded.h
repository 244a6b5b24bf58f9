/* guarded.h - blocks with a page that the program has put to a use of its own: the guard of a fiber's stack, memory
 * registered with a device, a file mapped over it. The allocator neither reads nor writes such a page.
 */
#ifndef ARENITE_GUARDED_H
#define ARENITE_GUARDED_H

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "self.h"

enum { PAGE = 4096, MOST_GUARDED = 400, WORDS_WRITTEN = 128 };

enum use {
    NO_ACCESS,    /* a guard */
    READ_ONLY,    /* a write barrier */
    NOT_FORKED,   /* missing in children */
    WIPED,        /* zero in children */
    LOCKED,       /* in memory */
    UNMAPPED,     /* given back to the kernel */
    NOTHING_OVER, /* reserved: a mapping without access in its place */
    FILE_OVER,    /* a file to be read in its place */
    PAST_FILE,    /* a file that has become shorter: SIGBUS */
    USES,
};

static const char *const use_names[USES] = {
    "no access", "read only",           "not for children",   "wiped in children",   "locked",
    "unmapped",  "reserved in between", "a file mapped over", "past the file's end",
};

enum place { FIRST_PAGE, MIDDLE_PAGE, LAST_PAGE, PLACES };

struct guarded {
    char *block;
    size_t bytes;
    char *page; /* NULL: an ordinary block */
    uint64_t seed;
};

/* Blocks of one scenario. */
struct guarded_set {
    enum use use;
    size_t count;
    struct guarded all[MOST_GUARDED];
};

/* ---- faults ---- */

/* What the program is doing, for the message. */
static const char *doing = "";
static enum use doing_with;

static inline void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    dprintf(2, "%s: signal %d at %p while %s\n", use_names[doing_with], signal, info->si_addr,
            doing);
    _exit(1);
}

static inline void tell_faults(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0);
}

/* ---- pages ---- */

/* The page is wholly within what was asked for. */
static inline char *page_of(const char *block, size_t bytes, enum place place)
{
    uintptr_t first = ((uintptr_t)block + PAGE - 1) / PAGE * PAGE;
    uintptr_t end = ((uintptr_t)block + bytes) / PAGE * PAGE;
    CHECK(first < end);
    switch (place) {
    case FIRST_PAGE:
        return (char *)first;
    case LAST_PAGE:
        return (char *)end - PAGE;
    default:
        return (char *)(first + (end - first) / PAGE / 2 * PAGE);
    }
}

static inline void map_over(char *page, int protection, int flags, int file)
{
    CHECK(mmap(page, PAGE, protection, flags | MAP_FIXED, file, 0) == page);
}

static inline void map_file_over(char *page, off_t bytes)
{
    char text[PAGE];
    int file = memfd_create("guarded", 0);
    CHECK(file >= 0);
    memset(text, 'x', sizeof text);
    CHECK(write(file, text, sizeof text) == (ssize_t)sizeof text);
    CHECK(ftruncate(file, bytes) == 0);
    map_over(page, PROT_READ, MAP_PRIVATE, file);
    close(file);
}

static inline void withdraw(const struct guarded *guarded, enum use use)
{
    char *page = guarded->page;
    if (page == NULL)
        return;
    switch (use) {
    case NO_ACCESS:
        CHECK(mprotect(page, PAGE, PROT_NONE) == 0);
        break;
    case READ_ONLY:
        CHECK(mprotect(page, PAGE, PROT_READ) == 0);
        break;
    case NOT_FORKED:
        CHECK(madvise(page, PAGE, MADV_DONTFORK) == 0);
        break;
    case WIPED:
        CHECK(madvise(page, PAGE, MADV_WIPEONFORK) == 0);
        break;
    case LOCKED: /* as far as the limit goes */
        CHECK(mlock(page, PAGE) == 0 || errno == ENOMEM || errno == EPERM || errno == EAGAIN);
        break;
    case UNMAPPED:
        CHECK(munmap(page, PAGE) == 0);
        break;
    case NOTHING_OVER:
        map_over(page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
        break;
    case FILE_OVER:
        map_file_over(page, PAGE);
        break;
    default:
        map_file_over(page, 0);
    }
}

/* An ordinary page again; what was mapped over is zero. */
static inline void restore(const struct guarded *guarded, enum use use)
{
    char *page = guarded->page;
    if (page == NULL)
        return;
    switch (use) {
    case NO_ACCESS:
    case READ_ONLY:
        CHECK(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
        break;
    case NOT_FORKED:
        CHECK(madvise(page, PAGE, MADV_DOFORK) == 0);
        break;
    case WIPED:
        CHECK(madvise(page, PAGE, MADV_KEEPONFORK) == 0);
        break;
    case LOCKED:
        CHECK(munlock(page, PAGE) == 0);
        break;
    default:
        map_over(page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    }
}

/* In a child: what the parent's pages are there. */
static inline void restore_in_child(const struct guarded *guarded, enum use use)
{
    if (guarded->page != NULL && (use == NOT_FORKED || use == UNMAPPED))
        map_over(guarded->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    else if (use != LOCKED)
        restore(guarded, use);
}

/* ---- blocks ---- */

/* The idx-th of the offsets that are written: not in the guarded page. */
static inline bool is_written(const struct guarded *guarded, size_t offset)
{
    const char *at = guarded->block + offset;
    return guarded->page == NULL || at + 8 <= guarded->page || at >= guarded->page + PAGE;
}

static inline size_t stride_of(const struct guarded *guarded)
{
    size_t stride = guarded->bytes / WORDS_WRITTEN / 16 * 16;
    return stride < 64 ? 64 : stride;
}

static inline void guarded_fill(const struct guarded *guarded)
{
    for (size_t at = 0; at + 8 <= guarded->bytes; at += stride_of(guarded)) {
        if (is_written(guarded, at))
            *(uint64_t *)(guarded->block + at) = guarded->seed ^ at * 0x9e3779b97f4a7c15u;
    }
}

static inline void guarded_check(const struct guarded *guarded)
{
    for (size_t at = 0; at + 8 <= guarded->bytes; at += stride_of(guarded)) {
        if (is_written(guarded, at))
            CHECK(*(uint64_t *)(guarded->block + at) == (guarded->seed ^ at * 0x9e3779b97f4a7c15u));
    }
}

/* From the smallest pools whose blocks hold a page to maps. */
static const size_t guarded_sizes[] = {4096,   5000,    8192,    12288,    16384,   20000,
                                       28672,  32768,   40960,   65536,    100000,  262144,
                                       300000, 1 << 20, 5 << 20, 40 << 20, 64 << 20};
enum { GUARDED_SIZES = sizeof guarded_sizes / sizeof *guarded_sizes };

/* Of some sizes there are several pools full, the last of which is half full. */
static inline size_t count_of(size_t bytes)
{
    return bytes <= 32768 ? 24 : bytes <= 300000 ? 8 : bytes <= 5 << 20 ? 3 : 2;
}

static inline char *whole_pages(size_t bytes, size_t idx)
{
    void *block = NULL;
    switch (bytes < 2 * PAGE ? 0 : idx % 4) {
    case 0:
        CHECK(posix_memalign(&block, PAGE, bytes) == 0);
        break;
    case 1:
        block = aligned_alloc(PAGE, bytes);
        break;
    case 2:
        block = memalign(4 * PAGE, bytes);
        break;
    default:
        block = malloc(bytes);
    }
    CHECK(block != NULL);
    return block;
}

static inline void guarded_take(struct guarded_set *set)
{
    set->count = 0;
    for (size_t i = 0; i < GUARDED_SIZES; i++) {
        for (size_t k = 0; k < count_of(guarded_sizes[i]); k++) {
            CHECK(set->count < MOST_GUARDED);
            struct guarded *guarded = &set->all[set->count++];
            guarded->bytes = guarded_sizes[i];
            guarded->block = whole_pages(guarded->bytes, k);
            guarded->seed = (uintptr_t)guarded->block * 3 + set->count;
            /* A malloc'ed block of two pages may hold no whole one but the one between. */
            guarded->page = k % 5 == 4
                                ? NULL
                                : page_of(guarded->block, guarded->bytes, (enum place)(k % PLACES));
            guarded_fill(guarded);
        }
    }
}

static inline void guarded_withdraw(struct guarded_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        withdraw(&set->all[i], set->use);
}

static inline void guarded_check_all(const struct guarded_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        guarded_check(&set->all[i]);
}

static inline void guarded_remove(struct guarded_set *set, size_t idx)
{
    set->all[idx] = set->all[--set->count];
}

/* Every other one: pools are half empty. Access comes back before. */
static inline void guarded_free_half(struct guarded_set *set)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (i % 2 == 0) {
            set->all[kept++] = set->all[i];
            continue;
        }
        guarded_check(&set->all[i]);
        restore(&set->all[i], set->use);
        free(set->all[i].block);
    }
    set->count = kept;
}

static inline void guarded_free_all(struct guarded_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct guarded *guarded = &set->all[i];
        guarded_check(guarded);
        restore(guarded, set->use);
        memset(guarded->page == NULL ? guarded->block : guarded->page, 1, PAGE);
        if (i % 3 == 0) { /* as a stack that is too small */
            guarded->block = realloc(guarded->block, guarded->bytes + guarded->bytes / 4);
            CHECK(guarded->block != NULL);
        }
        free(guarded->block);
    }
    set->count = 0;
}

/* ---- what looks at all memory ---- */

static inline void count_by_text(void)
{
    FILE *file = fopen("/dev/null", "w");
    int null = open("/dev/null", O_WRONLY), old = dup(2);
    CHECK(file != NULL && null >= 0 && old >= 0);
    doing = "malloc_info";
    CHECK(malloc_info(0, file) == 0);
    fclose(file);
    doing = "malloc_stats";
    dup2(null, 2);
    malloc_stats();
    dup2(old, 2);
    close(null);
    close(old);
}

static inline size_t used_bytes(void)
{
    doing = "mallinfo2";
    struct mallinfo2 counts = mallinfo2();
    return counts.uordblks + counts.hblkhd;
}

extern void arn_stats_print(int fd) __attribute__((weak));

static inline void look_at_all(void)
{
    (void)used_bytes();
    doing = "mallinfo";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    (void)mallinfo();
#pragma GCC diagnostic pop
    count_by_text();
    doing = "arn_stats_print";
    if (arn_stats_print != NULL) {
        int null = open("/dev/null", O_WRONLY);
        arn_stats_print(null);
        close(null);
    }
    doing = "malloc_trim";
    malloc_trim(0);
    doing = "something else";
}

/* New blocks of each size, where the freed ones were and elsewhere; never in a page that is not there. */
static inline void allocate_among(size_t each)
{
    static _Thread_local struct guarded new[MOST_GUARDED];
    size_t count = 0;
    doing = "allocating";
    for (size_t i = 0; i < GUARDED_SIZES; i++) {
        size_t blocks = guarded_sizes[i] <= 65536 ? each : guarded_sizes[i] <= 1 << 20 ? 1 : 0;
        for (size_t k = 0; k < blocks; k++) {
            CHECK(count < MOST_GUARDED);
            size_t bytes = guarded_sizes[i] - (k % 3 == 0 ? 100 : 0);
            char *block = k % 2 == 0 ? malloc(bytes) : calloc(1, bytes);
            CHECK(block != NULL);
            for (size_t at = 0; k % 2 == 1 && at < bytes; at += 253)
                CHECK(block[at] == 0);
            new[count] = (struct guarded){block, bytes, NULL, (uintptr_t)block + count};
            for (size_t at = 0; at < bytes; at += 1024)
                block[at] = 1;
            guarded_fill(&new[count++]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        guarded_check(&new[i]);
        free(new[i].block);
    }
    doing = "something else";
}

#endif
