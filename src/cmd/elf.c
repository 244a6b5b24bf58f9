/* elf.c - reads an ELF file's header, program headers, dynamic section and symbols.
 *
 * The file may be anything: it is read piece by piece into structs of known size, and nothing in it
 * is followed without a bound. 32-bit structs are widened to 64-bit ones as they are read.
 */
#include "elf.h"

#include <elf.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

enum { NATIVE_ENCODING = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB };

static bool read_at(int fd, uint64_t offset, void *to, size_t bytes)
{
    char *at = to;
    while (bytes > 0) {
        if (offset > INT64_MAX)
            return false;
        ssize_t got = pread(fd, at, bytes, (off_t)offset);
        if (got <= 0)
            return false;
        at += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return true;
}

/* The parts of both header layouts that matter here. */
struct header {
    uint64_t segments_offset;
    unsigned segment_bytes; /* as the file has it */
    unsigned segments;
};

static bool read_header(int fd, struct elf *elf, struct header *header)
{
    /* Type and machine stand at the same place in both layouts. */
    union {
        Elf32_Ehdr narrow;
        Elf64_Ehdr wide;
    } file;
    bool wide = elf->bits == 64;
    if (!read_at(fd, 0, &file, wide ? sizeof file.wide : sizeof file.narrow))
        return false;
    elf->type = file.wide.e_type;
    elf->machine = file.wide.e_machine;
    if (!elf_native_order(elf)) {
        elf->machine = __builtin_bswap16(file.wide.e_machine);
        return true;
    }
    elf->sections_offset = wide ? file.wide.e_shoff : file.narrow.e_shoff;
    elf->section_bytes = wide ? file.wide.e_shentsize : file.narrow.e_shentsize;
    elf->sections = wide ? file.wide.e_shnum : file.narrow.e_shnum;
    header->segments_offset = wide ? file.wide.e_phoff : file.narrow.e_phoff;
    header->segment_bytes = wide ? file.wide.e_phentsize : file.narrow.e_phentsize;
    header->segments = wide ? file.wide.e_phnum : file.narrow.e_phnum;
    /* The kernel takes no other size either. */
    return header->segments == 0 ||
           header->segment_bytes == (wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr));
}

static bool read_segment(int fd, const struct elf *elf, uint64_t offset, Elf64_Phdr *segment)
{
    if (elf->bits == 64)
        return read_at(fd, offset, segment, sizeof *segment);
    Elf32_Phdr narrow;
    if (!read_at(fd, offset, &narrow, sizeof narrow))
        return false;
    *segment = (Elf64_Phdr){
        .p_type = narrow.p_type, .p_offset = narrow.p_offset, .p_filesz = narrow.p_filesz};
    return true;
}

/* The kernel's rules for the name: not empty, at most PATH_MAX bytes, the last one NUL. */
static bool read_interpreter(int fd, const Elf64_Phdr *segment, struct elf *elf)
{
    if (segment->p_filesz < 2 || segment->p_filesz > PATH_MAX)
        return false;
    char name[PATH_MAX];
    size_t bytes = (size_t)segment->p_filesz;
    if (!read_at(fd, segment->p_offset, name, bytes) || name[bytes - 1] != '\0')
        return false;
    free(elf->interpreter);
    elf->interpreter = text("%s", name);
    return true;
}

static bool read_dynamic_entry(int fd, const struct elf *elf, uint64_t offset, Elf64_Dyn *entry)
{
    if (elf->bits == 64)
        return read_at(fd, offset, entry, sizeof *entry);
    Elf32_Dyn narrow;
    if (!read_at(fd, offset, &narrow, sizeof narrow))
        return false;
    entry->d_tag = narrow.d_tag;
    entry->d_un.d_val = narrow.d_un.d_val;
    return true;
}

static bool read_dynamic(int fd, const Elf64_Phdr *segment, struct elf *elf)
{
    uint64_t entry_bytes = elf->bits == 64 ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);
    elf->dynamic = true;
    for (uint64_t i = 0; i < segment->p_filesz / entry_bytes; i++) {
        Elf64_Dyn entry;
        if (!read_dynamic_entry(fd, elf, segment->p_offset + i * entry_bytes, &entry))
            return false;
        if (entry.d_tag == DT_NULL)
            return true;
        if (entry.d_tag == DT_FLAGS_1)
            elf->pie = (entry.d_un.d_val & DF_1_PIE) != 0;
    }
    return true;
}

static bool read_segments(int fd, const struct header *header, struct elf *elf)
{
    for (unsigned i = 0; i < header->segments; i++) {
        Elf64_Phdr segment;
        uint64_t offset = header->segments_offset + (uint64_t)i * header->segment_bytes;
        if (!read_segment(fd, elf, offset, &segment))
            return false;
        if (segment.p_type == PT_INTERP && !read_interpreter(fd, &segment, elf))
            return false;
        if (segment.p_type == PT_DYNAMIC && !read_dynamic(fd, &segment, elf))
            return false;
    }
    return true;
}

enum elf_result elf_read(int fd, struct elf *elf)
{
    unsigned char identity[EI_NIDENT];
    *elf = (struct elf){0};
    if (!read_at(fd, 0, identity, SELFMAG) || memcmp(identity, ELFMAG, SELFMAG) != 0)
        return ELF_OTHER;
    if (!read_at(fd, 0, identity, sizeof identity))
        return ELF_DAMAGED;
    unsigned class = identity[EI_CLASS];
    elf->encoding = identity[EI_DATA];
    if ((class != ELFCLASS32 && class != ELFCLASS64) ||
        (elf->encoding != ELFDATA2LSB && elf->encoding != ELFDATA2MSB))
        return ELF_DAMAGED;
    elf->bits = class == ELFCLASS64 ? 64 : 32;
    struct header header = {0};
    if (!read_header(fd, elf, &header) || !read_segments(fd, &header, elf))
        return ELF_DAMAGED;
    return ELF_READ;
}

bool elf_native_order(const struct elf *elf)
{
    return elf->encoding == NATIVE_ENCODING;
}

bool elf_same_kind(const struct elf *a, const struct elf *b)
{
    return a->bits == b->bits && a->encoding == b->encoding && a->machine == b->machine;
}

/* --- Sections --------------------------------------------------------------------------------- */

/* What programs have of names and symbols is less; a damaged file may claim anything. */
enum { TABLE_MOST_BYTES = 256 << 20 };

static bool read_section(int fd, const struct elf *elf, unsigned idx, Elf64_Shdr *section)
{
    uint64_t offset = elf->sections_offset + (uint64_t)idx * elf->section_bytes;
    bool wide = elf->bits == 64;
    if (idx >= elf->sections || elf->sections_offset == 0 ||
        elf->section_bytes != (wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr)))
        return false;
    if (wide)
        return read_at(fd, offset, section, sizeof *section);
    Elf32_Shdr narrow;
    if (!read_at(fd, offset, &narrow, sizeof narrow))
        return false;
    *section = (Elf64_Shdr){.sh_type = narrow.sh_type,
                            .sh_offset = narrow.sh_offset,
                            .sh_size = narrow.sh_size,
                            .sh_link = narrow.sh_link};
    return true;
}

/* A section's bytes, with a NUL after them. */
struct table {
    char *bytes; /* allocated */
    size_t size;
};

static bool read_table(int fd, const Elf64_Shdr *section, struct table *table)
{
    struct stat file;
    if (section->sh_size > TABLE_MOST_BYTES || fstat(fd, &file) != 0 ||
        section->sh_size > (uint64_t)file.st_size)
        return false;
    table->size = (size_t)section->sh_size;
    table->bytes = calloc(1, table->size + 1);
    if (table->bytes != NULL && read_at(fd, section->sh_offset, table->bytes, table->size))
        return true;
    free(table->bytes);
    return false;
}

/* The first section of that type, and the section of names that it leads to. */
static bool read_named(int fd, const struct elf *elf, unsigned type, struct table *entries,
                       struct table *names)
{
    Elf64_Shdr section, linked;
    unsigned idx = 0;
    if (!elf_native_order(elf))
        return false;
    do {
        if (!read_section(fd, elf, idx++, &section))
            return false;
    } while (section.sh_type != type);
    if (!read_section(fd, elf, section.sh_link, &linked) || linked.sh_type != SHT_STRTAB ||
        !read_table(fd, &section, entries))
        return false;
    if (read_table(fd, &linked, names))
        return true;
    free(entries->bytes);
    return false;
}

/* The table's NUL ends what starts in it; outside of it, a name is empty. */
static const char *name_at(const struct table *names, uint64_t at)
{
    return names->bytes + (at < names->size ? at : names->size);
}

char *elf_needs(int fd, const struct elf *elf, const char *const *beginnings)
{
    struct table entries, names;
    char *found = NULL;
    size_t entry_bytes = elf->bits == 64 ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);
    if (!read_named(fd, elf, SHT_DYNAMIC, &entries, &names))
        return NULL;
    for (size_t at = 0; at + entry_bytes <= entries.size && found == NULL; at += entry_bytes) {
        Elf64_Dyn wide;
        Elf32_Dyn narrow;
        memcpy(&wide, entries.bytes + at, elf->bits == 64 ? sizeof wide : 0);
        memcpy(&narrow, entries.bytes + at, sizeof narrow);
        if ((elf->bits == 64 ? wide.d_tag : narrow.d_tag) != DT_NEEDED)
            continue;
        const char *name = name_at(&names, elf->bits == 64 ? wide.d_un.d_val : narrow.d_un.d_val);
        for (size_t i = 0; beginnings[i] != NULL && found == NULL; i++)
            if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
                found = text("%s", name);
    }
    free(entries.bytes);
    free(names.bytes);
    return found;
}

static bool is_defined(const struct elf *elf, const char *symbol, uint32_t *name)
{
    Elf64_Sym wide;
    Elf32_Sym narrow;
    if (elf->bits == 64)
        memcpy(&wide, symbol, sizeof wide);
    else
        memcpy(&narrow, symbol, sizeof narrow);
    *name = elf->bits == 64 ? wide.st_name : narrow.st_name;
    unsigned type = ELF64_ST_TYPE(elf->bits == 64 ? wide.st_info : narrow.st_info);
    return (elf->bits == 64 ? wide.st_shndx : narrow.st_shndx) != SHN_UNDEF &&
           (type == STT_FUNC || type == STT_OBJECT || type == STT_GNU_IFUNC);
}

const char *elf_defines(int fd, const struct elf *elf, enum elf_symbols which,
                        const char *const *names)
{
    struct table symbols, strings;
    const char *found = NULL;
    size_t symbol_bytes = elf->bits == 64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
    if (!read_named(fd, elf, which == ELF_EXPORTED ? SHT_DYNSYM : SHT_SYMTAB, &symbols, &strings))
        return NULL;
    for (size_t at = 0; at + symbol_bytes <= symbols.size && found == NULL; at += symbol_bytes) {
        uint32_t name;
        if (!is_defined(elf, symbols.bytes + at, &name))
            continue;
        for (size_t i = 0; names[i] != NULL && found == NULL; i++)
            if (strcmp(name_at(&strings, name), names[i]) == 0)
                found = names[i];
    }
    free(symbols.bytes);
    free(strings.bytes);
    return found;
}

char *elf_kind(const struct elf *elf)
{
    static const struct {
        unsigned machine;
        const char *name;
    } machines[] = {
        {EM_386, "i386"},        {EM_X86_64, "x86-64"}, {EM_ARM, "ARM"},
        {EM_AARCH64, "aarch64"}, {EM_RISCV, "RISC-V"},  {EM_PPC64, "POWER"},
        {EM_S390, "s390"},       {EM_MIPS, "MIPS"},     {EM_PPC, "PowerPC"},
        {EM_SPARCV9, "SPARC"},   {EM_IA_64, "IA-64"},   {EM_LOONGARCH, "LoongArch"},
    };
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
        if (machines[i].machine == elf->machine)
            return text("%u-bit %s", elf->bits, machines[i].name);
    return text("%u-bit ELF machine %u", elf->bits, elf->machine);
}
