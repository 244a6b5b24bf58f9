/* descriptor.c - any address has a descriptor; what is not ours has one that says so. */
#include "descriptor.h"

#include <arenite/arenite.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "meta.h"
#include "region.h"
#include "shim.h"

static bool is_nobodys(const void *pointer)
{
    const struct descriptor *d = arn__descriptor(pointer);
    return atomic_load(&d->owner) == NULL && arn__kind(d) == KIND_NONE;
}

TEST(descriptor, every_address_has_one_that_can_be_read)
{
    arn_free(arn_malloc(1));
    uintptr_t address = 0;
    for (unsigned bit = 0; bit < 64; bit++) {
        EXPECT_TRUE(is_nobodys((void *)((uintptr_t)1 << bit)));
        address |= (uintptr_t)1 << bit;
        const struct descriptor *d = arn__descriptor((void *)address);
        EXPECT_EQ(atomic_load(&d->owner), NULL);
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

static void covers(void)
{
    /* Address space that nobody has a table for yet, at the end of one GiB and the start of the
     * next. */
    size_t gib = (size_t)1 << GIB_SHIFT;
    char *space =
        mmap(NULL, 3 * gib, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(space, MAP_FAILED);
    char *edge = (char *)(((uintptr_t)space + 2 * gib) & ~(gib - 1));
    ASSERT_FALSE(arn__has_gib(edge));
    ASSERT_TRUE(arn__directory_cover(edge - 1, 1));
    EXPECT_TRUE(arn__has_gib(edge - 1));
    EXPECT_FALSE(arn__has_gib(edge));
    struct gib *table = arn__gib(edge - 1);
    ASSERT_TRUE(arn__directory_cover(edge - 1, 2));
    EXPECT_TRUE(arn__has_gib(edge));
    EXPECT_EQ(arn__gib(edge - 1), table); /* what was there stays */
    EXPECT_NE(arn__gib(edge), table);
    EXPECT_EQ(arn__descriptor(edge - 1), &table->slices[GIB_SLICES - 1]);
    EXPECT_EQ(arn__descriptor(edge), &arn__gib(edge)->slices[0]);
    EXPECT_EQ(arn__remote(edge - 1), &table->remote[GIB_SLICES - 1]);
    EXPECT_EQ(arn__arena(edge - 1), &table->arenas[GIB_ARENAS - 1]);
    EXPECT_TRUE(is_nobodys(edge));
}

TEST(descriptor, tables_are_made_for_every_gib_of_a_range)
{
    IN_OWN_PROCESS(covers());
}

static void refused(void)
{
    size_t gib = (size_t)1 << GIB_SHIFT;
    char *space =
        mmap(NULL, 2 * gib, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    arn__os_fail_at(1, 1000);
    EXPECT_FALSE(arn__directory_cover(space + gib, 1));
    arn__os_fail_at(0, 0);
    EXPECT_FALSE(arn__has_gib(space + gib));
    EXPECT_TRUE(arn__directory_cover(space + gib, 1));
}

TEST(descriptor, a_table_that_cannot_be_had_is_a_failure_not_a_crash)
{
    IN_OWN_PROCESS(refused());
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
    EXPECT_LE(sizeof(struct gib) * 1000, ((size_t)1 << GIB_SHIFT) * 5);
    for (unsigned i = 0; i < COUNT; i++)
        arn_free(blocks[i]);
}

TEST(descriptor, metadata_is_at_most_half_a_percent_of_the_arenas)
{
    IN_OWN_PROCESS(small_metadata());
}
