/* counts.c - a reference more and one less, all in the cache.
 *
 *     counts [--scale F] [--threads 1|2]
 *
 * pair_ns is of one node again and again, each pair waiting for the one before; spread_ns of a thousand
 * nodes in turn. With two threads, of which the second sleeps, counts that are atomic only where they
 * must be are so.
 */
#include "manager.h"

enum { PAIRS = 200000000, SPREAD = 1000 };

static pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER;

static void *sleep_on(void *nothing)
{
    pthread_mutex_lock(&running);
    pthread_mutex_unlock(&running);
    return nothing;
}

/* Of `pairs`, over `spread` nodes. */
static double ns_of_a_pair(size_t pairs, size_t spread)
{
    ref *refs = refs_new(spread);
    for (size_t i = 0; i < spread; i++)
        refs[i] = node_new();
    double start_ns = now_ns();
    for (size_t left = pairs / spread + 1; left > 0; left--) {
        for (size_t i = 0; i < spread; i++)
            node_pair(&refs[i]);
    }
    double ns = (now_ns() - start_ns) / (double)((pairs / spread + 1) * spread);
    for (size_t i = 0; i < spread; i++) {
        CHECK(refs[i] != NULL && refs[i]->left == NULL && refs[i]->right == NULL);
        node_drop(&refs[i]);
    }
    refs_delete(refs);
    return ns;
}

int main(int argc, char **argv)
{
    double scale = 1, threads = 1;
    struct option options[] = {{"--scale", &scale}, {"--threads", &threads}, {NULL, NULL}};
    read_options(argc, argv, options);
    size_t pairs = scaled(PAIRS, scale);
    pthread_t second;
    pthread_mutex_lock(&running);
    if (threads > 1)
        CHECK(pthread_create(&second, NULL, sleep_on, NULL) == 0);
    manager_start();
    print_figure("pair_ns", ns_of_a_pair(pairs, 1));
    print_figure("spread_ns", ns_of_a_pair(pairs, SPREAD));
    pthread_mutex_unlock(&running);
    if (threads > 1)
        CHECK(pthread_join(second, NULL) == 0);
    return 0;
}
