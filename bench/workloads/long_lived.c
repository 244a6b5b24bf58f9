/* long_lived.c - a heap of constant size that lives long while the sizes of its blocks change.
 *
 *     long_lived [--scale F]
 *
 * Fragmentation comes from phases: Wilson, Johnstone, Neely and Boles, "Dynamic Storage Allocation:
 * A Survey and Critical Review", 1995; Robson, "Bounds for Some Functions Concerning Dynamic Storage
 * Allocation", 1974, has small blocks survive where larger ones are wanted next. Blocks die at
 * random, so every phase leaves some behind in the next ones.
 *
 * Prints live_bytes and rss_bytes: what was allocated and what was resident, averaged over the run.
 */
#include "workload.h"

enum { LIVE_BYTES = 64 << 20, PHASE_BYTES = 96 << 20, LEAST_BYTES = 48 };
enum { SAMPLES = 8 }; /* in a phase */

/* Around so many bytes are asked for in each phase; half of the least is LEAST_BYTES. */
static const uint32_t phases[] = {128, 384, 192, 1280, 96, 3000, 640, 10000, 256, 160, 5000, 800};

static void *blocks[LIVE_BYTES / LEAST_BYTES];
static size_t count, live_bytes;

static void drop_one(uint64_t *seed)
{
    void **block = &blocks[random_below(seed, (uint32_t)count)];
    live_bytes -= block_check(*block);
    block_drop(*block);
    *block = blocks[--count];
}

/* Allocates `more` bytes of about the phase's size, each from half of it to three halves. */
static void churn(size_t more, uint32_t phase, uint64_t *seed)
{
    for (size_t done = 0; done < more;) {
        size_t bytes = phase / 2 + random_below(seed, phase);
        while (live_bytes + bytes > LIVE_BYTES)
            drop_one(seed);
        blocks[count++] = block_take(bytes);
        live_bytes += bytes;
        done += bytes;
    }
}

int main(int argc, char **argv)
{
    double scale = 1, live_sum = 0, rss_sum = 0;
    uint64_t seed = 7;
    size_t samples = 0;
    read_options(argc, argv, (struct option[]){{"--scale", &scale}, {NULL, NULL}});

    churn(LIVE_BYTES, phases[0], &seed);
    for (size_t phase = 0; phase < sizeof phases / sizeof *phases; phase++) {
        for (unsigned i = 0; i < SAMPLES; i++, samples++) {
            churn(scaled(PHASE_BYTES / SAMPLES, scale), phases[phase], &seed);
            live_sum += (double)live_bytes;
            rss_sum += resident_bytes();
        }
    }
    while (count > 0)
        drop_one(&seed);
    print_figure("live_bytes", live_sum / (double)samples);
    print_figure("rss_bytes", rss_sum / (double)samples);
    return 0;
}
