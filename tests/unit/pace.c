/* pace.c - turns take a hundredth of the time, on a clock of the test's own. */
#include "pace.h"

#include "pattern.h"
#include "shim.h"

/* A turn is wanted each microsecond; one in 20,000 is not asked whether it may be. */
static void run(uint64_t credit_ns, uint64_t *spent, uint64_t *all)
{
    enum { STEPS = 2000000, STEP_NS = 1000 };
    struct pace pace = {0};
    uint64_t now = 1, seed = 3;
    *spent = 0;
    for (unsigned i = 0; i < STEPS; i++) {
        now += STEP_NS;
        if (arn__pace_rests(&pace, now, credit_ns) && pattern_random(&seed) % 20000 != 0)
            continue;
        uint64_t from = now, took = 5000 + pattern_random(&seed) % 80000;
        now += took;
        *spent += took;
        arn__pace_took(&pace, from, now);
    }
    *all = now;
}

TEST(pace, turns_take_a_hundredth_of_the_time)
{
    uint64_t spent, all;
    run(0, &spent, &all);
    EXPECT_LE(spent * 100, all + all / 50);
    EXPECT_GE(spent * 100, all - all / 10);
}

TEST(pace, credit_is_spent_once)
{
    enum { CREDIT_NS = 1000000000 };
    uint64_t plain, spent, all;
    run(0, &plain, &all);
    run(CREDIT_NS, &spent, &all);
    EXPECT_GE(spent, plain + CREDIT_NS / 99 - CREDIT_NS / 1000);
    EXPECT_LE(spent, plain + CREDIT_NS / 99 + CREDIT_NS / 1000);
}

/* Whoever was not run for a second did not work for a second. */
TEST(pace, a_long_turn_counts_as_a_millisecond)
{
    struct pace pace = {0};
    arn__pace_took(&pace, 1000000000, 2000000000);
    EXPECT_TRUE(arn__pace_rests(&pace, 2098999999, 0));
    EXPECT_FALSE(arn__pace_rests(&pace, 2099000000, 0));
    EXPECT_FALSE(arn__pace_rests(&pace, 2000000000, 99000000));
}
