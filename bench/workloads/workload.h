/* workload.h - what the workloads share: options, random numbers, blocks that notice a wrong
 * allocator, threads, and figures to print.
 *
 * The random numbers are the same in every run, so every allocator is asked the same. Work is given
 * as a count, never as a time; --scale multiplies it.
 */
#ifndef ARENITE_WORKLOAD_H
#define ARENITE_WORKLOAD_H

#include <pthread.h>
#ifndef __cplusplus /* which has its own */
#include <stdatomic.h>
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, MOST_THREADS = 256 };

/* An allocator that is wrong cannot be fast: the run ends here, with status 1. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

__attribute__((noreturn)) static inline void check_failed(const char *file, int line,
                                                          const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    _exit(1);
}

/* ---- options ---- */

struct option {
    const char *name;
    double *value; /* holds the default */
};

/* A number, or one with k, M or G behind it. */
static inline double read_number(const char *text, char **end)
{
    double number = strtod(text, end);
    const char *units = "kMG", *unit = **end == '\0' ? NULL : strchr(units, **end);
    if (unit == NULL)
        return number;
    ++*end;
    return number * (double)((size_t)1 << 10 * (unit - units + 1));
}

/* `options` ends with a NULL name. What is not among them is refused with status 2. */
static inline void read_options(int count, char **arguments, const struct option *options)
{
    for (int i = 1; i < count; i += 2) {
        const struct option *option = options;
        char *end = NULL;
        while (option->name != NULL && strcmp(option->name, arguments[i]) != 0)
            option++;
        if (option->name != NULL && i + 1 < count)
            *option->value = read_number(arguments[i + 1], &end);
        if (end == NULL || *end != '\0' || !(*option->value >= 0)) {
            fprintf(stderr, "%s: %s: no such option, or no number\n", arguments[0], arguments[i]);
            exit(2);
        }
    }
}

static inline size_t scaled(size_t work, double scale)
{
    size_t result = (size_t)((double)work * scale);
    return result > 0 ? result : 1;
}

static inline double default_threads(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 2 ? 2 : online < MOST_THREADS ? (double)online : (double)MOST_THREADS;
}

/* The value of --threads, which must make sense. */
static inline unsigned thread_count(double threads, unsigned least)
{
    if (threads < least || threads > MOST_THREADS) {
        fprintf(stderr, "--threads: %u to %u\n", least, (unsigned)MOST_THREADS);
        exit(2);
    }
    return (unsigned)threads;
}

/* ---- random numbers: splitmix64 (Steele, Lea and Flood, 2014) ---- */

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline size_t random_below(uint64_t *state, uint32_t limit)
{
    return (size_t)((random_next(state) >> 32) * limit >> 32);
}

/* 16 up to 16 << octaves: each octave half as often as the one below, so that all hold the same
 * number of bytes. */
static inline size_t random_power_law(uint64_t *state, unsigned octaves)
{
    uint64_t r = random_next(state);
    size_t octave_bytes = (size_t)16 << __builtin_ctzll(r | (uint64_t)1 << (octaves - 1));
    return octave_bytes + (size_t)((r >> 32) * octave_bytes >> 32);
}

/* ---- blocks, of at least 16 bytes ---- */

/* The first word and the last are stamped with size and address. A block that is freed loses its
 * stamp: of two owners of the same block, the second to free it notices. */
static inline uint64_t block_stamp(const void *block, size_t bytes)
{
    return (uintptr_t)block * 0x9e3779b97f4a7c15u ^ bytes;
}

static inline void *block_mark(void *block, size_t bytes)
{
    CHECK(block != NULL && (uintptr_t)block % 16 == 0);
    uint64_t stamp = block_stamp(block, bytes);
    memcpy((char *)block + bytes - sizeof stamp, &stamp, sizeof stamp);
    memcpy(block, &stamp, sizeof stamp);
    return block;
}

/* The size with which it was marked. */
static inline size_t block_check(const void *block)
{
    uint64_t first, last;
    memcpy(&first, block, sizeof first);
    size_t bytes = first ^ block_stamp(block, 0);
    CHECK(bytes >= 16 && bytes < (size_t)1 << 40);
    memcpy(&last, (const char *)block + bytes - sizeof last, sizeof last);
    CHECK(first == last);
    return bytes;
}

/* Writes to every page, as the usual owner does. */
static inline void *block_take(size_t bytes)
{
    char *block = (char *)block_mark(malloc(bytes), bytes);
    for (size_t i = PAGE_BYTES; i + 8 < bytes; i += PAGE_BYTES)
        block[i] = 1;
    return block;
}

static inline void block_drop(void *block)
{
    if (block == NULL)
        return;
    block_check(block);
    memset(block, 0, sizeof(uint64_t));
    free(block);
}

/* ---- threads ---- */

/* Runs body(0), body(1), … at the same time, and returns when all have; at most MOST_THREADS. */
static inline void run_threads(unsigned count, void *(*body)(void *idx))
{
    pthread_t threads[MOST_THREADS];
    for (uintptr_t i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
    for (unsigned i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* ---- figures ---- */

static inline double resident_bytes(void)
{
    unsigned long pages = 0;
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fgets(text, sizeof text, file) != NULL);
    CHECK(sscanf(text, "%*u %lu", &pages) == 1);
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static inline double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline void sleep_seconds(double seconds)
{
    struct timespec span = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&span, NULL);
}

static inline void print_figure(const char *key, double value)
{
    printf("%s %.12g\n", key, value);
}

#endif
