/* links.c - the secret of the links. */
#include "links.h"

#include "hardened.h"
#include "os.h"
#include "secret.h"

/* All in one cache line, and in the library's first page of data. */
#define TOGETHER __attribute__((section(".data"), aligned(8)))
_Atomic uint64_t arn__link_times TOGETHER = 0;
_Atomic uint64_t arn__link_back TOGETHER = 0;
uint64_t arn__pool_times TOGETHER = 0;
uint64_t arn__tail_times TOGETHER = 0;
uint64_t arn__canary TOGETHER = 0;
uint64_t arn__link_bias TOGETHER = (uint64_t)1 << ARN__ADDRESS_BITS;
uint64_t arn__link_least TOGETHER = -((uint64_t)1 << ARN__ADDRESS_BITS);

const struct block arn__no_block = {0};

/* Of an odd number, modulo 2^64: each step has twice as many bits right (Warren, "Hacker's Delight", 10-16). */
static uint64_t inverse_of(uint64_t odd)
{
    uint64_t inverse = odd * 3 ^ 2; /* 5 bits */
    for (unsigned bits = 5; bits < 64; bits *= 2)
        inverse *= 2 - odd * inverse;
    return inverse;
}

void arn__links_begin(void)
{
    /* relaxed: whoever has a block has come by here since. */
    if (atomic_load_explicit(&arn__link_times, memory_order_relaxed) != 0)
        return;
    uint64_t times = arn__secret(SECRET_LINKS) | 1;
    arn__pool_times = arn__secret(SECRET_POOLS) | 1;
    if (CHECKED_BLOCKS) {
        arn__tail_times = arn__secret(SECRET_TAILS) | 1;
        arn__canary = arn__secret(SECRET_CANARY);
    }
    atomic_store_explicit(&arn__link_back, inverse_of(times), memory_order_relaxed);
    atomic_store_explicit(&arn__link_times, times, memory_order_relaxed);
}
