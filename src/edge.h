/* edge.h - guards around the library's variables in a program that is linked with arenite.o.
 *
 * What the library trusts in its own variables, such as the root of the table, would lie among the program's, and
 * whoever runs off the end of an array would reach it. So arenite.o begins and ends its variables with pages that are
 * made inaccessible: in the hardened build at the first block, else as the heap outgrows its first region.
 * edge_first.c is linked before all other files, edge_last.c behind. A shared library needs none: what cannot be
 * written lies below its variables, and the next library's headers above.
 */
#ifndef ARENITE_EDGE_H
#define ARENITE_EDGE_H

enum {
#if defined(__aarch64__)
    EDGE_BYTES = 1 << 16, /* the largest page */
#else
    EDGE_BYTES = 1 << 12,
#endif
};

/* Variables that begin as something, and those that begin as zeros. Weak: only arenite.o has them. */
#define ARN__EDGE __attribute__((visibility("hidden"), weak, aligned(EDGE_BYTES)))
extern char arn__edge_data_first[EDGE_BYTES] ARN__EDGE, arn__edge_data_last[EDGE_BYTES] ARN__EDGE;
extern char arn__edge_zeros_first[EDGE_BYTES] ARN__EDGE, arn__edge_zeros_last[EDGE_BYTES] ARN__EDGE;

/* Where the kernel refuses, they stay accessible, and empty. */
void arn__edges_close(void);

#endif
