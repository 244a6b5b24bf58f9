/* guard.h - where memory lies that programs write, and where lies what the allocator trusts.
 *
 * What the allocator trusts (tables of descriptors, heaps, records of regions) has a page without access on each
 * side. A program that runs off the end of a block, or of any other memory, faults there. Each such range, and
 * each region, lies at a place chosen by chance, so that no distance leads from a block to its descriptor.
 *
 * A place costs no memory: it is a hint to the kernel, which takes another one where something lies there.
 */
#ifndef ARENITE_GUARD_H
#define ARENITE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* A place for `bytes`, at a multiple of `alignment`, a power of two. NULL: none is known. */
char *arn__guard_place(size_t bytes, size_t alignment);

/* Without a dynamic linker, which lies above free address space, places lie below what the kernel chose first. */
void arn__guard_anchor(const char *start);

/* Address space between two guards, at a multiple of `alignment`, without access until arn__os_open opens it;
 * NULL: no memory. */
char *arn__guard_reserve(size_t bytes, size_t alignment);

/* What to ask for where the range is to be cut out of other address space; and the range, with its guards: the
 * rest is given back. */
size_t arn__guard_room(size_t bytes, size_t alignment);
char *arn__guard_cut(char *start, size_t bytes, size_t alignment);

/* The same, open, zero, and close to others like it: their descriptors share tables. */
char *arn__guard_map_near(size_t bytes, size_t alignment);

/* Gives it back, with its guards. False: it stays. */
bool arn__guard_give(char *base, size_t bytes);

/* Readable and writable zero pages between two guards; NULL: no memory. */
char *arn__guard_map(size_t bytes);

#endif
