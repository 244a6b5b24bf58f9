/* os.c - the kernel's answers. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"
#include "sanitized.h"
#include "shim.h"

TEST(os, a_page_is_what_the_system_says)
{
    EXPECT_EQ(arn__os_page_bytes(), (size_t)sysconf(_SC_PAGESIZE));
}

TEST(os, maps_are_zero_and_writable)
{
    size_t page_bytes = arn__os_page_bytes();
    errno = 66;
    char *map = arn__os_map(3 * page_bytes);
    ASSERT_NE(map, NULL);
    EXPECT_TRUE(pattern_zero(map, 3 * page_bytes));
    memset(map, 1, 3 * page_bytes);
    EXPECT_TRUE(arn__os_purge(map, 2 * page_bytes));
    EXPECT_TRUE(pattern_zero(map, 2 * page_bytes));
    EXPECT_EQ(map[2 * page_bytes], 1);
    EXPECT_TRUE(arn__os_unmap(map, 3 * page_bytes));
    EXPECT_EQ(errno, 66);
}

/* Of this process: 0 if the system does not say. */
static size_t mapped_pages(void)
{
    char text[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 ? strtoul(text, NULL, 10) : 0;
}

TEST(os, aligned_maps_are_aligned_and_no_larger)
{
    size_t page_bytes = arn__os_page_bytes(), before = mapped_pages();
    for (size_t alignment = 1; alignment <= (size_t)1 << 30; alignment *= 4) {
        char *map = arn__os_map_aligned(page_bytes, alignment);
        ASSERT_NE(map, NULL);
        EXPECT_EQ((uintptr_t)map % alignment, 0);
        *map = 1;
        /* What was reserved around it is given back. (An emulator's own maps come and go.) */
        if (!EMULATED)
            EXPECT_LE(mapped_pages(), before + 1);
        arn__os_unmap(map, page_bytes);
    }
}

TEST(os, what_is_too_large_is_null)
{
    errno = 66;
    EXPECT_EQ(arn__os_map(SIZE_MAX / 2), NULL);
    EXPECT_EQ(arn__os_map_aligned(SIZE_MAX - 4095, (size_t)1 << 30), NULL);
    EXPECT_EQ(arn__os_reserve((size_t)1 << 60, (size_t)1 << 21), NULL);
    EXPECT_EQ(errno, 66);
}

TEST(os, reserved_pages_open)
{
    size_t bytes = (size_t)4 << 20;
    char *space = arn__os_reserve(bytes, (size_t)2 << 20);
    ASSERT_NE(space, NULL);
    EXPECT_EQ((uintptr_t)space % ((size_t)2 << 20), 0);
    EXPECT_DEATH(*(volatile char *)space = 1, "");
    EXPECT_TRUE(arn__os_open(space, bytes / 2));
    memset(space, 1, bytes / 2);
    EXPECT_DEATH(*(volatile char *)(space + bytes / 2) = 1, "");
    arn__os_unmap(space, bytes);
}

TEST(os, a_mapping_moves_with_its_contents)
{
    size_t page_bytes = arn__os_page_bytes();
    char *map = arn__os_map(4 * page_bytes);
    pattern_fill(map, 4 * page_bytes, 1);
    char *target = arn__os_reserve(9 * page_bytes, page_bytes);
    ASSERT_TRUE(arn__os_move(map, 4 * page_bytes, 9 * page_bytes, target));
    EXPECT_TRUE(pattern_holds(target, 4 * page_bytes, 4 * page_bytes, 1));
    memset(target, 1, 9 * page_bytes);
    EXPECT_TRUE(arn__os_resize(target, 9 * page_bytes, 2 * page_bytes));
    EXPECT_NE(msync(target + 2 * page_bytes, page_bytes, MS_ASYNC), 0);
    arn__os_unmap(target, 2 * page_bytes);
}

TEST(os, every_call_can_be_made_to_fail_and_keeps_errno)
{
    size_t page_bytes = arn__os_page_bytes();
    char *map = arn__os_map(2 * page_bytes), *other = arn__os_map(2 * page_bytes);
    pattern_fill(map, 2 * page_bytes, 1);
    errno = 66;
    arn__os_fail_at(1, LONG_MAX);
    EXPECT_EQ(arn__os_map(page_bytes), NULL);
    EXPECT_EQ(arn__os_map_aligned(page_bytes, 1 << 20), NULL);
    EXPECT_EQ(arn__os_reserve(page_bytes, 1 << 20), NULL);
    EXPECT_EQ(arn__os_reserve_near(NULL, page_bytes), NULL);
    EXPECT_FALSE(arn__os_open(map, page_bytes));
    EXPECT_FALSE(arn__os_unmap(map, page_bytes));
    EXPECT_FALSE(arn__os_purge(map, page_bytes));
    EXPECT_FALSE(arn__os_resize(map, 2 * page_bytes, page_bytes));
    EXPECT_FALSE(arn__os_move(map, 2 * page_bytes, 2 * page_bytes, other));
    EXPECT_FALSE(arn__os_wipe_on_fork(map, page_bytes));
    arn__os_huge(map, page_bytes, true);
    struct os_seed seed = {NULL};
    arn__os_sow(&seed, map, true);
    EXPECT_EQ(seed.page, NULL);
    seed.page = map;
    EXPECT_EQ(arn__os_grow(&seed, page_bytes, page_bytes), NULL);
    EXPECT_EQ(arn__os_grow_at(&seed, other, page_bytes), OS_REFUSED);
    EXPECT_EQ(seed.page, map);
    EXPECT_EQ(atomic_load(&arn__os_failure.calls), 16); /* aligned ones try twice */
    arn__os_fail_at(0, 0);
    EXPECT_EQ(errno, 66);
    EXPECT_TRUE(pattern_holds(map, 2 * page_bytes, 2 * page_bytes, 1));
    arn__os_unmap(map, 2 * page_bytes);
    arn__os_unmap(other, 2 * page_bytes);
}

/* Whether the kernel says that the mapping at this address has this flag; -1: it does not tell. */
static int has_flag(const void *address, const char *flag)
{
    char line[256], wanted[32];
    int found = -1;
    if (EMULATED) /* it makes the file up */
        return found;
    FILE *file = fopen("/proc/self/smaps", "r");
    unsigned long start, end;
    bool here = false;
    snprintf(wanted, sizeof wanted, " %s", flag);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = (unsigned long)address >= start && (unsigned long)address < end;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, wanted) != NULL;
    }
    if (file != NULL)
        fclose(file);
    return found;
}

static void grown_from_seed(bool huge, const char *flag)
{
    size_t page_bytes = arn__os_page_bytes(), bytes = (size_t)4 << 20, group = (size_t)2 << 20;
    char *pages = arn__os_reserve(3 * page_bytes, page_bytes);
    struct os_seed seed = {NULL};
    ASSERT_TRUE(arn__os_open(pages, page_bytes));
    ASSERT_TRUE(arn__os_open(pages + 2 * page_bytes, page_bytes));
    arn__os_sow(&seed, pages + page_bytes, huge);
    if (seed.page == NULL)
        SKIP("this kernel has no huge pages");
    for (unsigned i = 0; i < 3; i++) {
        char *grown = arn__os_grow(&seed, bytes, group);
        ASSERT_NE(grown, NULL);
        EXPECT_EQ((uintptr_t)grown % group, 0);
        EXPECT_NE(has_flag(grown, "wr"), 1);
        ASSERT_TRUE(arn__os_open(grown, bytes));
        EXPECT_TRUE(pattern_zero(grown, bytes));
        memset(grown, 1, bytes);
        EXPECT_NE(has_flag(grown, flag), 0);
        EXPECT_NE(has_flag(grown + bytes - 1, flag), 0);
        char *space = arn__os_reserve(bytes, group);
        ASSERT_NE(space, NULL);
        ASSERT_EQ(arn__os_grow_at(&seed, space + group, group), OS_GROWN);
        EXPECT_TRUE(pattern_zero(space + group, group));
        memset(space + group, 1, group);
        EXPECT_NE(has_flag(space + group, flag), 0);
        EXPECT_EQ(has_flag(space, "rd") == 1, false); /* the rest is as it was */
        /* No table of the seed's neighbours has come along. An emulator puts what grows where it likes. */
        if (!EMULATED)
            EXPECT_EQ((uintptr_t)(seed.page + page_bytes) % group, 0);
        arn__os_unmap(space, bytes);
        arn__os_unmap(grown, bytes);
    }
    memset(pages, 1, page_bytes); /* what was beside it is where it was */
    memset(pages + 2 * page_bytes, 1, page_bytes);
}

TEST(os, what_grows_from_a_seed_has_its_pages)
{
    IN_OWN_PROCESS(grown_from_seed(true, "hg"));
    IN_OWN_PROCESS(grown_from_seed(false, "nh"));
}

/* A place that something else is in by then is left alone: here it is not even reserved. */
static void grown_into_a_gap(void)
{
    size_t page_bytes = arn__os_page_bytes();
    char *pages = arn__os_reserve(page_bytes, page_bytes), *odd = arn__os_map(2 * page_bytes);
    struct os_seed seed = {NULL};
    arn__os_sow(&seed, pages, true);
    if (seed.page == NULL)
        SKIP("this kernel has no huge pages");
    memset(odd, 7, 2 * page_bytes);
    EXPECT_EQ(arn__os_grow_at(&seed, odd + 1, page_bytes), OS_LOST); /* the kernel refuses it */
    EXPECT_EQ(odd[0] + odd[page_bytes], 14);
}

TEST(os, a_place_that_may_be_anothers_is_told)
{
    IN_OWN_PROCESS(grown_into_a_gap());
}

TEST(os, reserved_pages_are_small_ones_where_the_kernel_goes_by_it)
{
    if (EMULATED || !arn__os_stacks_are_small())
        SKIP("not this kernel");
    char *space = arn__os_reserve((size_t)4 << 20, (size_t)2 << 20);
    int small = has_flag(space, "nh");
    if (small < 0)
        SKIP("the kernel does not tell");
    EXPECT_EQ(small, 1);
    arn__os_unmap(space, (size_t)4 << 20);
}

TEST(os, only_the_calls_that_are_to_fail_do)
{
    size_t page_bytes = arn__os_page_bytes();
    arn__os_fail_at(2, 3);
    char *first = arn__os_map(page_bytes);
    EXPECT_NE(first, NULL);
    EXPECT_EQ(arn__os_map(page_bytes), NULL);
    EXPECT_EQ(arn__os_map(page_bytes), NULL);
    char *fourth = arn__os_map(page_bytes);
    EXPECT_NE(fourth, NULL);
    arn__os_fail_at(0, 0);
    arn__os_unmap(first, page_bytes);
    arn__os_unmap(fourth, page_bytes);
}

TEST(os, a_page_wiped_on_fork_is_zero_in_the_child)
{
    if (EMULATED)
        SKIP("qemu says that it wipes, and does not");
    size_t page_bytes = arn__os_page_bytes();
    char *page = arn__os_map(page_bytes);
    memset(page, 1, page_bytes);
    if (!arn__os_wipe_on_fork(page, page_bytes))
        SKIP("this kernel does not do it");
    pid_t child = fork();
    if (child == 0)
        _exit(pattern_zero(page, page_bytes) ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(page[0], 1);
    arn__os_unmap(page, page_bytes);
}

static bool is_limited(int resource)
{
    struct rlimit limit;
    return getrlimit(resource, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

static void limited(void)
{
    EXPECT_EQ(arn__os_memory_limit(), SIZE_MAX);
    struct rlimit limit = {(rlim_t)1 << 45, (rlim_t)1 << 45};
    ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    EXPECT_EQ(arn__os_memory_limit(), (size_t)1 << 45);
    limit.rlim_cur = (rlim_t)1 << 40;
    ASSERT_EQ(setrlimit(RLIMIT_DATA, &limit), 0);
    EXPECT_EQ(arn__os_memory_limit(), (size_t)1 << 40);
}

TEST(os, a_limit_on_memory_is_seen)
{
    if (SANITIZED)
        SKIP("a sanitizer has terabytes");
    if (EMULATED)
        SKIP("an emulator ignores it");
    if (is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA))
        SKIP("memory is limited already");
    IN_OWN_PROCESS(limited());
}

static double monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* By no more than another clock, whose steps are finer, but for one step of this. */
TEST(os, time_goes_forward)
{
    struct timespec step;
    ASSERT_EQ(clock_getres(CLOCK_MONOTONIC_COARSE, &step), 0);
    double before = monotonic_ms();
    uint32_t start = arn__os_now_ms(), end;
    while ((end = arn__os_now_ms()) == start)
        ;
    EXPECT_LE(end - start, monotonic_ms() - before + (double)step.tv_nsec / 1e6 + 1);
}

TEST(os, waiting_for_a_word_that_has_changed_does_not_sleep)
{
    _Atomic uint32_t word = 3;
    errno = 66;
    arn__os_wait(&word, 2);
    arn__os_wake(&word, 1);
    EXPECT_EQ(errno, 66);
}

TEST(os, the_environment_is_read)
{
    bool known = false;
    EXPECT_EQ(arn__os_environment("ARENITE_NO_SUCH_VARIABLE", &known), NULL);
    EXPECT_TRUE(known);
    EXPECT_NE(arn__os_environment("PATH", &known), NULL);
}

TEST(os, a_file_is_known_by_any_descriptor)
{
    struct os_file first, again, other;
    int ends[2], others[2];
    ASSERT_EQ(pipe(ends), 0);
    ASSERT_EQ(pipe(others), 0);
    int copy = arn__os_duplicate(ends[1], 60);
    EXPECT_GE(copy, 60);
    EXPECT_EQ(fcntl(copy, F_GETFD), FD_CLOEXEC);
    EXPECT_TRUE(arn__os_file(ends[1], &first));
    EXPECT_TRUE(arn__os_file(copy, &again));
    EXPECT_TRUE(arn__os_file(others[1], &other));
    EXPECT_TRUE(first.device == again.device && first.number == again.number);
    EXPECT_NE(first.number, other.number);
    EXPECT_FALSE(first.regular);
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(others[i]);
    }
    close(copy);
    errno = 66;
    EXPECT_FALSE(arn__os_file(copy, &again));
    EXPECT_EQ(arn__os_duplicate(copy, 60), -1);
    EXPECT_EQ(arn__os_birth_ns(copy), 0);
    EXPECT_EQ(errno, 66);
}

/* Each could be taken for any other of them. */
TEST(os, an_eventfd_is_no_file_with_a_number)
{
    struct os_file file;
    int event = eventfd(0, 0);
    ASSERT_GE(event, 0);
    EXPECT_FALSE(arn__os_file(event, &file));
    close(event);
}
