/* table.c - open addressing with linear probing, in stripes. */
#include "table.h"

#include "os.h"

enum { STRIPE_BITS = 5, STRIPES = 1 << STRIPE_BITS, FIRST_ROOM = 512 };

struct entry {
    uintptr_t address; /* 0: none */
    size_t bytes;
    struct site *site;
};

struct table {
    size_t room; /* a power of two */
    size_t used;
    struct entry entries[];
};

struct stripe {
    _Alignas(64) struct lock lock;
    struct table *table; /* NULL: nothing in it */
    unsigned epoch; /* whose traces it holds: behind that of all while they are being forgotten */
};

static struct stripe stripes[STRIPES];
static _Atomic unsigned epoch;

_Atomic unsigned arn__tracing;
struct trace_totals arn__trace_totals;
struct lock arn__trace_control;

unsigned arn__trace_epoch(void)
{
    return atomic_load(&epoch);
}

void arn__trace_lose(void)
{
    atomic_fetch_add_explicit(&arn__trace_totals.lost, 1, memory_order_relaxed); /* a figure */
}

/* ---- counting ---- */

static void raise_peak(size_t current)
{
    size_t peak = atomic_load(&arn__trace_totals.peak);
    while (current > peak &&
           !atomic_compare_exchange_weak(&arn__trace_totals.peak, &peak, current)) {
    }
}

/* The second time for who went by between the first two. */
void arn__trace_reset_peak(void)
{
    atomic_store(&arn__trace_totals.peak, atomic_load(&arn__trace_totals.current));
    raise_peak(atomic_load(&arn__trace_totals.current));
}

static void count_up(struct site *site, size_t bytes)
{
    struct trace_totals *totals = &arn__trace_totals;
    atomic_fetch_add_explicit(&site->count, 1, memory_order_relaxed); /* figures, all of them */
    atomic_fetch_add_explicit(&site->bytes, bytes, memory_order_relaxed);
    size_t current =
        atomic_fetch_add_explicit(&totals->current, bytes, memory_order_relaxed) + bytes;
    raise_peak(current);
}

static void count_down(struct site *site, size_t bytes)
{
    atomic_fetch_sub_explicit(&site->count, 1, memory_order_relaxed); /* figures */
    atomic_fetch_sub_explicit(&site->bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&arn__trace_totals.current, bytes, memory_order_relaxed);
}

/* ---- one stripe ---- */

/* After Knuth's multiplicative hashing (The Art of Computer Programming 3, 6.4). */
static uint64_t hash_of(uintptr_t address)
{
    return (uint64_t)(address >> 3) * 0x9e3779b97f4a7c15u;
}

static struct stripe *stripe_of(const void *address)
{
    return &stripes[hash_of((uintptr_t)address) >> (64 - STRIPE_BITS)];
}

static size_t home_of(const struct table *table, uintptr_t address)
{
    return (size_t)(hash_of(address) >> 20) & (table->room - 1);
}

/* Where it is, or where it would go. */
static struct entry *find(struct table *table, uintptr_t address)
{
    size_t i = home_of(table, address);
    while (table->entries[i].address != 0 && table->entries[i].address != address)
        i = (i + 1) & (table->room - 1);
    return &table->entries[i];
}

static size_t table_bytes(size_t room)
{
    return sizeof(struct table) + room * sizeof(struct entry);
}

static void discard(struct table *table)
{
    if (table != NULL)
        arn__trace_unmap(table, table_bytes(table->room));
}

/* NULL: no memory. */
static struct table *new_table(size_t room)
{
    struct table *table = arn__trace_map(table_bytes(room));
    if (table != NULL)
        table->room = room;
    return table;
}

/* At most three quarters are used. False: no memory. */
static bool make_room(struct stripe *stripe)
{
    struct table *old = stripe->table;
    if (old != NULL && old->used < old->room / 4 * 3)
        return true;
    struct table *larger = new_table(old == NULL ? FIRST_ROOM : old->room * 2);
    if (larger == NULL)
        return false;
    for (size_t i = 0; old != NULL && i < old->room; i++) {
        if (old->entries[i].address != 0)
            *find(larger, old->entries[i].address) = old->entries[i];
    }
    larger->used = old == NULL ? 0 : old->used;
    stripe->table = larger;
    discard(old);
    return true;
}

/* Closes the gap (Knuth, 6.4, algorithm R). */
static void take_out(struct table *table, struct entry *entry)
{
    size_t gap = (size_t)(entry - table->entries);
    size_t mask = table->room - 1;
    table->used--;
    for (size_t i = (gap + 1) & mask; table->entries[i].address != 0; i = (i + 1) & mask) {
        size_t home = home_of(table, table->entries[i].address);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            table->entries[gap] = table->entries[i];
            gap = i;
        }
    }
    table->entries[gap].address = 0;
}

/* NULL: there is none. */
static struct entry *entry_of(struct stripe *stripe, const void *address)
{
    if (stripe->table == NULL)
        return NULL;
    struct entry *entry = find(stripe->table, (uintptr_t)address);
    return entry->address == 0 ? NULL : entry;
}

static bool drop(struct stripe *stripe, const void *address, struct trace *trace)
{
    struct entry *entry = entry_of(stripe, address);
    if (entry == NULL)
        return false;
    *trace = (struct trace){.bytes = entry->bytes, .site = entry->site};
    take_out(stripe->table, entry);
    count_down(trace->site, trace->bytes);
    return true;
}

static void enter(struct stripe *stripe, const void *address, size_t bytes, struct site *site)
{
    struct trace before;
    drop(stripe, address, &before); /* what a forked child has too much */
    if (site == NULL || !make_room(stripe)) {
        arn__trace_lose();
        return;
    }
    struct entry *entry = find(stripe->table, (uintptr_t)address);
    entry->bytes = bytes;
    entry->site = site;
    atomic_signal_fence(memory_order_seq_cst); /* for a forked child: last, that there is one */
    entry->address = (uintptr_t)address;
    stripe->table->used++;
    count_up(site, bytes);
}

static bool accepts(const struct stripe *stripe, unsigned of)
{
    return stripe->epoch == of && of % 2 == 1;
}

/* ---- traces ---- */

void arn__trace_put(const void *address, size_t bytes, const struct arn_type *type,
                    const struct traceback *traceback)
{
    struct stripe *stripe = stripe_of(address);
    arn__lock(&stripe->lock, RANK_TRACES);
    /* The site is not looked for before: it is there only as long as the epoch lasts. */
    if (accepts(stripe, traceback->epoch))
        enter(stripe, address, bytes, arn__site(type, traceback->frames, traceback->count));
    arn__unlock(&stripe->lock, RANK_TRACES);
}

bool arn__trace_take(const void *address, struct trace *trace)
{
    struct stripe *stripe = stripe_of(address);
    arn__lock(&stripe->lock, RANK_TRACES);
    bool found = drop(stripe, address, trace);
    trace->epoch = stripe->epoch;
    arn__unlock(&stripe->lock, RANK_TRACES);
    return found;
}

void arn__trace_put_back(const void *address, const struct trace *trace)
{
    struct stripe *stripe = stripe_of(address);
    arn__lock(&stripe->lock, RANK_TRACES);
    if (accepts(stripe, trace->epoch))
        enter(stripe, address, trace->bytes, trace->site);
    arn__unlock(&stripe->lock, RANK_TRACES);
}

void arn__trace_remove(const void *address)
{
    struct trace trace;
    arn__trace_take(address, &trace);
}

bool arn__trace_look(const void *address, struct trace *trace)
{
    struct stripe *stripe = stripe_of(address);
    arn__lock(&stripe->lock, RANK_TRACES);
    const struct entry *entry = entry_of(stripe, address);
    if (entry != NULL)
        *trace = (struct trace){entry->bytes, entry->site, stripe->epoch};
    arn__unlock(&stripe->lock, RANK_TRACES);
    return entry != NULL;
}

/* ---- all of them ---- */

static void empty(struct stripe *stripe)
{
    struct table *table = stripe->table;
    for (size_t i = 0; table != NULL && i < table->room; i++) {
        if (table->entries[i].address != 0)
            count_down(table->entries[i].site, table->entries[i].bytes);
    }
    stripe->table = NULL;
    discard(table);
}

/* Odd while traces are taken. */
static unsigned next_epoch(bool on)
{
    unsigned now = arn__trace_epoch();
    unsigned next = on ? (now + 1) | 1 : (now | 1) + 1;
    atomic_store(&epoch, next);
    return next;
}

/* A stripe that has changed its epoch takes in nothing that was begun in an older one: after the last, nobody
 * looks at a site of that. */
void arn__table_clear(bool on)
{
    unsigned next = next_epoch(on);
    for (unsigned i = 0; i < STRIPES; i++) {
        arn__lock(&stripes[i].lock, RANK_TRACES);
        empty(&stripes[i]);
        stripes[i].epoch = next;
        arn__unlock(&stripes[i].lock, RANK_TRACES);
    }
    arn__trace_reset_peak();
    atomic_store(&arn__trace_totals.lost, 0);
}

/* Again into a new table, with new sites: of the old ones, some may not be linked, and counts not be sums. An
 * entry was written from several words, but each of them was one of a trace's. */
static void enter_anew(struct stripe *stripe, const struct table *old)
{
    for (size_t i = 0; i < old->room; i++) {
        const struct entry *entry = &old->entries[i];
        const struct site *site = entry->site;
        if (entry->address != 0 && site != NULL && site->frame_count != 0)
            enter(stripe, (const void *)entry->address, entry->bytes,
                  arn__site(site->type, site->frames, site->frame_count));
    }
}

void arn__table_after_fork(bool had_threads)
{
    arn__lock_reset(&arn__trace_control);
    for (unsigned i = 0; i < STRIPES; i++)
        arn__lock_reset(&stripes[i].lock);
    if (!had_threads)
        return;
    bool on = atomic_load(&arn__tracing) != 0;
    size_t peak = atomic_load(&arn__trace_totals.peak);
    atomic_store(&arn__trace_totals.current, 0);
    on = arn__sites_after_fork() && on;
    unsigned next = next_epoch(on);
    for (unsigned i = 0; i < STRIPES; i++) {
        struct table *old = stripes[i].table;
        stripes[i].table = NULL;
        stripes[i].epoch = next;
        if (on && old != NULL)
            enter_anew(&stripes[i], old);
        discard(old);
    }
    if (!on)
        atomic_store(&arn__tracing, 0); /* no memory; or it was just about to end */
    if (peak > atomic_load(&arn__trace_totals.peak))
        atomic_store(&arn__trace_totals.peak, peak);
}
