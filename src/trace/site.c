/* site.c - taking tracebacks, and keeping each once. */
#include "site.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/auxv.h>

#include "diag.h"
#include "guard.h"
#include "lock.h"
#include "os.h"
#include "table.h"

enum {
    BUCKETS = 1 << 16, /* touched as they are used */
    CHUNK_BYTES = 64 * 1024,
    OWN_FRAMES_MOST = 24, /* of the library, below the program's */
    OWN_FRAMES_OFTEN = 4,
};

/* Sites are carved from these, one page at a time: none lies in two, for what a forked child has of each
 * page is of one moment. */
struct chunk {
    struct chunk *older;
    size_t bytes;
};

static struct lock sites_lock; /* to make a site; to look for one takes none */
static struct site *_Atomic *buckets;
static struct chunk *chunks;
static char *next_site, *chunk_end;
static struct site *_Atomic newest;
static _Atomic size_t mapped_bytes;

static _Atomic unsigned frames_kept;
/* The same each time; written before tracing or sampling is on for the first. */
static arn__unwinder *unwinder;
static struct own_code own_code;

/* ---- memory ---- */

static size_t whole_pages(size_t bytes)
{
    size_t page_bytes = arn__os_page_bytes();
    return (bytes + page_bytes - 1) & ~(page_bytes - 1);
}

void *arn__trace_map(size_t bytes)
{
    bytes = whole_pages(bytes);
    void *start = arn__guard_map(bytes);
    if (start != NULL)
        atomic_fetch_add(&mapped_bytes, bytes);
    return start;
}

void arn__trace_unmap(void *start, size_t bytes)
{
    bytes = whole_pages(bytes);
    if (start != NULL && arn__guard_give(start, bytes))
        atomic_fetch_sub(&mapped_bytes, bytes);
}

size_t arn__trace_mapped_bytes(void)
{
    return atomic_load(&mapped_bytes);
}

/* ---- tracebacks ---- */

static bool is_in(const void *address, uintptr_t start, uintptr_t end)
{
    return (uintptr_t)address >= start && (uintptr_t)address < end;
}

static bool is_entry(const void *address)
{
    return is_in(address, own_code.entries_start, own_code.entries_end);
}

static bool is_own(const void *address)
{
    return is_in(address, own_code.module_start, own_code.module_end) || is_entry(address);
}

/* How many frames are the library's. In a static program: those up to the entries, of which there is always
 * one, for the slow paths are, too; and these. */
static int own_frames(void *const *frames, int count)
{
    int own = 0;
    if (own_code.module_start == 0) {
        int most = count < OWN_FRAMES_MOST ? count : OWN_FRAMES_MOST;
        while (own < most && !is_entry(frames[own]))
            own++;
        if (own == most)
            return 0;
    }
    while (own < count && is_own(frames[own]))
        own++;
    return own;
}

/* Of the program at most so many; how many there are, and how many of the library before them. Each frame takes
 * time: first without many of the library's. */
static int unwind(void **found, int most, int *own)
{
    int asked = most + OWN_FRAMES_OFTEN;
    int count = unwinder(found, asked);
    *own = own_frames(found, count);
    if (count == asked && (*own == 0 || count - *own < most)) {
        count = unwinder(found, most + OWN_FRAMES_MOST);
        *own = own_frames(found, count);
    }
    return count - *own < most ? count - *own : most;
}

/* ---- the unwinder's locks, and fork ----
 *
 * The unwinder may take a lock that no forked child could unlock: libgcc's, of the frames that were registered, which
 * are those of a static program and of code that is made at run time. So fork() waits until no other thread is in the
 * unwinder, and while a thread forks, no thread enters it. Nobody waits for a fork to end: its handlers may wait for
 * what this thread has locked. Those whose callers are not known then are few. */

enum {
    FORK = 1 << 16,
    FORK_WAITS_MS = 1000, /* at most: a thread in the unwinder may be stopped for good */
};

/* Threads in the unwinder, and FORK for each that forks. */
static _Atomic uint32_t unwinding;
/* Another thread was in it as this process was forked: nobody enters. */
static atomic_bool unwinder_torn;

static bool enter_unwinder(void)
{
    uint32_t seen = atomic_load(&unwinding);
    if (atomic_load(&unwinder_torn))
        return false;
    while (seen < FORK) {
        if (atomic_compare_exchange_weak(&unwinding, &seen, seen + 1))
            return true;
    }
    return false;
}

static void leave_unwinder(void)
{
    if (atomic_fetch_sub(&unwinding, 1) > FORK)
        arn__os_wake(&unwinding, INT_MAX);
}

static bool others_unwind(uint32_t seen, bool own)
{
    return seen % FORK > own;
}

void arn__traceback_before_fork(bool own)
{
    uint32_t seen = atomic_fetch_add(&unwinding, FORK) + FORK;
    if (!others_unwind(seen, own))
        return;
    uint32_t end = arn__os_now_ms() + FORK_WAITS_MS;
    while (others_unwind(seen, own) && (int32_t)(end - arn__os_now_ms()) > 0) {
        arn__os_wait_briefly(&unwinding, seen);
        seen = atomic_load(&unwinding);
    }
}

void arn__traceback_after_fork(bool own, bool is_child)
{
    if (!is_child) {
        atomic_fetch_sub(&unwinding, FORK);
        return;
    }
    if (others_unwind(atomic_load(&unwinding), own))
        atomic_store(&unwinder_torn, true);
    atomic_store(&unwinding, own);
}

unsigned arn__traceback_frames(void **frames, unsigned most)
{
    void *found[ARN_TRACE_FRAMES_MOST + OWN_FRAMES_MOST];
    int saved = errno;
    int own;
    if (!enter_unwinder())
        return 0;
    int count = unwind(found, (int)most, &own);
    leave_unwinder();
    if (count > 0)
        memcpy(frames, found + own, (size_t)count * sizeof *found);
    errno = saved;
    return count > 0 ? (unsigned)count : 0;
}

void arn__traceback_take(struct traceback *traceback)
{
    traceback->epoch = arn__trace_epoch();
    traceback->count = arn__traceback_frames(traceback->frames, atomic_load(&frames_kept));
    if (traceback->count == 0) {
        traceback->count = 1;
        traceback->frames[0] = NULL;
    }
}

/* ---- where the library is, and where a frame ---- */

/* By the linker, of the program or library that this is part of. */
extern const char __ehdr_start[] __attribute__((visibility("hidden"), weak));
extern const char etext[] __attribute__((visibility("hidden"), weak));
/* Of the section that ARN__ENTRY puts functions in. */
extern const char __start_arn_entry[] __attribute__((visibility("hidden"), weak));
extern const char __stop_arn_entry[] __attribute__((visibility("hidden"), weak));

/* The library is part of the program, or of what calls it. */
static bool is_part(const struct own_code *own, const void *caller)
{
    uintptr_t program = getauxval(AT_PHDR); /* just behind where it begins */
    return ((uintptr_t)caller >= own->module_start && (uintptr_t)caller < own->module_end) ||
           (program >= own->module_start && program < own->module_end);
}

struct own_code arn__own_code(const void *caller)
{
    struct own_code own = {
        .module_start = (uintptr_t)__ehdr_start,
        .module_end = (uintptr_t)etext,
        .entries_start = (uintptr_t)__start_arn_entry,
        .entries_end = (uintptr_t)__stop_arn_entry,
    };
    if (is_part(&own, caller))
        own.module_start = own.module_end = 0;
    return own;
}

/* Where it was not linked (a static program): NULL. */
extern __typeof__(dladdr) dladdr __attribute__((weak));

bool arn__module_of(const void *address, Dl_info *info)
{
    return dladdr != NULL && dladdr(address, info) != 0;
}

static void add_offset(struct line *line, const char *name, uintptr_t offset)
{
    arn__line_text(line, name);
    arn__line_text(line, "+");
    arn__line_hex(line, offset);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

void arn__line_frame(struct line *line, const void *frame)
{
    Dl_info info;
    uintptr_t address = (uintptr_t)frame;
    if (frame == NULL) {
        arn__line_text(line, "an unknown caller");
    } else if (!arn__module_of(frame, &info) || info.dli_fname == NULL) {
        arn__line_hex(line, address);
    } else {
        add_offset(line, last_part(info.dli_fname), address - (uintptr_t)info.dli_fbase);
        if (info.dli_sname != NULL) {
            arn__line_text(line, " (");
            add_offset(line, info.dli_sname, address - (uintptr_t)info.dli_saddr);
            arn__line_text(line, ")");
        }
    }
}

void arn__line_module(struct line *line, const void *frame)
{
    Dl_info info;
    if (frame != NULL && arn__module_of(frame, &info) && info.dli_fname != NULL)
        arn__line_text(line, last_part(info.dli_fname));
    else
        arn__line_text(line, "an unknown module");
}

/* ---- sites ---- */

static uint32_t hash_of(const struct arn_type *type, void *const *frames, unsigned count)
{
    uint64_t hash = (uintptr_t)type;
    for (unsigned i = 0; i < count; i++)
        hash = (hash ^ (uintptr_t)frames[i]) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 32);
}

static bool is_of(const struct site *site, uint32_t hash, const struct arn_type *type,
                  void *const *frames, unsigned count)
{
    return site->hash == hash && site->type == type && site->frame_count == count &&
           memcmp(site->frames, frames, count * sizeof *frames) == 0;
}

static struct site *find(uint32_t hash, const struct arn_type *type, void *const *frames,
                         unsigned count)
{
    /* acquire: pairs with the release of make. */
    struct site *site = atomic_load_explicit(&buckets[hash % BUCKETS], memory_order_acquire);
    while (site != NULL && !is_of(site, hash, type, frames, count))
        site = site->next;
    return site;
}

static bool next_chunk(void)
{
    struct chunk *chunk = arn__trace_map(CHUNK_BYTES);
    if (chunk == NULL)
        return false;
    chunk->older = chunks;
    chunk->bytes = CHUNK_BYTES;
    chunks = chunk;
    next_site = (char *)(chunk + 1);
    chunk_end = (char *)chunk + CHUNK_BYTES;
    return true;
}

/* All zero; NULL: no memory. */
static struct site *carve(unsigned count)
{
    size_t bytes = sizeof(struct site) + count * sizeof(void *);
    size_t page_left = arn__os_page_bytes() - ((uintptr_t)next_site & (arn__os_page_bytes() - 1));
    if (next_site != chunk_end && bytes > page_left)
        next_site += page_left;
    if (next_site == chunk_end && !next_chunk())
        return NULL;
    struct site *site = (struct site *)next_site;
    next_site += bytes;
    return site;
}

static struct site *make(uint32_t hash, const struct arn_type *type, void *const *frames,
                         unsigned count)
{
    struct site *site = carve(count);
    if (site == NULL)
        return NULL;
    site->next = atomic_load_explicit(&buckets[hash % BUCKETS], memory_order_relaxed);
    site->older = atomic_load_explicit(&newest, memory_order_relaxed);
    site->type = type;
    site->hash = hash;
    memcpy(site->frames, frames, count * sizeof *frames);
    atomic_signal_fence(memory_order_seq_cst); /* for a forked child */
    site->frame_count = count;
    /* releases: what was written, to find and to those that take a snapshot. */
    atomic_store_explicit(&buckets[hash % BUCKETS], site, memory_order_release);
    atomic_store_explicit(&newest, site, memory_order_release);
    return site;
}

struct site *arn__site(const struct arn_type *type, void *const *frames, unsigned count)
{
    uint32_t hash = hash_of(type, frames, count);
    struct site *site = find(hash, type, frames, count);
    if (site != NULL)
        return site;
    arn__lock(&sites_lock, RANK_SITES);
    site = find(hash, type, frames, count);
    if (site == NULL)
        site = make(hash, type, frames, count);
    arn__unlock(&sites_lock, RANK_SITES);
    return site;
}

struct site *arn__sites_newest(void)
{
    /* acquire: pairs with the release of make. */
    return atomic_load_explicit(&newest, memory_order_acquire);
}

unsigned arn__sites_frames(void)
{
    return atomic_load(&frames_kept);
}

/* ---- begin, end ---- */

static void forget(void)
{
    buckets = NULL;
    chunks = NULL;
    next_site = chunk_end = NULL;
    atomic_store(&newest, NULL);
}

void arn__traceback_begin(arn__unwinder *unwind_with, const struct own_code *own)
{
    if (unwinder == NULL) {
        own_code = *own;
        unwinder = unwind_with;
    }
}

bool arn__sites_begin(unsigned frames, arn__unwinder *unwind_with, const struct own_code *own)
{
    buckets = arn__trace_map(BUCKETS * sizeof *buckets);
    atomic_store(&frames_kept, frames);
    arn__traceback_begin(unwind_with, own);
    return buckets != NULL;
}

void arn__sites_end(void)
{
    arn__trace_unmap(buckets, BUCKETS * sizeof *buckets);
    while (chunks != NULL) {
        struct chunk *chunk = chunks;
        chunks = chunk->older;
        arn__trace_unmap(chunk, chunk->bytes);
    }
    forget();
}

/* The old ones' memory is lost: they are still looked at. */
bool arn__sites_after_fork(void)
{
    arn__lock_reset(&sites_lock);
    forget();
    buckets = arn__trace_map(BUCKETS * sizeof *buckets);
    return buckets != NULL;
}
