/* edge_first.c - what lies before all variables of the library in arenite.o. */
#include "edge.h"

char arn__edge_data_first[EDGE_BYTES] = {1};
char arn__edge_zeros_first[EDGE_BYTES];
