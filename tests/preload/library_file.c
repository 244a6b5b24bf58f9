/* library_file.c - what the shared library's file promises to the dynamic linker: it needs libc alone,
 * little static TLS, no relocations in code, and exports what it should and nothing else. */
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "self.h"

static const char *const exported[] = {
    /* own names */
    "arn_aligned_alloc",
    "arn_calloc",
    "arn_free",
    "arn_free_aligned_sized",
    "arn_free_sized",
    "arn_malloc",
    "arn_malloc_trim",
    "arn_malloc_usable_size",
    "arn_memalign",
    "arn_posix_memalign",
    "arn_pvalloc",
    "arn_realloc",
    "arn_reallocarray",
    "arn_stats",
    "arn_stats_print",
    "arn_valloc",
    "arn_version",
    /* objects */
    "arn_blocking_begin",
    "arn_blocking_end",
    "arn_clear",
    "arn_decref",
    "arn_decref_slow",
    "arn_domain_bind",
    "arn_domain_create",
    "arn_domain_destroy",
    "arn_domain_limit",
    "arn_domain_stats",
    "arn_foreach_object",
    "arn_garbage",
    "arn_garbage_clear",
    "arn_gc_callback",
    "arn_gc_callback_remove",
    "arn_gc_collect",
    "arn_gc_disable",
    "arn_gc_enable",
    "arn_gc_freeze",
    "arn_gc_freeze_count",
    "arn_gc_get_count",
    "arn_gc_get_debug",
    "arn_gc_get_threshold",
    "arn_gc_is_enabled",
    "arn_gc_set_debug",
    "arn_gc_set_threshold",
    "arn_gc_stats",
    "arn_gc_unfreeze",
    "arn_get_referents",
    "arn_get_referrers",
    "arn_immortalize",
    "arn_incref",
    "arn_incref_slow",
    "arn_is_finalized",
    "arn_is_tracked",
    "arn_move",
    "arn_new",
    "arn_new_array",
    "arn_refcount",
    "arn_safepoint",
    "arn_safepoint_slow",
    "arn_set",
    "arn_share",
    "arn_stop_wanted",
    "arn_thread_attach",
    "arn_thread_detach",
    "arn_track",
    "arn_try_incref",
    "arn_type_histogram",
    "arn_type_name",
    "arn_type_register",
    "arn_typeof",
    "arn_untrack",
    "arn_verify",
    "arn_weak_get",
    "arn_weak_map_count",
    "arn_weak_map_destroy",
    "arn_weak_map_get",
    "arn_weak_map_new",
    "arn_weak_map_remove",
    "arn_weak_map_set",
    "arn_weak_new",
    "arn_weak_release",
    "arn_xdecref",
    "arn_xincref",
    /* tracing */
    "arn_trace_clear",
    "arn_trace_compare",
    "arn_trace_filter",
    "arn_trace_get_frames",
    "arn_trace_get_lost",
    "arn_trace_get_traced",
    "arn_trace_get_tracer_memory",
    "arn_trace_is_tracing",
    "arn_trace_print",
    "arn_trace_print_compare",
    "arn_trace_release",
    "arn_trace_reset_peak",
    "arn_trace_snapshot",
    "arn_trace_start",
    "arn_trace_statistics",
    "arn_trace_stop",
    "arn_trace_traceback",
    /* C, POSIX */
    "aligned_alloc",
    "calloc",
    "cfree",
    "free",
    "free_aligned_sized",
    "free_sized",
    "malloc",
    "memalign",
    "posix_memalign",
    "pvalloc",
    "realloc",
    "reallocarray",
    "valloc",
    /* plug-ins */
    "dlmopen",
    "dlopen",
    /* glibc */
    "__libc_calloc",
    "__libc_free",
    "__libc_malloc",
    "__libc_memalign",
    "__libc_pvalloc",
    "__libc_mallinfo",
    "__libc_mallopt",
    "__libc_realloc",
    "__libc_valloc",
    "mallinfo",
    "mallinfo2",
    "malloc_info",
    "malloc_stats",
    "malloc_trim",
    "malloc_usable_size",
    "mallopt",
    /* C++ */
    "_ZdaPv",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdaPvSt11align_val_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvm",
    "_ZdaPvmSt11align_val_t",
    "_ZdlPv",
    "_ZdlPvRKSt9nothrow_t",
    "_ZdlPvSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdlPvm",
    "_ZdlPvmSt11align_val_t",
    "_Znam",
    "_ZnamRKSt9nothrow_t",
    "_ZnamSt11align_val_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    "_Znwm",
    "_ZnwmRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    /* strong names of what is weak, for Valgrind */
    "arn__strong_aligned_alloc",
    "arn__strong_cxx_delete",
    "arn__strong_cxx_delete_aligned",
    "arn__strong_cxx_delete_aligned_nothrow",
    "arn__strong_cxx_delete_array",
    "arn__strong_cxx_delete_array_aligned",
    "arn__strong_cxx_delete_array_aligned_nothrow",
    "arn__strong_cxx_delete_array_nothrow",
    "arn__strong_cxx_delete_array_sized",
    "arn__strong_cxx_delete_array_sized_aligned",
    "arn__strong_cxx_delete_nothrow",
    "arn__strong_cxx_delete_sized",
    "arn__strong_cxx_delete_sized_aligned",
    "arn__strong_cxx_new",
    "arn__strong_cxx_new_aligned",
    "arn__strong_cxx_new_aligned_nothrow",
    "arn__strong_cxx_new_array",
    "arn__strong_cxx_new_array_aligned",
    "arn__strong_cxx_new_array_aligned_nothrow",
    "arn__strong_cxx_new_array_nothrow",
    "arn__strong_cxx_new_nothrow",
    "arn__strong_malloc_usable_size",
    "arn__strong_posix_memalign",
};
enum { EXPORTED = sizeof exported / sizeof *exported, TLS_MOST_BYTES = 64 };

static const char *file;

static const ElfW(Phdr) * segment(const char *elf, unsigned type)
{
    const ElfW(Ehdr) *header = (const void *)elf;
    const ElfW(Phdr) *segments = (const void *)(elf + header->e_phoff);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == type)
            return &segments[i];
    }
    return NULL;
}

/* File contents at a virtual address. */
static const char *at_address(const char *elf, ElfW(Addr) address)
{
    const ElfW(Ehdr) *header = (const void *)elf;
    const ElfW(Phdr) *segments = (const void *)(elf + header->e_phoff);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD && address >= segments[i].p_vaddr &&
            address < segments[i].p_vaddr + segments[i].p_filesz)
            return elf + segments[i].p_offset + (address - segments[i].p_vaddr);
    }
    CHECK(!"an address in the file");
    return NULL;
}

static ElfW(Xword) dynamic(const char *elf, ElfW(Sxword) tag)
{
    const ElfW(Phdr) *where = segment(elf, PT_DYNAMIC);
    CHECK(where != NULL);
    for (const ElfW(Dyn) *entry = (const void *)(elf + where->p_offset); entry->d_tag != DT_NULL;
         entry++) {
        if (entry->d_tag == tag)
            return entry->d_un.d_val;
    }
    return 0;
}

static void check_dynamic(const char *elf)
{
    const char *strings = at_address(elf, dynamic(elf, DT_STRTAB));
    const ElfW(Phdr) *where = segment(elf, PT_DYNAMIC);
    for (const ElfW(Dyn) *entry = (const void *)(elf + where->p_offset); entry->d_tag != DT_NULL;
         entry++) {
        const char *needed = strings + entry->d_un.d_val;
        /* The dynamic linker itself is part of libc: aarch64 names it. */
        if (entry->d_tag == DT_NEEDED && strcmp(needed, "libc.so.6") != 0 &&
            strncmp(needed, "ld-linux-", 9) != 0) {
            dprintf(2, "%s needs %s\n", file, needed);
            _exit(1);
        }
    }
    CHECK(strcmp(strings + dynamic(elf, DT_SONAME), "libarenite.so.0") == 0);
    CHECK(dynamic(elf, DT_TEXTREL) == 0);
    CHECK((dynamic(elf, DT_FLAGS) & DF_TEXTREL) == 0);
#ifdef __x86_64__ /* initial-exec; not every linker says so */
    CHECK((dynamic(elf, DT_FLAGS) & DF_STATIC_TLS) != 0);
#endif
    CHECK((dynamic(elf, DT_FLAGS_1) & DF_1_NODELETE) != 0);
    /* The one that begins sampling, and the compiler's own: frame_dummy; on aarch64 libgcc's, which looks for LSE
     * atomics. */
#ifdef __aarch64__
    CHECK(dynamic(elf, DT_INIT_ARRAYSZ) <= 3 * sizeof(void *));
#else
    CHECK(dynamic(elf, DT_INIT_ARRAYSZ) <= 2 * sizeof(void *));
#endif
}

static void check_segments(const char *elf)
{
    const ElfW(Ehdr) *header = (const void *)elf;
    const ElfW(Phdr) *segments = (const void *)(elf + header->e_phoff);
    const ElfW(Phdr) *tls = segment(elf, PT_TLS);
    CHECK(tls != NULL && tls->p_memsz <= TLS_MOST_BYTES);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD)
            CHECK((segments[i].p_flags & (PF_W | PF_X)) != (PF_W | PF_X));
        if (segments[i].p_type == PT_GNU_STACK)
            CHECK((segments[i].p_flags & PF_X) == 0);
    }
}

/* Bloom and bucket words of the GNU hash table tell how many symbols there are. */
static size_t count_symbols(const char *elf)
{
    const uint32_t *table = (const void *)at_address(elf, dynamic(elf, DT_GNU_HASH));
    uint32_t buckets = table[0], first = table[1], bloom = table[2];
    const uint32_t *bucket = table + 4 + bloom * (sizeof(ElfW(Addr)) / 4);
    const uint32_t *chain = bucket + buckets;
    uint32_t last = 0;
    for (uint32_t i = 0; i < buckets; i++)
        last = bucket[i] > last ? bucket[i] : last;
    while ((chain[last - first] & 1) == 0)
        last++;
    return (size_t)last + 1;
}

static int is_listed(const char *name)
{
    for (size_t i = 0; i < EXPORTED; i++) {
        if (strcmp(exported[i], name) == 0)
            return 1;
    }
    return 0;
}

static void check_exports(const char *elf)
{
    const char *strings = at_address(elf, dynamic(elf, DT_STRTAB));
    const ElfW(Sym) *symbols = (const void *)at_address(elf, dynamic(elf, DT_SYMTAB));
    size_t count = count_symbols(elf);
    size_t found = 0;
    for (size_t i = 1; i < count; i++) {
        if (symbols[i].st_shndx == SHN_UNDEF || ELF64_ST_BIND(symbols[i].st_info) == STB_LOCAL)
            continue;
        const char *name = strings + symbols[i].st_name;
        if (!is_listed(name)) {
            dprintf(2, "%s exports %s\n", file, name);
            _exit(1);
        }
        found++;
    }
    CHECK(found == EXPORTED);
}

int main(void)
{
    struct stat status;
    if (!program_is_preloaded())
        SKIP("about the shared library only");
    file = getenv("ARENITE_LIB");
    CHECK(file != NULL);
    int fd = open(file, O_RDONLY);
    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    const char *elf = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(elf != MAP_FAILED && memcmp(elf, ELFMAG, SELFMAG) == 0);
    check_dynamic(elf);
    check_segments(elf);
    check_exports(elf);
    return 0;
}
