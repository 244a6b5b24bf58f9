/* nodes.c - a level tree of nodes that are nothing but two references: what a node takes.
 *
 *     nodes [--scale F]
 *
 * node_bytes is what the resident set has grown by at its peak, for each node.
 */
#include "manager.h"

static double peak_bytes(void)
{
    char line[256];
    double kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "VmHWM: %lf kB", &kib) != 1)
        ;
    fclose(file);
    CHECK(kib > 0);
    return kib * 1024;
}

int main(int argc, char **argv)
{
    size_t count = scaled(MANY, read_scale(argc, argv));
    manager_start();
    ref first = node_new(); /* what a first node takes is not the others' */
    double before_bytes = peak_bytes(), start_ns = now_ns();
    ref tree = tree_new(count);
    double built_ns = now_ns() - start_ns;
    print_figure("node_bytes", (peak_bytes() - before_bytes) / (double)count);
    print_figure("new_ns", built_ns / (double)count);
    CHECK(tree_count(&tree) == count);
    node_drop(&tree);
    node_drop(&first);
    return 0;
}
