/* descriptor.c - any address has a descriptor; what is not ours has one that says so. */
#include "descriptor.h"

#include <arenite/arenite.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "meta.h"
#include "pool.h"
#include "region.h"
#include "shim.h"

static bool is_nobodys(const void *pointer)
{
    const struct descriptor *d = arn__descriptor(pointer);
    return d->inverse == 0 && arn__kind(d) == KIND_NONE;
}

TEST(descriptor, every_address_has_one_that_can_be_read)
{
    arn_free(arn_malloc(1));
    uintptr_t address = 0;
    for (unsigned bit = 0; bit < 64; bit++) {
        EXPECT_TRUE(is_nobodys((void *)((uintptr_t)1 << bit)));
        address |= (uintptr_t)1 << bit;
        const struct descriptor *d = arn__descriptor((void *)address);
        EXPECT_EQ(d->inverse, 0);
    }
    EXPECT_TRUE(is_nobodys(NULL));
}

TEST(descriptor, what_is_not_ours_has_no_owner)
{
    int object;
    static int static_object;
    void *block = malloc(100);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_TRUE(is_nobodys(&object));
    EXPECT_TRUE(is_nobodys(&static_object));
    EXPECT_TRUE(is_nobodys(block));
    EXPECT_TRUE(is_nobodys(map));
    EXPECT_TRUE(is_nobodys((void *)is_nobodys));
    free(block);
    munmap(map, 4096);
}

TEST(descriptor, a_slice_has_its_own_and_neighbours_are_neighbours)
{
    char *block = arn_malloc(1);
    char *slice = (char *)((uintptr_t)block & ~(uintptr_t)(SLICE_BYTES - 1));
    for (unsigned i = 0; i < SLICE_BYTES; i += 999)
        EXPECT_EQ(arn__descriptor(slice + i), arn__descriptor(slice));
    EXPECT_EQ(arn__arena(slice), arn__arena(slice + 1));
    EXPECT_EQ((uintptr_t)arn__descriptor(slice) % sizeof(struct descriptor), 0);
    EXPECT_EQ(arn__kind(arn__descriptor(block)), KIND_POOL);
    arn_free(block);
}

/* So many tracts of address space, the first one's start at a multiple of their size. */
static char *tracts_of_space(size_t tracts)
{
    char *space = mmap(NULL, (tracts + 1) * TRACT_BYTES, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uintptr_t first = (uintptr_t)space + TRACT_BYTES - 1;
    return space == MAP_FAILED ? NULL : (char *)(first & ~(uintptr_t)(TRACT_BYTES - 1));
}

static void covers(void)
{
    char *space = tracts_of_space(3);
    ASSERT_NE(space, NULL);
    char *edge = space + 2 * TRACT_BYTES;
    ASSERT_FALSE(arn__has_tract(edge));
    ASSERT_TRUE(arn__directory_cover(edge - 1, 1));
    EXPECT_TRUE(arn__has_tract(edge - 1));
    EXPECT_FALSE(arn__has_tract(edge));
    struct tract *table = arn__tract(edge - 1);
    ASSERT_TRUE(arn__directory_cover(edge - 1, 2));
    EXPECT_TRUE(arn__has_tract(edge));
    EXPECT_EQ(arn__tract(edge - 1), table); /* what was there stays */
    EXPECT_NE(arn__tract(edge), table);
    EXPECT_EQ(arn__descriptor(edge - 1), &table->slices[TRACT_SLICES - 1]);
    EXPECT_EQ(arn__descriptor(edge), &arn__tract(edge)->slices[0]);
    EXPECT_EQ(arn__remote(edge - 1), &table->remote[TRACT_SLICES - 1]);
    EXPECT_EQ(arn__arena(edge - 1), &table->arenas[TRACT_ARENAS - 1]);
    EXPECT_TRUE(is_nobodys(edge));
}

TEST(descriptor, tables_are_made_for_every_tract_of_a_range)
{
    IN_OWN_PROCESS(covers());
}

static void refused(void)
{
    char *space = tracts_of_space(1);
    arn__os_fail_at(1, 1000);
    EXPECT_FALSE(arn__directory_cover(space, 1));
    arn__os_fail_at(0, 0);
    EXPECT_FALSE(arn__has_tract(space));
    EXPECT_TRUE(arn__directory_cover(space, 1));
}

TEST(descriptor, a_table_that_cannot_be_had_is_a_failure_not_a_crash)
{
    IN_OWN_PROCESS(refused());
}

/* ---- tracts that share an entry of the root ---- */

static const size_t root_bytes = (size_t)ROOT_ENTRIES << TRACT_SHIFT;

/* The same place, as much as the root covers away: below, or above where nothing is below. */
static void *twin(const void *pointer)
{
    bool below = (uintptr_t)pointer > root_bytes;
    return below ? (char *)pointer - root_bytes : (char *)pointer + root_bytes;
}

static void *take_twin_first(size_t bytes, size_t alignment)
{
    static void *block;
    void *map = MAP_FAILED;
    if (block == NULL) {
        block = arn_malloc(1);
        char *wanted = (char *)((uintptr_t)twin(block) & ~(uintptr_t)(alignment - 1));
        /* Not by the name mmap: a sanitizer allows it some places only. */
        map = (void *)syscall(SYS_mmap, wanted, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    }
    return map != MAP_FAILED ? map : arn__os_map_aligned(bytes, alignment);
}

static bool accept(const void *start, size_t bytes)
{
    return arn__directory_cover(start, bytes);
}

static void shares_an_entry(void)
{
    char *block = arn_malloc(100), *large = arn_malloc(300000);
    EXPECT_NE(arn__descriptor(twin(block)), arn__directory.nowhere);
    EXPECT_FALSE(arn__has_tract(twin(block)));
    EXPECT_EQ(arn__descriptor_if_ours(twin(block)), arn__directory.nowhere);
    EXPECT_FALSE(arn__pool_starts_block(arn__descriptor(block), twin(block)));
    EXPECT_FALSE(arn__directory_admits(twin(large), 1));
    EXPECT_FALSE(arn__directory_cover(twin(large), 1));
    EXPECT_TRUE(arn__directory_admits(large, 1));
    EXPECT_FALSE(arn__directory_admits(large, root_bytes + 1));
    /* What the OS offers there is not taken. */
    char *map =
        arn__directory_place(take_twin_first, arn__os_unmap, SLICE_BYTES, SLICE_BYTES, accept);
    ASSERT_NE(map, NULL);
    EXPECT_TRUE(arn__has_tract(map));
    EXPECT_TRUE(arn__has_tract(block));
    arn_free(block);
    arn_free(large);
}

TEST(descriptor, of_tracts_that_share_an_entry_one_is_ours)
{
    IN_OWN_PROCESS(shares_an_entry());
}

static const size_t twin_sizes[] = {16, 48, 1008, 1152, 4096, 28672, 40000, 300000, 50000000};

TEST_EACH(descriptor, a_pointer_that_shares_the_entry_of_a_block_is_foreign, size_t, bytes,
          twin_sizes)
{
    char *block = arn_malloc(bytes);
    EXPECT_DEATH(arn_free(twin(block)), "not allocated by arenite");
    EXPECT_DEATH(arn_malloc_usable_size(twin(block)), "not allocated by arenite");
    EXPECT_DEATH((void)arn_realloc(twin(block), 5), "not allocated by arenite");
    arn_free(block);
}

/* A start that failed once must not take the table away from blocks that were made meanwhile. */
static void start_after_all(void)
{
    arn__os_fail_at(1, 1);
    char *early = arn_malloc(300000);
    arn__os_fail_at(0, 0);
    char *later = arn_malloc(300000);
    ASSERT_NE(later, NULL);
    if (early != NULL)
        EXPECT_GE(arn_malloc_usable_size(early), 300000);
    arn_free(early);
    arn_free(later);
}

TEST(descriptor, a_table_in_use_is_never_replaced)
{
    IN_OWN_PROCESS(start_after_all());
}

static void small_metadata(void)
{
    enum { COUNT = 2000 };
    static void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = arn_malloc(32768);
    struct arn_stats stats;
    arn_stats(&stats);
    EXPECT_GT(stats.opened_bytes, (size_t)50 << 20);
    EXPECT_LE((stats.metadata_bytes - arn__meta_bytes()) * 1000, stats.opened_bytes * 5);
    EXPECT_LE(sizeof(struct tract) * 1000, (size_t)TRACT_BYTES * 5);
    for (unsigned i = 0; i < COUNT; i++)
        arn_free(blocks[i]);
}

TEST(descriptor, metadata_is_at_most_half_a_percent_of_the_arenas)
{
    IN_OWN_PROCESS(small_metadata());
}
