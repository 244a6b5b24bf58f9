/* foreign.h - names that libc, or C, lacks, and the library has: weak, for programs are linked without it before it
 * is preloaded. */
#ifndef ARENITE_FOREIGN_H
#define ARENITE_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

#define FOREIGN(name) __asm__(name) __attribute__((weak))

extern void free_sized(void *block, size_t bytes) __attribute__((weak));
extern void free_aligned_sized(void *block, size_t alignment, size_t bytes) __attribute__((weak));
extern void cfree(void *block) __attribute__((weak));
extern void __libc_free(void *block) __attribute__((weak));
extern void *operator_new(size_t bytes) FOREIGN("_Znwm");
extern void *operator_new_array(size_t bytes) FOREIGN("_Znam");
extern void *operator_new_nothrow(size_t bytes, const void *tag) FOREIGN("_ZnwmRKSt9nothrow_t");
extern void *operator_new_aligned(size_t bytes, size_t alignment) FOREIGN("_ZnwmSt11align_val_t");
extern void operator_delete(void *block) FOREIGN("_ZdlPv");
extern void operator_delete_array(void *block) FOREIGN("_ZdaPv");
extern void operator_delete_sized(void *block, size_t bytes) FOREIGN("_ZdlPvm");
extern void operator_delete_aligned(void *block, size_t alignment) FOREIGN("_ZdlPvSt11align_val_t");

static inline bool foreign_names_are_there(void)
{
    return free_sized != NULL && free_aligned_sized != NULL && cfree != NULL &&
           operator_new != NULL && operator_new_array != NULL && operator_new_nothrow != NULL &&
           operator_new_aligned != NULL && operator_delete != NULL &&
           operator_delete_array != NULL && operator_delete_sized != NULL &&
           operator_delete_aligned != NULL;
}

#endif
