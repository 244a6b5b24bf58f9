/* size_class.c - the tables against what they are meant to be. */
#include "size_class.h"

#include "descriptor.h"
#include "shim.h"

TEST(size_class, every_size_gets_the_smallest_class_that_holds_it)
{
    for (size_t bytes = 0; bytes <= POOLED_BYTES; bytes++) {
        unsigned class_idx = arn__class_of(bytes);
        TRACE("%zu bytes", bytes);
        ASSERT_LT(class_idx, CLASSES);
        ASSERT_GE(arn__size_classes[class_idx].block_bytes, bytes);
        if (class_idx > 0)
            ASSERT_LT(arn__size_classes[class_idx - 1].block_bytes, bytes);
    }
}

TEST(size_class, larger_sizes_have_no_class)
{
    static const size_t sizes[] = {POOLED_BYTES + 1, POOLED_BYTES * 2, PTRDIFF_MAX, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        EXPECT_EQ(arn__class_of(sizes[i]), NO_CLASS);
}

TEST(size_class, classes_grow_and_are_multiples_of_the_quantum)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct size_class *shape = &arn__size_classes[c];
        EXPECT_EQ(shape->block_bytes % QUANTUM_BYTES, 0);
        if (c > 0)
            EXPECT_GT(shape->block_bytes, arn__size_classes[c - 1].block_bytes);
    }
    EXPECT_EQ(arn__size_classes[0].block_bytes, QUANTUM_BYTES);
    EXPECT_EQ(arn__size_classes[CLASSES - 1].block_bytes, POOLED_BYTES);
}

TEST(size_class, wastes_at_most_an_eighth_to_8_kib_and_a_quarter_above)
{
    for (unsigned c = 64; c < CLASSES; c++) {
        size_t bytes = arn__size_classes[c].block_bytes;
        size_t step = bytes - arn__size_classes[c - 1].block_bytes;
        TRACE("class of %zu bytes", bytes);
        EXPECT_LE(step * (bytes <= 8192 ? 8 : 4), arn__size_classes[c - 1].block_bytes);
    }
}

TEST(size_class, a_pool_is_1_4_or_16_slices_full_of_blocks)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct size_class *shape = &arn__size_classes[c];
        size_t pool_bytes = (size_t)shape->slices * SLICE_BYTES;
        TRACE("class of %u bytes", shape->block_bytes);
        EXPECT_TRUE(shape->slices == 1 || shape->slices == 4 || shape->slices == 16);
        EXPECT_EQ(shape->capacity, pool_bytes / shape->block_bytes);
        EXPECT_GE(shape->capacity, 8);
        EXPECT_GE(shape->threshold, 1);
        EXPECT_LE(shape->threshold, (shape->capacity + 7) / 8);
    }
}

/* Of an offset below the end. */
static bool is_right(const struct size_class *shape, size_t offset)
{
    return arn__is_multiple_below(0 - offset, shape->inverse) ==
           (offset > 0 && offset % shape->block_bytes == 0);
}

TEST(size_class, one_multiplication_tells_multiples_at_every_offset_of_a_pool)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct size_class *shape = &arn__size_classes[c];
        for (size_t offset = 0; offset <= (size_t)shape->slices * SLICE_BYTES; offset++) {
            if (!is_right(shape, offset))
                FAIL("offset %zu in blocks of %u bytes", offset, shape->block_bytes);
        }
    }
}

TEST(size_class, one_multiplication_tells_multiples_up_to_an_arena_for_every_class)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct size_class *shape = &arn__size_classes[c];
        for (size_t offset = 0; offset <= ARENA_BYTES; offset += QUANTUM_BYTES / 2) {
            if (!is_right(shape, offset))
                FAIL("offset %zu in blocks of %u bytes", offset, shape->block_bytes);
        }
    }
}

/* The fast path does not ask first whether a pointer is below the end. */
TEST(size_class, one_multiplication_tells_what_lies_above_apart)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct size_class *shape = &arn__size_classes[c];
        for (uint64_t above = 0; above < ARENA_BYTES; above++) {
            if (arn__is_multiple_below(above, shape->inverse))
                FAIL("%zu above, blocks of %u bytes", (size_t)above, shape->block_bytes);
        }
    }
}

/* Pointers that differ in bits from the 40th on lead to one descriptor, and numbers of heaps are added there. */
TEST(size_class, one_multiplication_tells_every_pointer_apart_that_differs_in_upper_bits_alone)
{
    const uint64_t bit = (uint64_t)1 << 40;
    for (unsigned c = 0; c < CLASSES; c++) {
        const struct size_class *shape = &arn__size_classes[c];
        uint64_t first = (uint64_t)shape->capacity * shape->block_bytes, last = shape->block_bytes;
        EXPECT_EQ(shape->inverse % 2, 1);
        for (uint64_t bits = bit; bits != 0; bits += bits < 4096 * bit ? bit : 61 * bit) {
            if (arn__is_multiple_below(bits, shape->inverse) ||
                arn__is_multiple_below(bits - first, shape->inverse) ||
                arn__is_multiple_below(bits - last, shape->inverse))
                FAIL("bits %llx, blocks of %u bytes", (unsigned long long)bits, shape->block_bytes);
            if (bits > 0 - 61 * bit)
                break;
        }
    }
}

TEST(size_class, what_is_no_pool_has_no_multiples)
{
    for (uint64_t offset = 1; offset != 0; offset *= 2) {
        EXPECT_FALSE(arn__is_multiple_below(0 - offset, 0));
        EXPECT_FALSE(arn__is_multiple_below(offset, 0));
    }
}

TEST(size_class, an_aligned_class_is_the_smallest_whose_blocks_all_lie_right)
{
    for (size_t alignment = 1; alignment <= POOLED_BYTES; alignment *= 2) {
        for (size_t bytes = 0; bytes <= POOLED_BYTES; bytes += bytes < 2048 ? 1 : 61) {
            size_t last = bytes == 0 ? 0 : bytes - 1;
            unsigned c = arn__class_of(arn__aligned_last(last, alignment) + 1);
            TRACE("%zu bytes at %zu", bytes, alignment);
            ASSERT_LT(c, CLASSES);
            ASSERT_GE(arn__size_classes[c].block_bytes, bytes);
            ASSERT_EQ(arn__size_classes[c].block_bytes % alignment, 0);
            ASSERT_EQ((size_t)arn__size_classes[c].slices * SLICE_BYTES % alignment, 0);
            for (unsigned smaller = 0; smaller < c; smaller++)
                ASSERT_TRUE(arn__size_classes[smaller].block_bytes < bytes ||
                            arn__size_classes[smaller].block_bytes % alignment != 0);
        }
    }
}

TEST(size_class, quarters_of_powers_of_two_are_not_wasted_on_alignment)
{
    /* A power-of-two request at its own alignment costs no more than itself. */
    for (size_t bytes = 16; bytes <= POOLED_BYTES; bytes *= 2)
        EXPECT_EQ(
            arn__size_classes[arn__class_of(arn__aligned_last(bytes - 1, bytes) + 1)].block_bytes,
            bytes);
}
