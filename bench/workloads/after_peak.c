/* after_peak.c - what stays resident after a peak of 300 MiB, when nearly all of it is free.
 *
 *     after_peak [--keep 0|1] [--scale F]
 *
 * With --keep 1, one block in a hundred survives, all over the heap: the case for which Powers,
 * Tench, Berger and McGregor, "Mesh: Compacting Memory Management for C/C++ Applications", 2019,
 * want to move blocks. Then the program is an idle server for 2 s: it allocates a block every 10 ms, and so gives the
 * allocator a chance to act. --scale multiplies the peak and the time.
 *
 * Prints rss_peak_bytes, and rss_after_bytes, live_bytes at the end.
 */
#include "workload.h"

enum { PEAK_BYTES = 300 << 20, SMALL_OCTAVES = 8, LARGE_BYTES = 1 << 20 };
enum { SMALL_PER_LARGE = 50000, KEPT_OF = 100, LISTS = 256, IDLE_SECONDS = 2 };

/* Blocks are linked through themselves, behind the stamp: an array of them would be resident, too.
 * Of many lists, each is all over the heap. */
struct peak_block {
    uint64_t stamp;
    struct peak_block *next;
};

static struct peak_block *lists[LISTS], *kept;

static void build_peak(uint64_t *seed, size_t peak_bytes)
{
    size_t count = 0;
    for (size_t total = 0, bytes; total < peak_bytes; total += bytes) {
        bytes = ++count % SMALL_PER_LARGE == 0 ? LARGE_BYTES
                                               : 16 + random_power_law(seed, SMALL_OCTAVES);
        struct peak_block *block = block_take(bytes);
        struct peak_block **list = &lists[random_below(seed, LISTS)];
        block->next = *list;
        *list = block;
    }
}

static void free_peak(int keep)
{
    size_t count = 0;
    for (size_t i = 0; i < LISTS; i++) {
        for (struct peak_block *block = lists[i], *next; block != NULL; block = next) {
            next = block->next;
            if (keep && ++count % KEPT_OF == 0) {
                block->next = kept;
                kept = block;
            } else {
                block_drop(block);
            }
        }
    }
}

int main(int argc, char **argv)
{
    double scale = 1, keep = 0, live_bytes = 0;
    uint64_t seed = 10;
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--keep", &keep}, {NULL, NULL}});

    build_peak(&seed, scaled(PEAK_BYTES, scale));
    double rss_peak = resident_bytes();
    free_peak(keep > 0);
    double end = seconds_of(CLOCK_MONOTONIC) + IDLE_SECONDS * scale;
    while (seconds_of(CLOCK_MONOTONIC) < end) {
        block_drop(block_take(100));
        sleep_seconds(0.01);
    }
    for (struct peak_block *block = kept; block != NULL; block = block->next)
        live_bytes += (double)block_check(block);
    print_figure("rss_peak_bytes", rss_peak);
    print_figure("rss_after_bytes", resident_bytes());
    print_figure("live_bytes", live_bytes);
    return 0;
}
