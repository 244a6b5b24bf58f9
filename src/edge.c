/* edge.c - makes the guards around the library's variables inaccessible. */
#include "edge.h"

#include <stddef.h>

#include "os.h"

void arn__edges_close(void)
{
    char *const edges[] = {arn__edge_data_first, arn__edge_data_last, arn__edge_zeros_first,
                           arn__edge_zeros_last};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        if (edges[i] != NULL)
            arn__os_close(edges[i], EDGE_BYTES);
}
