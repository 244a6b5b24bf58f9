/* record.c - libarenite-record.so: libc's names for allocation, recorded on the way down.
 *
 * Each name calls the next one of its kind, in libc or in whatever else the program has for a
 * malloc, so that it meets the same blocks as ever.
 *
 * One lock around the store of a record, a few instructions: it serialises the program's
 * allocations, which distorts its timing but makes the file's order the order of events, with
 * nothing to merge, nothing to flush when a thread ends, and a file that is whole at any instant.
 * The allocator itself is called outside the lock.
 *
 * A forked child starts a file of its own. It finds the recorder's state wiped by the kernel, the
 * lock included, however it was forked; a vfork child shares its parent's memory, blocks and file.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "beneath.h"
#include "file.h"
#include "trace.h"

#define EXPORT __attribute__((visibility("default")))

enum phase { UNKNOWN, RECORDING, OFF };

/* In memory that a forked child finds zeroed. All but phase: under the lock. */
struct recorder {
    pthread_mutex_t lock; /* zeros are PTHREAD_MUTEX_INITIALIZER */
    _Atomic enum phase phase;
    struct file file;
    pid_t process;
    unsigned threads; /* that have a number */
    unsigned current; /* the thread of the last record */
};

static _Atomic(struct recorder *) recorder;

static _Thread_local struct {
    volatile bool inside; /* about to write a record: a signal handler must not */
    pid_t process;        /* where `number` and `address` hold: not in a forked child */
    unsigned number;
    uint64_t address; /* of the last record */
} self;

/* --- The state -------------------------------------------------------------------------------- */

/* What to record to, and the only process to do so (0: any), from the environment that the program
 * began with: it may change it. */
static struct {
    bool known;
    char path[PATH_MAX]; /* "": nothing */
    pid_t process;
} wanted;

static void learn_wanted(void)
{
    const char *path = getenv("ARENITE_RECORD"), *process = getenv("ARENITE_RECORD_PID");
    if (path != NULL && strlen(path) < sizeof wanted.path)
        strcpy(wanted.path, path);
    if (process != NULL)
        wanted.process = (pid_t)strtol(process, NULL, 10);
    wanted.known = true;
}

static bool is_wanted(void)
{
    if (!wanted.known)
        learn_wanted();
    return wanted.path[0] != '\0' && (wanted.process == 0 || wanted.process == getpid());
}

static struct recorder *recorder_create(void)
{
    static struct recorder none = {.phase = OFF};
    int saved = errno;
    size_t bytes = sizeof(struct recorder);
    struct recorder *made =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct recorder *present = NULL;
    if (made == MAP_FAILED || madvise(made, bytes, MADV_WIPEONFORK) != 0) {
        if (is_wanted())
            file_complain(wanted.path, errno);
        made = &none;
    }
    if (!atomic_compare_exchange_strong(&recorder, &present, made))
        made = present; /* what two threads made at a time, one of them leaves */
    errno = saved;
    return made;
}

static void write_header(struct file *file)
{
    struct trace_header header = {.version = TRACE_VERSION,
                                  .page_bytes = (uint32_t)sysconf(_SC_PAGESIZE)};
    memcpy(header.magic, TRACE_MAGIC, sizeof header.magic);
    memcpy(file_reserve(file, sizeof header), &header, sizeof header);
}

static void start(struct recorder *to)
{
    if (!is_wanted() || !file_create(&to->file, wanted.path)) {
        to->phase = OFF;
        return;
    }
    write_header(&to->file);
    to->process = getpid();
    to->phase = RECORDING;
}

static void leave(struct recorder *to)
{
    pthread_mutex_unlock(&to->lock);
    self.inside = false;
}

/* Takes the lock; NULL: nothing is to be recorded, or not here. */
static struct recorder *enter(void)
{
    if (self.inside)
        return NULL;
    /* acquire: pairs with the exchange in recorder_create. */
    struct recorder *to = atomic_load_explicit(&recorder, memory_order_acquire);
    if (to == NULL) {
        if (environ == NULL) /* libc is not initialised yet */
            return NULL;
        to = recorder_create();
    }
    /* relaxed: only spares the lock; what counts is looked at under it. */
    if (atomic_load_explicit(&to->phase, memory_order_relaxed) == OFF)
        return NULL;
    self.inside = true;
    pthread_mutex_lock(&to->lock);
    if (to->phase == UNKNOWN)
        start(to);
    if (to->phase == RECORDING)
        return to;
    leave(to);
    return NULL;
}

/* A program that allocates nothing has a trace, too. */
__attribute__((constructor)) static void begin(void)
{
    struct recorder *to = enter();
    if (to != NULL)
        leave(to);
}

__attribute__((destructor)) static void end(void)
{
    struct recorder *to = atomic_load(&recorder);
    if (to == NULL || to->phase != RECORDING) /* a child that allocated nothing needs no file */
        return;
    to = enter();
    if (to == NULL)
        return;
    file_close(&to->file);
    to->phase = OFF;
    leave(to);
}

/* --- A record --------------------------------------------------------------------------------- */

static unsigned char *put_number(unsigned char *at, uint64_t number)
{
    for (; number >= TRACE_MORE; number >>= 7)
        *at++ = (unsigned char)(number | TRACE_MORE);
    *at++ = (unsigned char)number;
    return at;
}

static unsigned char *put_operand(unsigned char *at, enum trace_op op, uint64_t operand)
{
    unsigned first = op | (unsigned)(operand << TRACE_OP_BITS & (TRACE_MORE - 1));
    operand >>= TRACE_FIRST_BITS;
    if (operand == 0) {
        *at++ = (unsigned char)first;
        return at;
    }
    *at++ = (unsigned char)(first | TRACE_MORE);
    return put_number(at, operand);
}

static bool has_bytes(enum trace_op op)
{
    return op != TRACE_FREE && op != TRACE_RESIZE;
}

/* Names the calling thread, if the last record was another's. */
static unsigned char *put_thread(struct recorder *to, unsigned char *at)
{
    if (self.process != to->process) {
        self.process = to->process;
        self.number = to->threads++;
        self.address = 0;
    }
    if (self.number == to->current)
        return at;
    to->current = self.number;
    return put_operand(at, TRACE_THREAD, self.number);
}

/* Under the lock. False: recording is over. */
static bool put(struct recorder *to, enum trace_op op, uint64_t address, uint64_t bytes,
                unsigned alignment_log)
{
    unsigned char record[2 * TRACE_RECORD_BYTES];
    unsigned char *at = put_thread(to, record);
    at = put_operand(at, op, trace_fold(self.address, address));
    if (has_bytes(op))
        at = put_number(at, bytes);
    if (op == TRACE_ALIGNED)
        at = put_number(at, alignment_log);
    if (address != 0) /* NULL of TRACE_RESIZED is near nothing */
        self.address = address;
    size_t length = (size_t)(at - record);
    unsigned char *place = file_reserve(&to->file, length);
    if (place == NULL)
        return false;
    memcpy(place, record, length);
    return true;
}

static void record_aligned(enum trace_op op, const void *block, size_t bytes,
                           unsigned alignment_log)
{
    struct recorder *to = enter();
    if (to == NULL)
        return;
    if (!put(to, op, (uintptr_t)block, bytes, alignment_log))
        to->phase = OFF;
    leave(to);
}

static void record(enum trace_op op, const void *block, size_t bytes)
{
    record_aligned(op, block, bytes, 0);
}

/* --- libc's names ----------------------------------------------------------------------------- */

EXPORT void *malloc(size_t bytes)
{
    const struct beneath *next = beneath();
    if (next == NULL)
        return beneath_spare(bytes);
    void *block = next->malloc(bytes);
    if (block != NULL)
        record(TRACE_MALLOC, block, bytes);
    return block;
}

EXPORT void *calloc(size_t count, size_t bytes)
{
    const struct beneath *next = beneath();
    if (next == NULL)
        return beneath_spare(count * bytes);
    void *block = next->calloc(count, bytes);
    if (block != NULL)
        record(TRACE_CALLOC, block, count * bytes);
    return block;
}

EXPORT void free(void *block)
{
    const struct beneath *next = beneath();
    if (block == NULL || beneath_is_spare(block) || next == NULL)
        return;
    record(TRACE_FREE, block, 0);
    next->free(block);
}

static void *move_from_spare(const void *block, size_t bytes)
{
    void *moved = malloc(bytes);
    size_t most = beneath_spare_bytes(block);
    return moved == NULL ? NULL : memcpy(moved, block, bytes < most ? bytes : most);
}

EXPORT void *realloc(void *block, size_t bytes)
{
    const struct beneath *next = beneath();
    if (block == NULL)
        return malloc(bytes);
    if (beneath_is_spare(block) || next == NULL)
        return move_from_spare(block, bytes);
    record(TRACE_RESIZE, block, 0);
    void *resized = next->realloc(block, bytes);
    record(TRACE_RESIZED, resized, bytes);
    return resized;
}

EXPORT void *reallocarray(void *block, size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, total);
}

/* --- Aligned blocks: dlsym asks for none ------------------------------------------------------ */

/* The next power of two: what glibc makes of other alignments. */
static void *record_block(void *block, size_t alignment, size_t bytes)
{
    if (block != NULL)
        record_aligned(TRACE_ALIGNED, block, bytes,
                       alignment < 2 ? 0 : 64 - (unsigned)__builtin_clzl(alignment - 1));
    return block;
}

EXPORT void *memalign(size_t alignment, size_t bytes)
{
    return record_block(beneath()->memalign(alignment, bytes), alignment, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t bytes)
{
    return record_block(beneath()->aligned_alloc(alignment, bytes), alignment, bytes);
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    int error = beneath()->posix_memalign(block, alignment, bytes);
    if (error == 0)
        record_block(*block, alignment, bytes);
    return error;
}

EXPORT void *valloc(size_t bytes)
{
    return record_block(beneath()->valloc(bytes), (size_t)sysconf(_SC_PAGESIZE), bytes);
}

EXPORT void *pvalloc(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return record_block(beneath()->pvalloc(bytes), page, (bytes + page - 1) & -page);
}
