/* public.c - the arn_ names of malloc and its like. */
#include <arenite/arenite.h>
#include <errno.h>

#include "face.h"
#include "os.h"

ARN__ENTRY void *arn_malloc(size_t bytes)
{
    return arn__take(bytes, ORIGIN_MALLOC);
}

ARN__ENTRY void arn_free(void *block)
{
    arn__give(block, "arn_free");
}

ARN__ENTRY void arn_free_sized(void *block, size_t bytes)
{
    arn__give_as(block, "arn_free_sized", (struct claim){ORIGIN_MALLOC, bytes, 1});
}

ARN__ENTRY void arn_free_aligned_sized(void *block, size_t alignment, size_t bytes)
{
    arn__give_as(block, "arn_free_aligned_sized", (struct claim){ORIGIN_MALLOC, bytes, alignment});
}

ARN__ENTRY void *arn_calloc(size_t count, size_t bytes)
{
    return arn__take_zeroed(count, bytes);
}

ARN__ENTRY void *arn_realloc(void *block, size_t bytes)
{
    return arn__take_again(block, bytes, "arn_realloc");
}

ARN__ENTRY void *arn_reallocarray(void *block, size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return arn__take_again(block, total, "arn_reallocarray");
}

ARN__ENTRY void *arn_aligned_alloc(size_t alignment, size_t bytes)
{
    return arn__take_aligned(alignment, bytes, ORIGIN_MALLOC);
}

ARN__ENTRY int arn_posix_memalign(void **block, size_t alignment, size_t bytes)
{
    if (!arn__is_power_of_two(alignment) || alignment % sizeof(void *) != 0)
        return EINVAL;
    void *result = arn__take_aligned(alignment, bytes, ORIGIN_MALLOC);
    if (result == NULL)
        return ENOMEM;
    *block = result;
    return 0;
}

ARN__ENTRY void *arn_memalign(size_t alignment, size_t bytes)
{
    return arn__take_aligned(arn__memalign_power(alignment), bytes, ORIGIN_MALLOC);
}

ARN__ENTRY void *arn_valloc(size_t bytes)
{
    return arn__take_aligned(arn__os_page_bytes(), bytes, ORIGIN_MALLOC);
}

ARN__ENTRY void *arn_pvalloc(size_t bytes)
{
    return arn__take_aligned(arn__os_page_bytes(), arn__pvalloc_bytes(bytes), ORIGIN_MALLOC);
}

size_t arn_malloc_usable_size(void *block)
{
    return arn__taken_bytes(block, "arn_malloc_usable_size");
}

int arn_malloc_trim(size_t keep_bytes)
{
    return arn__trim(keep_bytes);
}
