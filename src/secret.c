/* secret.c - SipHash-2-4 (Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012) of the purpose, keyed by the
 * kernel's random bytes. */
#include "secret.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

static uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void mix(uint64_t v[4], unsigned rounds)
{
    while (rounds-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32) + v[3];
        v[2] += v[1];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

/* Where the kernel gives none, an old emulator's, what is random is where things lie. */
static void read_key(uint64_t key[2])
{
    int saved = errno; /* ENOENT then */
    const void *random = (const void *)getauxval(AT_RANDOM);
    errno = saved;
    if (random != NULL) {
        memcpy(key, random, 2 * sizeof *key);
    } else {
        key[0] = (uintptr_t)key;
        key[1] = (uintptr_t)&errno ^ rotate((uintptr_t)getauxval, 32);
    }
}

uint64_t arn__secret(enum secret purpose)
{
    uint64_t key[2];
    read_key(key);
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                     key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    const uint64_t words[2] = {purpose, (uint64_t)sizeof(uint64_t) << 56}; /* the message, its length */
    for (unsigned i = 0; i < 2; i++) {
        v[3] ^= words[i];
        mix(v, 2);
        v[0] ^= words[i];
    }
    v[2] ^= 0xff;
    mix(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
