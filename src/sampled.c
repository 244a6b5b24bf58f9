/* sampled.c - choosing, cells, and what is said of a fault in one. No locks. */
#include "sampled.h"

#include <execinfo.h>
#include <signal.h>
#include <string.h>

#include "descriptor.h"
#include "diag.h"
#include "guard.h"
#include "options.h"
#include "os.h"
#include "pace.h"
#include "secret.h"
#include "trace/site.h"

enum { STDERR = 2 };

/* What the bytes beside a block hold. */
enum { BESIDE = 0xa5 };

/* How many requests in a row may be sampled, when more blocks were handed out at once than the rate asks for. */
enum { OWED_MOST = 8 };

atomic_bool arn__sampling;

/* Written before sampling is on for the first time; `rate` whenever it begins. */
static char *cells_start;
static struct cell *cells;
static size_t cell_bytes, cell_stride;
static _Atomic size_t rate;

static _Atomic uint64_t frees;

/* ---- chance ---- */

static _Atomic uint64_t drawn;

void arn__sampled_seed(uint64_t seed)
{
    atomic_store(&drawn, seed);
}

/* SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014). */
static uint64_t chance(void)
{
    const uint64_t step = 0x9e3779b97f4a7c15;
    uint64_t z = atomic_fetch_add_explicit(&drawn, step, memory_order_relaxed) + step;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* For |x| of at most 1/3, to five digits. */
static double artanh(double x)
{
    double square = x * x;
    return x * (1 + square * (1.0 / 3 + square * (1.0 / 5 + square * (1.0 / 7))));
}

/* The natural logarithm of the number / 2^64, negated; of 0, that of 1. */
static double minus_log(uint64_t number)
{
    const double log_of_2 = 0.69314718055994531;
    int zeros = __builtin_clzll(number | 1);
    double mantissa = (double)((number | 1) << zeros) / 9223372036854775808.0; /* 1 to 2 */
    return (zeros + 1) * log_of_2 - 2 * artanh((mantissa - 1) / (mantissa + 1));
}

/* Geometric: each block is the one with the probability 1 / mean. log(mean / (mean - 1)) is 2 artanh(1 / (2 mean - 1)). */
uint64_t arn__sampled_draw(size_t mean)
{
    if (mean <= 1)
        return 1;
    return 1 + (uint64_t)(minus_log(chance()) / (2 * artanh(1 / (2 * (double)mean - 1))));
}

void arn__sampled_begin_count(int64_t *until)
{
    if (arn__sampled_is_on() && *until == 0)
        *until = (int64_t)arn__sampled_draw(atomic_load_explicit(&rate, memory_order_relaxed));
}

bool arn__sampled_is_due(int64_t *until, uint64_t blocks)
{
    size_t mean = atomic_load_explicit(&rate, memory_order_relaxed);
    int64_t owed_most = OWED_MOST * (int64_t)mean;
    if (*until == 0)
        *until = (int64_t)arn__sampled_draw(mean);
    *until -= (int64_t)blocks;
    if (*until > 0)
        return false;
    if (*until < -owed_most)
        *until = -owed_most;
    *until += (int64_t)arn__sampled_draw(mean);
    *until -= *until == 0; /* that would be one that has not begun */
    return true;
}

/* ---- rest ---- */

static struct pace pace;

uint64_t arn__sampled_now(void)
{
    return atomic_load_explicit(&rate, memory_order_relaxed) < SAMPLED_PACED ? 0 : arn__os_now_ns();
}

bool arn__sampled_rests(uint64_t now)
{
    return now != 0 && arn__pace_rests(&pace, now, 0);
}

void arn__sampled_took(uint64_t since)
{
    if (since != 0)
        arn__pace_took(&pace, since, arn__os_now_ns());
}

/* ---- cells ---- */

/* Round up and down to pages. */
static uintptr_t page_start(uintptr_t address)
{
    return address & ~(uintptr_t)(arn__os_page_bytes() - 1);
}

static uintptr_t page_end(uintptr_t address)
{
    return page_start(address + arn__os_page_bytes() - 1);
}

static char *start_of(const struct cell *cell)
{
    return cells_start + (size_t)(cell - cells) * cell_stride;
}

static enum cell_state state_of(const struct cell *cell)
{
    /* acquire: pairs with the release in set_state; the other fields are as they were then. */
    return (enum cell_state)atomic_load_explicit(&cell->state, memory_order_acquire);
}

/* By whoever has the cell. */
static void set_state(struct cell *cell, enum cell_state state)
{
    atomic_store_explicit(&cell->state, (uint32_t)state, memory_order_release);
}

static bool change_state(struct cell *cell, enum cell_state from, enum cell_state to)
{
    uint32_t expected = (uint32_t)from;
    return atomic_compare_exchange_strong(&cell->state, &expected, (uint32_t)to);
}

/* The pages of the block. */
static char *pages_of(const struct cell *cell, size_t *bytes)
{
    uintptr_t start = page_start((uintptr_t)cell->block);
    *bytes = page_end((uintptr_t)cell->block + cell->bytes) - start;
    return (char *)start;
}

/* The one that was freed first, of those that were never used any; NULL: none is free, or as many as may be are in
 * use. Others change what is looked at: the state decides. */
static struct cell *oldest_free(void)
{
    struct cell *oldest = NULL;
    uint64_t oldest_freed = UINT64_MAX;
    size_t used = 0, first = chance() % SAMPLED_CELLS;
    for (size_t i = 0; i < SAMPLED_CELLS; i++) {
        struct cell *cell = &cells[(first + i) % SAMPLED_CELLS];
        uint64_t freed = atomic_load_explicit(&cell->freed, memory_order_relaxed);
        if (state_of(cell) != CELL_FREE) {
            used++;
        } else if (freed < oldest_freed) {
            oldest = cell;
            oldest_freed = freed;
        }
    }
    return used < SAMPLED_LIVE_MOST ? oldest : NULL;
}

struct cell *arn__sampled_take(size_t bytes, size_t alignment)
{
    if (bytes > cell_bytes || alignment > arn__os_page_bytes())
        return NULL;
    struct cell *cell;
    while ((cell = oldest_free()) != NULL && !change_state(cell, CELL_FREE, CELL_TAKEN)) {
    }
    return cell;
}

/* At the end as far as the alignment lets it, or at the start. */
static char *place(const struct cell *cell, size_t bytes, size_t alignment)
{
    if (alignment < QUANTUM_BYTES)
        alignment = QUANTUM_BYTES;
    char *start = start_of(cell);
    if (chance() & 1)
        return start;
    return (char *)((uintptr_t)(start + cell_bytes - bytes) & ~(uintptr_t)(alignment - 1));
}

/* Not before the pages can be written: what the cell had before is told of until then. */
void *arn__sampled_make(struct cell *cell, size_t bytes, size_t alignment, bool zeroed)
{
    cell->block = place(cell, bytes, alignment);
    cell->bytes = (uint32_t)bytes;
    size_t open_bytes;
    char *start = pages_of(cell, &open_bytes);
    if (!arn__os_open(start, open_bytes)) {
        atomic_store(&arn__sampling, false);
        set_state(cell, CELL_FREE);
        return NULL;
    }
    char *block = cell->block;
    memset(start, BESIDE, (size_t)(block - start));
    memset(block + bytes, BESIDE, (size_t)(start + open_bytes - (block + bytes)));
    if (zeroed)
        memset(block, 0, bytes); /* locked pages hold what they held */
    set_state(cell, CELL_LIVE);
    return block;
}

/* ---- looking ---- */

bool arn__sampled_has(const void *pointer)
{
    return arn__kind(arn__descriptor_if_ours(pointer)) == KIND_SAMPLED;
}

/* The cell, with the guard behind it, that a pointer to any of them is in. */
static struct cell *cell_at(const void *pointer)
{
    size_t idx = (size_t)((const char *)pointer - cells_start) / cell_stride;
    return &cells[idx < SAMPLED_CELLS ? idx : SAMPLED_CELLS - 1];
}

enum sampled_block arn__sampled_look(const void *pointer)
{
    const struct cell *cell = cell_at(pointer);
    enum cell_state state = state_of(cell);
    if (cell->block != pointer || state == CELL_TAKEN)
        return SAMPLED_NONE;
    return state == CELL_LIVE ? SAMPLED_LIVE : SAMPLED_FREED;
}

size_t arn__sampled_bytes(const void *block)
{
    return cell_at(block)->bytes;
}

/* Others change what is looked at: a picture of a moving thing. */
__attribute__((no_sanitize("thread"))) void arn__sampled_count(size_t *blocks, size_t *bytes)
{
    *blocks = *bytes = 0;
    for (size_t i = 0; cells != NULL && i < SAMPLED_CELLS; i++) {
        if (state_of(&cells[i]) == CELL_LIVE) {
            ++*blocks;
            *bytes += cells[i].bytes;
        }
    }
}

/* ---- freeing ---- */

struct cell *arn__sampled_give(const void *block)
{
    struct cell *cell = cell_at(block);
    return cell->block == block && change_state(cell, CELL_LIVE, CELL_GIVEN) ? cell : NULL;
}

/* Quick where nothing was written: each byte is as the one before it. */
static const char *first_written(const char *from, const char *to)
{
    if (from < to && (unsigned char)*from == BESIDE &&
        memcmp(from, from + 1, (size_t)(to - from) - 1) == 0)
        return NULL;
    while (from < to && (unsigned char)*from == BESIDE)
        from++;
    return from < to ? from : NULL;
}

const char *arn__sampled_overwritten(const struct cell *cell)
{
    size_t bytes;
    const char *start = pages_of(cell, &bytes);
    const char *end = cell->block + cell->bytes;
    const char *after = first_written(end, start + bytes);
    return after != NULL ? after : first_written(start, cell->block);
}

void arn__sampled_give_pages(struct cell *cell)
{
    size_t bytes;
    char *start = pages_of(cell, &bytes);
    bool closed = arn__os_close(start, bytes);
    if (!closed)
        atomic_store(&arn__sampling, false);
    atomic_store_explicit(&cell->freed, atomic_fetch_add(&frees, 1) + 1, memory_order_relaxed);
    set_state(cell, closed ? CELL_FREE : CELL_BROKEN);
}

/* ---- beginning ---- */

static void *take_cells(size_t bytes, size_t alignment)
{
    return arn__guard_reserve(bytes, alignment);
}

static bool give_cells(void *start, size_t bytes)
{
    return arn__guard_give(start, bytes);
}

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) & ~(unit - 1);
}

static bool make_cells(void)
{
    size_t page_bytes = arn__os_page_bytes();
    size_t granule = page_bytes > SLICE_BYTES ? page_bytes : SLICE_BYTES;
    cell_bytes = round_up(POOLED_BYTES, page_bytes);
    cell_stride = cell_bytes + page_bytes;
    size_t bytes = round_up(SAMPLED_CELLS * cell_stride, granule);
    struct cell *records = (struct cell *)arn__guard_map(SAMPLED_CELLS * sizeof *cells);
    if (records == NULL)
        return false;
    char *start =
        arn__directory_place(take_cells, give_cells, bytes, granule, arn__directory_cover);
    if (start == NULL) {
        arn__guard_give((char *)records, SAMPLED_CELLS * sizeof *cells);
        return false;
    }
    cells = records;
    cells_start = start;
    for (size_t at = 0; at < bytes; at += SLICE_BYTES)
        atomic_store_explicit(&arn__descriptor(start + at)->kind_flags, KIND_SAMPLED,
                              memory_order_release);
    return true;
}

bool arn__sampled_begin(size_t mean)
{
    if (cells == NULL) {
        void *first[1];
        struct own_code own = arn__own_code(NULL);
        backtrace(first, 1); /* the first time, it loads what it needs, and allocates */
        arn__traceback_begin(backtrace, &own);
        arn__sampled_seed(arn__secret(SECRET_SAMPLES));
        if (!make_cells())
            return false;
    }
    atomic_store(&rate, mean);
    /* release: pairs with the acquire of arn__sampled_is_on. */
    atomic_store_explicit(&arn__sampling, true, memory_order_release);
    return true;
}

/* ---- telling ---- */

static size_t distance_to(const struct cell *cell, const char *address)
{
    const char *end = cell->block + cell->bytes;
    return (size_t)(address < cell->block ? cell->block - address
                    : address < end       ? 0
                                          : address - end);
}

/* Whose block an address is meant for: the cell's that it is in, or in a guard that of the nearer one. NULL: there
 * never was one. */
static const struct cell *nearest(const char *address)
{
    size_t offset = address < cells_start ? 0 : (size_t)(address - cells_start);
    const struct cell *cell = cell_at(cells_start + offset), *next = cell + 1;
    bool in_guard = offset % cell_stride >= cell_bytes;
    if (in_guard && next < cells + SAMPLED_CELLS && next->block != NULL &&
        (cell->block == NULL || distance_to(next, address) < distance_to(cell, address)))
        cell = next;
    return cell->block == NULL ? NULL : cell;
}

static void say_stack(const char *what, const struct call_stack *stack)
{
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: ");
    arn__line_text(&line, what);
    if (stack->thread != 0) {
        arn__line_text(&line, " by thread ");
        arn__line_decimal(&line, (uint64_t)stack->thread);
    }
    arn__line_text(&line, " at ");
    arn__line_frame(&line, stack->count == 0 ? NULL : stack->frames[0]);
    arn__line_write(&line, STDERR);
    for (unsigned i = 1; i < stack->count; i++) {
        arn__line_text(&line, "arenite:   called from ");
        arn__line_frame(&line, stack->frames[i]);
        arn__line_write(&line, STDERR);
    }
}

/* "N bytes past the end of a block of M bytes at 0x…"; without "N bytes into" at its start. */
static void add_position(struct line *line, const char *address, const struct cell *cell)
{
    const char *block = cell->block, *end = block + cell->bytes;
    size_t distance = (size_t)(address < block ? block - address
                               : address < end ? address - block
                                               : address - end);
    if (address != block) {
        arn__line_decimal(line, distance);
        arn__line_text(line, distance == 1 ? " byte " : " bytes ");
        arn__line_text(line, address < block ? "before the start of "
                             : address < end ? "into "
                                             : "past the end of ");
    }
    arn__line_text(line, "a block of ");
    arn__line_decimal(line, cell->bytes);
    arn__line_text(line, cell->bytes == 1 ? " byte at " : " bytes at ");
    arn__line_hex(line, (uintptr_t)block);
}

static void add_process(struct line *line)
{
    arn__line_text(line, ", process ");
    arn__line_decimal(line, (uint64_t)arn__os_process());
}

/* The stacks of the cell's block, as far as it has them. */
static void say_history(const struct cell *cell)
{
    enum cell_state state = state_of(cell);
    say_stack("allocated", &cell->made_by);
    if (state == CELL_FREE || state == CELL_BROKEN)
        say_stack("freed", &cell->freed_by);
}

void arn__sampled_misuse(const char *function, const void *pointer, const char *reason,
                         const char *where, const struct call_stack *by)
{
    const struct cell *cell = nearest(pointer);
    struct line line = {.length = 0};
    arn__line_misuse(&line, function, pointer, reason);
    if (cell != NULL) {
        arn__line_text(&line, ": ");
        add_position(&line, where, cell);
    }
    add_process(&line);
    arn__line_write(&line, STDERR);
    say_stack("called", by);
    if (cell != NULL)
        say_history(cell);
    if (arn__options.misuse == MISUSE_ABORT)
        arn__os_abort();
}

/* ---- faults ---- */

static struct os_action before;

/* Whose words are on their way: those of one thread, while others that fault wait. */
enum { NOTHING_SAID, BEING_SAID, SAID };
static _Atomic uint32_t telling;

static bool is_beside_cells(const char *address)
{
    return address >= cells_start - arn__os_page_bytes() &&
           address < cells_start + SAMPLED_CELLS * cell_stride;
}

/* Whose pages the program met. NULL: they can be accessed, and something else is the matter. */
static const struct cell *met(const char *address)
{
    const struct cell *cell = nearest(address);
    if (cell == NULL || state_of(cell) == CELL_TAKEN)
        return NULL;
    size_t bytes;
    const char *start = pages_of(cell, &bytes);
    bool open = state_of(cell) == CELL_LIVE && address >= start && address < start + bytes;
    return open ? NULL : cell;
}

/* Of the interrupted program: without the handler's frames. */
static void take_faulting_stack(struct call_stack *stack, const void *instruction)
{
    void *frames[SAMPLED_FRAMES];
    unsigned count = arn__traceback_frames(frames, SAMPLED_FRAMES), from = 0;
    while (from < count && frames[from] != instruction)
        from++;
    from = from < count ? from : 0;
    stack->thread = arn__os_thread();
    stack->count = count - from;
    memcpy(stack->frames, frames + from, stack->count * sizeof *frames);
}

/* The stack of the fault comes last: to walk it is all that may fail. */
static void tell_fault(const struct cell *cell, const char *address, struct os_access access)
{
    static const char *const kinds[] = {"access to", "read of", "write to"};
    struct call_stack stack;
    struct line line = {.length = 0};
    arn__line_text(&line, "arenite: ");
    arn__line_text(&line, state_of(cell) != CELL_LIVE ? "use after free: " : "out of bounds: ");
    arn__line_text(&line, kinds[access.kind]);
    arn__line_text(&line, " ");
    arn__line_hex(&line, (uintptr_t)address);
    arn__line_text(&line, ", ");
    add_position(&line, address, cell);
    add_process(&line);
    arn__line_write(&line, STDERR);
    say_history(cell);
    take_faulting_stack(&stack, access.instruction);
    say_stack("accessed", &stack);
}

static void tell_once(const struct cell *cell, const char *address, struct os_access access)
{
    uint32_t state = NOTHING_SAID;
    if (atomic_compare_exchange_strong(&telling, &state, BEING_SAID)) {
        tell_fault(cell, address, access);
        atomic_store(&telling, SAID);
        arn__os_wake(&telling, INT32_MAX);
    }
    while (atomic_load(&telling) == BEING_SAID)
        arn__os_wait(&telling, BEING_SAID);
}

/* What would have become of the signal. A fault happens again when the handler returns, and ends the process if nobody
 * handles it; a signal that was sent does not. */
static void pass_on(int signal, siginfo_t *info, void *context, bool explained)
{
    uintptr_t handler = (uintptr_t)before.handler;
    bool handled = handler != (uintptr_t)SIG_DFL && handler != (uintptr_t)SIG_IGN;
    bool sent = info->si_code <= 0;
    if (handled && !explained) {
        before.handler(signal, info, context);
        return;
    }
    if (sent && handler == (uintptr_t)SIG_IGN)
        return;
    arn__os_handle_again(signal, &before);
    if (sent)
        arn__os_raise(signal);
}

/* An entry: where the library is part of a program, its frames end here. */
__attribute__((section("arn_entry"))) static void on_fault(int signal, siginfo_t *info,
                                                           void *context)
{
    const char *address = info->si_addr;
    const struct cell *cell = info->si_code > 0 && is_beside_cells(address) ? met(address) : NULL;
    if (cell != NULL)
        tell_once(cell, address, arn__os_access(context));
    pass_on(signal, info, context, cell != NULL);
}

void arn__sampled_explain_faults(void)
{
    arn__os_handle(SIGSEGV, on_fault, &before);
}
