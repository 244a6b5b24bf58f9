/* tracing.c - what is traced, where from, and that nothing else is. */
#include <arenite/object.h>
#include <arenite/trace.h>

#include "shim.h"

static void first_block(void)
{
    size_t current, peak;
    ASSERT_EQ(arn_trace_start(4, ARN_TRACE_BLOCKS | ARN_TRACE_OBJECTS), 0);
    void *block = arn_malloc(100);
    arn_trace_get_traced(&current, &peak);
    EXPECT_EQ(current, 112);
    arn_snapshot *snapshot = arn_trace_snapshot();
    arn_trace_print(snapshot, ARN_TRACE_BY_TRACEBACK, 10, 2);
    arn_free(block);
    arn_trace_get_traced(&current, &peak);
    EXPECT_EQ(current, 0);
    EXPECT_EQ(peak, 112);
    arn_trace_stop();
}

TEST(tracing, a_block_is_traced_while_it_is_there)
{
    IN_OWN_PROCESS(first_block());
}
