/* secret.c - numbers that differ by purpose and by process, and tell nothing of the kernel's bytes. */
#include "secret.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "shim.h"

TEST(secret, is_the_same_for_the_same_purpose_and_another_for_each)
{
    enum { PURPOSES = 1000 };
    uint64_t secrets[PURPOSES];
    errno = 66;
    for (unsigned i = 0; i < PURPOSES; i++)
        secrets[i] = arn__secret(i);
    EXPECT_EQ(errno, 66);
    for (unsigned i = 0; i < PURPOSES; i++) {
        EXPECT_EQ(arn__secret(i), secrets[i]);
        for (unsigned k = 0; k < i; k++)
            EXPECT_NE(secrets[k], secrets[i]);
    }
}

/* Each of the kernel's bits changes about half of a number's: any pattern of as many bits as a test can look at
 * would tell something. */
TEST(secret, changes_as_a_whole_with_each_of_the_kernels_bits)
{
    unsigned char *bytes = (unsigned char *)getauxval(AT_RANDOM);
    if (bytes == NULL)
        SKIP("the kernel gives none");
    uint64_t before = arn__secret(7);
    unsigned changed = 0;
    for (unsigned bit = 0; bit < 128; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        unsigned differ = (unsigned)__builtin_popcountll(arn__secret(7) ^ before);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        EXPECT_GT(differ, 8);
        EXPECT_LT(differ, 56);
        changed += differ;
    }
    EXPECT_GT(changed, 128 * 28);
    EXPECT_LT(changed, 128 * 36);
    EXPECT_EQ(arn__secret(7), before);
}

/* Computed by another implementation, which agrees with the example of the authors. */
TEST(secret, is_siphash)
{
    unsigned char *bytes = (unsigned char *)getauxval(AT_RANDOM), kept[16];
    if (bytes == NULL)
        SKIP("the kernel gives none");
    memcpy(kept, bytes, sizeof kept);
    for (unsigned i = 0; i < 16; i++)
        bytes[i] = (unsigned char)i;
    uint64_t secret = arn__secret(0x03020100);
    memcpy(bytes, kept, sizeof kept);
    EXPECT_EQ(secret, 0xf5d2e10c8f19ac68);
}
