/* vdso.c - looks a name up in the ELF image that the kernel maps.
 *
 * libc offers the same functions, under names that a library may replace (see system_call.h). The
 * image is the kernel's own, so its tables are trusted. A lookup is a walk over all of its symbols:
 * there are about ten.
 */
#include "vdso.h"

#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

/* The tables of the image; symbols == NULL: they are not all there. */
struct image {
    uintptr_t bias; /* what is to be added to an address in it */
    const Elf64_Sym *symbols;
    const char *names;
    uint32_t symbol_count;
};

/* DT_HASH says how many symbols there are. */
static uint32_t count_by_hash(const uint32_t *table)
{
    return table[1];
}

/* DT_GNU_HASH has a chain for each bucket; the last symbol ends the chain that begins last. */
static uint32_t count_by_gnu_hash(const uint32_t *table)
{
    uint32_t buckets = table[0], first = table[1], bloom_words = table[2], last = 0;
    const uint32_t *bucket = table + 4 + bloom_words * (sizeof(uint64_t) / sizeof(uint32_t));
    const uint32_t *chain = bucket + buckets;
    for (uint32_t i = 0; i < buckets; i++)
        last = bucket[i] > last ? bucket[i] : last;
    if (last < first)
        return first;
    while ((chain[last - first] & 1) == 0)
        last++;
    return last + 1;
}

static void read_dynamic(const Elf64_Dyn *entry, struct image *image)
{
    for (; entry->d_tag != DT_NULL; entry++) {
        const void *at = (const void *)(image->bias + entry->d_un.d_ptr);
        switch (entry->d_tag) {
        case DT_STRTAB:
            image->names = at;
            break;
        case DT_SYMTAB:
            image->symbols = at;
            break;
        case DT_HASH:
            image->symbol_count = count_by_hash(at);
            break;
        case DT_GNU_HASH:
            if (image->symbol_count == 0)
                image->symbol_count = count_by_gnu_hash(at);
            break;
        default:
            break;
        }
    }
}

static void read_image(uintptr_t base, struct image *image)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)base;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(base + header->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    image->bias = base;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD && segments[i].p_offset == 0)
            image->bias = base - segments[i].p_vaddr;
        if (segments[i].p_type == PT_DYNAMIC)
            dynamic = (const Elf64_Dyn *)(base + segments[i].p_offset);
    }
    if (dynamic != NULL)
        read_dynamic(dynamic, image);
}

/* 0: the kernel maps no such image; emulators do not. */
static uintptr_t image_base(void)
{
    int saved = errno; /* ENOENT then */
    uintptr_t base = getauxval(AT_SYSINFO_EHDR);
    errno = saved;
    return base;
}

void *arn__vdso_find(const char *name)
{
    uintptr_t base = image_base();
    struct image image = {0};
    if (base != 0)
        read_image(base, &image);
    if (image.symbols == NULL || image.names == NULL)
        return NULL;
    for (uint32_t i = 0; i < image.symbol_count; i++) {
        const Elf64_Sym *symbol = &image.symbols[i];
        if (symbol->st_shndx != SHN_UNDEF && strcmp(image.names + symbol->st_name, name) == 0)
            return (void *)(image.bias + symbol->st_value);
    }
    return NULL;
}
