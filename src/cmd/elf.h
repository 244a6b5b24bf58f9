/* elf.h - what an ELF file says about itself, as far as preloading depends on it. */
#ifndef ARENITE_CMD_ELF_H
#define ARENITE_CMD_ELF_H

#include <stdbool.h>
#include <stdint.h>

struct elf {
    unsigned bits;     /* 32 or 64; 0: nothing is known */
    unsigned encoding; /* ELFDATA2LSB or ELFDATA2MSB */
    unsigned machine;  /* EM_… */
    /* What follows is looked at only in this machine's byte order. */
    unsigned type;     /* ET_… */
    char *interpreter; /* the dynamic linker that the file asks for (allocated), or NULL */
    bool dynamic;      /* has a dynamic section */
    bool pie;          /* an executable in a shared object's clothes */
    /* Where the headers of sections are; 0 of them: the file has none. */
    uint64_t sections_offset;
    unsigned section_bytes, sections;
};

enum elf_result {
    ELF_READ,
    ELF_OTHER,   /* not an ELF file */
    ELF_DAMAGED, /* begins as one, and breaks its own rules or is cut short */
};

/* Reads from the file's start, wherever the file's offset is. */
enum elf_result elf_read(int fd, struct elf *elf);

/* False too when the byte order is not this machine's. */
bool elf_native_order(const struct elf *elf);

/* Whether one process could hold both. */
bool elf_same_kind(const struct elf *a, const struct elf *b);

enum elf_symbols {
    ELF_EXPORTED, /* what other files of the process are bound to */
    ELF_ALL,      /* what was not stripped */
};

/* The first library that the file needs whose name begins with one of these, which a NULL ends;
 * allocated. NULL: none, or that cannot be read. */
char *elf_needs(int fd, const struct elf *elf, const char *const *beginnings);

/* The one of these names, which a NULL ends, that the file defines a function or a variable by. NULL:
 * none, or that cannot be read. */
const char *elf_defines(int fd, const struct elf *elf, enum elf_symbols which,
                        const char *const *names);

/* "32-bit i386", allocated. */
char *elf_kind(const struct elf *elf);

#endif
