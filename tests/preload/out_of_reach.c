/* out_of_reach.c - whoever runs off the end of a block meets memory that cannot be accessed, before anything of the
 * allocator's.
 *
 * What can be reached from a block are the writable mappings around it, as far as they touch. The allocator's
 * records tell where a block's pool or arena is; so in this memory no word points there, but within the pool or arena
 * itself.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "self.h"

enum { MOST_MAPPINGS = 4096, ARENA_BYTES = 256 << 10 };

struct mapping {
    uintptr_t start, end;
    char access[5];
};

static struct mapping mappings[MOST_MAPPINGS];
static size_t mapping_count;

/* By read alone: a stream would allocate. */
static void read_mappings(void)
{
    static char text[1 << 20];
    size_t length = 0;
    ssize_t got;
    int file = open("/proc/self/maps", O_RDONLY);
    CHECK(file >= 0);
    while ((got = read(file, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    close(file);
    text[length] = '\0';
    mapping_count = 0;
    for (char *line = text; line != NULL && *line != '\0';) {
        struct mapping *mapping = &mappings[mapping_count++];
        CHECK(mapping_count < MOST_MAPPINGS);
        mapping->start = strtoul(line, &line, 16);
        mapping->end = strtoul(line + 1, &line, 16);
        memcpy(mapping->access, line + 1, 4);
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
}

static bool is_writable(const struct mapping *mapping)
{
    return mapping->access[1] == 'w';
}

/* What can be read or written. */
static bool is_accessible(const struct mapping *mapping)
{
    return mapping->access[0] == 'r' || is_writable(mapping);
}

/* The mappings first to end can be written and touch. */
static void find_reach(uintptr_t address, size_t *first, size_t *end)
{
    size_t i = 0;
    while (i < mapping_count && mappings[i].end <= address)
        i++;
    CHECK(i < mapping_count && mappings[i].start <= address && is_writable(&mappings[i]));
    *first = i;
    while (*first > 0 && mappings[*first - 1].end == mappings[*first].start &&
           is_writable(&mappings[*first - 1]))
        --*first;
    *end = i + 1;
    while (*end < mapping_count && mappings[*end].start == mappings[*end - 1].end &&
           is_writable(&mappings[*end]))
        ++*end;
}

static void tell(const char *what, size_t bytes, uintptr_t block, uintptr_t at)
{
    dprintf(2, "block of %zu bytes at %zx: %s at %zx\n", bytes, block, what, at);
    for (size_t i = 0; i < mapping_count; i++)
        dprintf(2, "%zx-%zx %s\n", mappings[i].start, mappings[i].end, mappings[i].access);
    _exit(1);
}

/* A hole, or reserved. */
static void check_ends(size_t first, size_t end, size_t bytes, uintptr_t block)
{
    if (first > 0 && mappings[first - 1].end == mappings[first].start &&
        is_accessible(&mappings[first - 1]))
        tell("memory that can be read lies below", bytes, block, mappings[first].start);
    if (end < mapping_count && mappings[end].start == mappings[end - 1].end &&
        is_accessible(&mappings[end]))
        tell("memory that can be read lies above", bytes, block, mappings[end].start);
}

/* Only pages that are there are looked at: what was never touched holds no record. */
static void check_reach(uintptr_t block, size_t bytes)
{
    size_t first, end;
    static unsigned char there[1 << 20];
    uintptr_t arena = block & ~(uintptr_t)(ARENA_BYTES - 1);
    find_reach(block, &first, &end);
    check_ends(first, end, bytes, block);
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = first; i < end; i++) {
        size_t pages = (mappings[i].end - mappings[i].start) / page_bytes;
        CHECK(pages < sizeof there);
        CHECK(mincore((void *)mappings[i].start, mappings[i].end - mappings[i].start, there) == 0);
        for (size_t page = 0; page < pages; page++) {
            uintptr_t at = mappings[i].start + page * page_bytes;
            if ((there[page] & 1) == 0 || at - arena < ARENA_BYTES)
                continue;
            for (size_t k = 0; k < page_bytes; k += sizeof(uintptr_t)) {
                if (*(const uintptr_t *)(at + k) - arena < ARENA_BYTES)
                    tell("a word that points there", bytes, block, at + k);
            }
        }
    }
}

/* Addresses are kept complemented, and not in blocks: they are not to be found. */
enum { MOST_BLOCKS = 4000 };
static uintptr_t hidden[MOST_BLOCKS];

static const struct {
    size_t bytes, blocks;
} loads[] = {{24, 1},      {24, 4000},   {1000, 4000},  {5000, 2000},  {20000, 2000},
             {40000, 300}, {300000, 60}, {1 << 20, 60}, {16 << 20, 3}, {40 << 20, 2}};

static void take_and_look(void)
{
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        size_t bytes = loads[i].bytes, blocks = loads[i].blocks;
        for (size_t k = 0; k < blocks; k++) {
            void *block = opaque(malloc(bytes));
            CHECK(block != NULL);
            memset(block, 1, bytes < 100 ? bytes : 100);
            hidden[k] = ~(uintptr_t)block;
        }
        read_mappings();
        for (size_t k = 0; k < blocks; k += blocks / 20 + 1)
            check_reach(~hidden[k], bytes);
        for (size_t k = 0; k < blocks; k += 2)
            free((void *)~hidden[k]);
    }
}

int main(void)
{
    if (emulated())
        SKIP("the emulator makes the mappings up");
    run_apart(take_and_look, 60, "blocks of all sizes");
    return 0;
}
