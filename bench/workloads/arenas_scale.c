/* arenas_scale.c - blocks come and go among --arenas N times 256 KiB, each of which holds little.
 *
 *     arenas_scale [--arenas N] [--scale F]
 *
 * For time against the number of arenas, by the ten thousand. No paper: what grows faster than cache
 * and TLB misses explain is an allocator that searches through them, be they called chunks, segments
 * or superblocks. A quarter of the blocks stay for good, so that hardly an arena empties. Only the
 * first word of a block is written and the last, so that an arena needs some 40 KiB of memory, where
 * huge pages do not make it more.
 *
 * Prints processor time per block: fill_ns, to fill the arenas; thin_ns, to free five blocks in eight;
 * replacement_ns, at random among all arenas; batch_ns, of small blocks taken and dropped, for which
 * the gaps are right; large_ns, of replacing a few that need many arenas in a row.
 */
#include "workload.h"

enum { ARENA_BYTES = 256 << 10, LEAST_BYTES = 16 << 10, OCTAVES = 3 };
enum { MEAN_BYTES = LEAST_BYTES * 3 / 2 * ((1 << OCTAVES) - 1) / OCTAVES };
enum { KEPT_OF = 4, REPLACED_OF = 8, REPLACEMENTS = 100000 };
enum { BATCHES = 100, BATCH_BLOCKS = 1024, BATCH_LEAST_BYTES = 512, BATCH_MOST_BYTES = 8192 };
enum { LARGE_REPLACEMENTS = 10000, LARGE_BLOCKS = 16, LARGE_LEAST_BYTES = 512 << 10 };

static double start;

static void begin(void)
{
    start = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static void end(const char *key, size_t blocks)
{
    double seconds = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - start;
    print_figure(key, seconds * 1e9 / (double)blocks);
}

/* Up to 8 times `least_bytes`, each octave as often as any other. */
static void *take_sparse(uint64_t *seed, uint32_t least_bytes)
{
    uint32_t octave_bytes = least_bytes << random_below(seed, OCTAVES);
    size_t bytes = octave_bytes + random_below(seed, octave_bytes);
    return block_mark(malloc(bytes), bytes);
}

/* Those that stay and those that will be replaced are spread evenly. */
static void thin(void **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i % KEPT_OF != 0 && i % REPLACED_OF != 1) {
            block_drop(blocks[i]);
            blocks[i] = NULL;
        }
    }
}

static void replace(void **blocks, size_t count, size_t replacements, uint64_t *seed)
{
    for (; replacements > 0; replacements--) {
        size_t nth = random_below(seed, (uint32_t)(count / REPLACED_OF));
        void **block = &blocks[nth * REPLACED_OF + 1];
        block_drop(*block);
        *block = take_sparse(seed, LEAST_BYTES);
    }
}

static void replace_batches(size_t batches, uint64_t *seed)
{
    static void *blocks[BATCH_BLOCKS];
    enum { RANGE = BATCH_MOST_BYTES - BATCH_LEAST_BYTES + 1 };
    for (; batches > 0; batches--) {
        for (size_t i = 0; i < BATCH_BLOCKS; i++)
            blocks[i] = block_take(BATCH_LEAST_BYTES + random_below(seed, RANGE));
        for (size_t i = 0; i < BATCH_BLOCKS; i++)
            block_drop(blocks[i]);
    }
}

static void replace_large(size_t replacements, uint64_t *seed)
{
    static void *blocks[LARGE_BLOCKS];
    for (; replacements > 0; replacements--) {
        void **block = &blocks[random_below(seed, LARGE_BLOCKS)];
        block_drop(*block);
        *block = take_sparse(seed, LARGE_LEAST_BYTES);
    }
    for (size_t i = 0; i < LARGE_BLOCKS; i++)
        block_drop(blocks[i]);
}

int main(int argc, char **argv)
{
    double scale = 1, arenas = 1000;
    uint64_t seed = 15;
    read_options(argc, argv,
                 (struct option[]){{"--scale", &scale}, {"--arenas", &arenas}, {NULL, NULL}});
    size_t replacements = scaled(REPLACEMENTS, scale), batches = scaled(BATCHES, scale);
    size_t large = scaled(LARGE_REPLACEMENTS, scale);

    size_t count = (size_t)(arenas * ARENA_BYTES / MEAN_BYTES) + REPLACED_OF;
    void **blocks = malloc(count * sizeof *blocks);
    CHECK(blocks != NULL);

    begin();
    for (size_t i = 0; i < count; i++)
        blocks[i] = take_sparse(&seed, LEAST_BYTES);
    end("fill_ns", count);

    begin();
    thin(blocks, count);
    end("thin_ns", count * 5 / 8);

    begin();
    replace(blocks, count, replacements, &seed);
    end("replacement_ns", replacements);

    begin();
    replace_batches(batches, &seed);
    end("batch_ns", batches * BATCH_BLOCKS);

    begin();
    replace_large(large, &seed);
    end("large_ns", large);

    for (size_t i = 0; i < count; i++)
        block_drop(blocks[i]);
    free(blocks);
    return 0;
}
