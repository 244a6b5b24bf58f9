/* meta.c - zeroed, aligned, apart, and failing gently. */
#include "meta.h"

#include <string.h>

#include "os.h"
#include "pattern.h"
#include "shim.h"

TEST(meta, pieces_are_zero_aligned_and_apart)
{
    char *before = NULL;
    size_t before_bytes = 0;
    for (size_t bytes = 1; bytes < 300000; bytes = bytes * 5 / 3 + 1) {
        char *piece = arn__meta_alloc(bytes);
        ASSERT_NE(piece, NULL);
        EXPECT_EQ((uintptr_t)piece % 64, 0);
        EXPECT_TRUE(pattern_zero(piece, bytes));
        memset(piece, 0xff, bytes);
        if (before != NULL)
            EXPECT_TRUE(before + before_bytes <= piece || piece + bytes <= before);
        before = piece;
        before_bytes = bytes;
    }
    EXPECT_GT(arn__meta_bytes(), 0);
}

TEST(meta, without_memory_it_is_null_until_there_is_some)
{
    while (arn__meta_alloc(60000) != NULL) {
        arn__os_fail_at(1, 1000);
        void *piece = arn__meta_alloc(60000);
        arn__os_fail_at(0, 0);
        if (piece == NULL)
            break;
    }
    size_t bytes = arn__meta_bytes();
    arn__os_fail_at(1, 1000);
    EXPECT_EQ(arn__meta_alloc(1000000), NULL);
    arn__os_fail_at(0, 0);
    EXPECT_EQ(arn__meta_bytes(), bytes);
    EXPECT_NE(arn__meta_alloc(1000000), NULL);
}
