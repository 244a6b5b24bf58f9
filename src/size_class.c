/* size_class.c - the tables, computed by the preprocessor so that they are constant data. */
#include "size_class.h"

#include "pool.h"

enum { SLICE = 16384 };

/* Pools of one slice to 2 KiB, of 4 to 8 KiB, of 16 (an arena) to 32 KiB: at least 8 blocks. */
#define SLICES(bytes) ((bytes) <= 2048 ? 1 : (bytes) <= 8192 ? 4 : 16)
#define CAPACITY(bytes) (SLICES(bytes) * SLICE / (bytes) - POOL_SKIPPED)

/* An eighth of the pool: what a full pool may hold back before it is used again, against claiming it for
 * every single block. */
#define THRESHOLD(bytes) ((CAPACITY(bytes) + 7) / 8)

#define CLASS(bytes)                                                     \
    {                                                                    \
        (bytes), CAPACITY(bytes), SLICES(bytes), THRESHOLD(bytes),       \
            ((uint64_t)(((unsigned __int128)1 << 64) / (bytes)) + 1) | 1 \
    }

#define FOUR(first, step) \
    CLASS(first), CLASS((first) + (step)), CLASS((first) + 2 * (step)), CLASS((first) + 3 * (step))
#define EIGHT(first, step) FOUR(first, step), FOUR((first) + 4 * (step), step)

const struct size_class arn__size_classes[CLASSES] = {
    EIGHT(16, 16),    EIGHT(144, 16),    EIGHT(272, 16),    EIGHT(400, 16),   EIGHT(528, 16),
    EIGHT(656, 16),   EIGHT(784, 16),    EIGHT(912, 16),    EIGHT(1152, 128), EIGHT(2304, 256),
    EIGHT(4608, 512), FOUR(10240, 2048), FOUR(20480, 4096),
};

const uint8_t arn__medium_classes[POOLED_BYTES >> MEDIUM_SHIFT] = ARN__MEDIUM_CLASSES;
