/* full_pass.c - full collections of a level tree that lives: what they cost where there is nothing to
 * find.
 *
 *     full_pass [--scale F]
 *
 * first_ns and again_ns are for each node, the second the least of four passes.
 */
#include "manager.h"

static double pass_ns(void)
{
    double start_ns = now_ns();
    CHECK(manager_collect() <= 0);
    return now_ns() - start_ns;
}

int main(int argc, char **argv)
{
    size_t count = scaled(MANY, read_scale(argc, argv));
    manager_start();
    manager_still(count);
    ref tree = tree_new(count);
    print_figure("first_ns", pass_ns() / (double)count);
    double least_ns = pass_ns();
    for (int i = 0; i < 3; i++) {
        double ns = pass_ns();
        least_ns = ns < least_ns ? ns : least_ns;
    }
    print_figure("again_ns", least_ns / (double)count);
    CHECK(manager_lives(count) && tree_count(&tree) == count);
    return 0;
}
