/* secret.c - SipHash of a purpose, keyed by the kernel's random bytes. No state. */
#include "secret.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

struct key {
    uint64_t words[2];
};

/* Every kernel since 2.6.29 gives the bytes. Without them: where the kernel put the program's name on the stack,
 * and where the vDSO, which are random places. */
static struct key read_key(void)
{
    struct key key;
    int saved = errno; /* ENOENT for what the kernel does not tell */
    const void *bytes = (const void *)getauxval(AT_RANDOM);
    if (bytes != NULL)
        memcpy(&key, bytes, sizeof key);
    else
        key = (struct key){{getauxval(AT_EXECFN), getauxval(AT_SYSINFO_EHDR)}};
    errno = saved;
    return key;
}

static uint64_t rotated(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void mix(uint64_t v[4], unsigned rounds)
{
    while (rounds-- > 0) {
        v[0] += v[1], v[2] += v[3];
        v[1] = rotated(v[1], 13) ^ v[0], v[3] = rotated(v[3], 16) ^ v[2];
        v[0] = rotated(v[0], 32);
        v[2] += v[1], v[0] += v[3];
        v[1] = rotated(v[1], 17) ^ v[2], v[3] = rotated(v[3], 21) ^ v[0];
        v[2] = rotated(v[2], 32);
    }
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mix(v, 2);
    v[0] ^= word;
}

uint64_t arn__secret(unsigned purpose)
{
    struct key key = read_key();
    uint64_t v[4] = {key.words[0] ^ 0x736f6d6570736575, key.words[1] ^ 0x646f72616e646f6d,
                     key.words[0] ^ 0x6c7967656e657261, key.words[1] ^ 0x7465646279746573};
    absorb(v, purpose);
    absorb(v, (uint64_t)sizeof(uint64_t) << 56); /* the length of the message */
    v[2] ^= 0xff;
    mix(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
