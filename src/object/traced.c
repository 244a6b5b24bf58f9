/* traced.c - objects in the table of traces. */
#include "traced.h"

/* As arn_domain_stats counts. */
static size_t bytes_of(const struct descriptor *pool)
{
    return pool->bin->is_large ? pool->block_bytes : pool->bin->slot_bytes;
}

void arn__object_trace(void *object, const struct traceback *traceback)
{
    const struct descriptor *pool = arn__typed_pool(object);
    struct heap *heap = arn__thread_enter();
    if (heap == NULL) {
        arn__trace_lose();
        return;
    }
    arn__header(object)->kind |= OBJECT_TRACED;
    arn__trace_put(object, bytes_of(pool), pool->bin->type, traceback);
    arn__thread_leave(heap);
}

void arn__object_untrace(const void *object)
{
    if (!arn__traces(ARN_TRACE_OBJECTS))
        return;
    struct heap *heap = arn__thread_enter();
    if (heap == NULL)
        return; /* a signal handler: objects are not for those */
    arn__trace_remove(object);
    arn__thread_leave(heap);
}

void arn__domain_untrace(struct arn_domain *domain)
{
    if (!arn__traces(ARN_TRACE_OBJECTS))
        return;
    for (uint32_t i = 0; i < domain->roster.pool_count; i++) {
        const struct descriptor *pool = arn__descriptor(domain->roster.pools[i]);
        /* The dead, too: they may wait to be released. */
        for (uint32_t slot = 0; slot < pool->carved; slot++) {
            const char *object = arn__slot(pool->bin, domain->roster.pools[i], slot);
            if (arn__kind_of(arn__header(object)) & OBJECT_TRACED)
                arn__object_untrace(object);
        }
    }
}
