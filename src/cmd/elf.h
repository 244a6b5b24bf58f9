/* elf.h - what an ELF file says about itself, as far as preloading depends on it. */
#ifndef ARENITE_CMD_ELF_H
#define ARENITE_CMD_ELF_H

#include <stdbool.h>

struct elf {
    unsigned bits;     /* 32 or 64; 0: nothing is known */
    unsigned encoding; /* ELFDATA2LSB or ELFDATA2MSB */
    unsigned machine;  /* EM_… */
    /* What follows is looked at only in this machine's byte order. */
    unsigned type;     /* ET_… */
    char *interpreter; /* the dynamic linker that the file asks for (allocated), or NULL */
    bool dynamic;      /* has a dynamic section */
    bool pie;          /* an executable in a shared object's clothes */
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

/* "32-bit i386", allocated. */
char *elf_kind(const struct elf *elf);

#endif
