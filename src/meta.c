/* meta.c - a bump pointer through chunks. */
#include "meta.h"

#include <string.h>

#include "guard.h"
#include "lock.h"

enum { CHUNK_BYTES = 32 * 1024, CACHE_LINE = 64 };

static struct lock lock;
static char *chunk;
static size_t left;
static size_t mapped_bytes;

static size_t round_up(size_t bytes)
{
    return (bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
}

void *arn__meta_alloc(size_t bytes)
{
    bytes = round_up(bytes);
    void *result = NULL;
    arn__lock(&lock, RANK_META);
    if (bytes > left) {
        /* What is left of the old chunk is lost: less than one structure. */
        size_t wanted = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        char *fresh = arn__guard_map(wanted);
        if (fresh != NULL) {
            chunk = fresh;
            left = wanted;
            mapped_bytes += wanted;
        }
    }
    if (bytes <= left) {
        result = chunk;
        chunk += bytes;
        left -= bytes;
    }
    arn__unlock(&lock, RANK_META);
    return result;
}

size_t arn__meta_bytes(void)
{
    arn__lock(&lock, RANK_META);
    size_t bytes = mapped_bytes;
    arn__unlock(&lock, RANK_META);
    return bytes;
}

void arn__meta_after_fork(void)
{
    arn__lock_reset(&lock);
    /* The bump pointer may be older than what was carved with it: start anew. */
    left = 0;
}
