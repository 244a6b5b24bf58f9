/* edge_last.c - what lies behind all variables of the library in arenite.o. */
#include "edge.h"

/* A section of its own: compilers put some of the others' variables into sections that come after .data. */
__attribute__((section(".data.arn_last"))) char arn__edge_data_last[EDGE_BYTES] = {1};
char arn__edge_zeros_last[EDGE_BYTES];
