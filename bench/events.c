/* events.c - decodes a trace: checks it, counts it, then turns addresses into blocks. */
#include "events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/trace.h"

void *events_memory(size_t bytes)
{
    /* A page for nothing: mmap refuses 0 bytes. Not reserved: callers ask for upper bounds. */
    void *memory = mmap(NULL, bytes + 1, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "replay: no memory for the decoded trace\n");
        exit(1);
    }
    return memory;
}

/* --- Records ---------------------------------------------------------------------------------- */

struct cursor {
    const unsigned char *at, *end;
    const char *flaw; /* what is wrong with the file, once something is */
};

struct record {
    enum trace_op op;
    uint64_t operand;
    uint64_t bytes;
    uint64_t alignment_log;
};

/* Appends the groups of 7 bits that follow to a number that has `shift` bits so far. */
static bool read_rest(struct cursor *cursor, unsigned shift, uint64_t *number)
{
    for (; shift < 64; shift += 7) {
        if (cursor->at == cursor->end) {
            cursor->flaw = "truncated";
            return false;
        }
        uint64_t byte = *cursor->at++;
        *number |= (byte & (TRACE_MORE - 1)) << shift;
        if (byte < TRACE_MORE)
            return true;
    }
    cursor->flaw = "damaged: a number is too long";
    return false;
}

static bool has_bytes(enum trace_op op)
{
    return op == TRACE_MALLOC || op == TRACE_CALLOC || op == TRACE_ALIGNED || op == TRACE_RESIZED;
}

/* False: TRACE_END, or the cursor has a flaw. */
static bool read_record(struct cursor *cursor, struct record *record)
{
    if (cursor->at == cursor->end) {
        cursor->flaw = "truncated";
        return false;
    }
    unsigned first = *cursor->at++;
    *record = (struct record){
        .op = first & ((1 << TRACE_OP_BITS) - 1),
        .operand = (first & (TRACE_MORE - 1)) >> TRACE_OP_BITS,
    };
    if (first >= TRACE_MORE && !read_rest(cursor, TRACE_FIRST_BITS, &record->operand))
        return false;
    if (has_bytes(record->op) && !read_rest(cursor, 0, &record->bytes))
        return false;
    if (record->op == TRACE_ALIGNED && !read_rest(cursor, 0, &record->alignment_log))
        return false;
    if (record->alignment_log < 64)
        return record->op != TRACE_END;
    cursor->flaw = "damaged: an impossible alignment";
    return false;
}

/* Reads to the end; leaves the number of records and of threads. */
static bool count_records(struct cursor cursor, size_t *records, unsigned *threads,
                          const char **flaw)
{
    struct record record;
    *records = 0;
    *threads = 1;
    while (read_record(&cursor, &record)) {
        ++*records;
        if (record.op != TRACE_THREAD || record.operand < *threads)
            continue;
        if (record.operand > *threads) {
            cursor.flaw = "damaged: a thread out of order";
            break;
        }
        ++*threads;
    }
    *flaw = cursor.flaw;
    return *flaw == NULL;
}

/* --- Address to block: a hash table, probed one place after another --------------------------- */

struct place {
    uint64_t address; /* 0: free */
    uint32_t block;
};

struct map {
    struct place *places;
    size_t capacity; /* a power of two, or 0; more than half is never in use */
    size_t used;
};

static size_t home_of(const struct map *map, uint64_t address)
{
    return address * 0x9E3779B97F4A7C15 >> 20 & (map->capacity - 1);
}

/* Where the address is, or belongs. */
static struct place *map_place(const struct map *map, uint64_t address)
{
    size_t i = home_of(map, address);
    while (map->places[i].address != 0 && map->places[i].address != address)
        i = (i + 1) & (map->capacity - 1);
    return &map->places[i];
}

static void map_grow(struct map *map)
{
    struct map old = *map;
    map->capacity = old.capacity == 0 ? 1024 : old.capacity * 2;
    map->places = events_memory(map->capacity * sizeof(struct place));
    for (size_t i = 0; i < old.capacity; i++)
        if (old.places[i].address != 0)
            *map_place(map, old.places[i].address) = old.places[i];
    if (old.capacity != 0)
        munmap(old.places, old.capacity * sizeof(struct place) + 1);
}

static void map_put(struct map *map, uint64_t address, uint32_t block)
{
    *map_place(map, address) = (struct place){.address = address, .block = block};
    if (++map->used * 2 > map->capacity)
        map_grow(map);
}

/* Removes a place that is in use, and moves up what its being there kept away from home. */
static void map_remove(struct map *map, struct place *place)
{
    size_t mask = map->capacity - 1;
    size_t hole = (size_t)(place - map->places);
    for (size_t i = hole;;) {
        i = (i + 1) & mask;
        if (map->places[i].address == 0)
            break;
        size_t home = home_of(map, map->places[i].address);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->places[hole] = map->places[i];
            hole = i;
        }
    }
    map->places[hole].address = 0;
    map->used--;
}

/* --- Events ----------------------------------------------------------------------------------- */

#define NONE UINT32_MAX

struct block {
    uint64_t bytes;
    uint32_t turn;
    uint32_t next_free; /* in the thread's list, or NONE */
};

struct thread {
    uint64_t address;  /* of its last record that has one */
    uint32_t resizing; /* the block between TRACE_RESIZE and TRACE_RESIZED, or NONE */
    uint32_t free;     /* numbers of the blocks it freed, last first */
};

struct decoder {
    struct events *events;
    struct map map;
    struct block *blocks;
    struct thread *threads;
    unsigned current;
    uint64_t live_bytes;
};

static void emit(struct decoder *decoder, enum event_op op, uint32_t number, uint64_t bytes,
                 uint64_t alignment_log)
{
    struct events *events = decoder->events;
    struct block *block = &decoder->blocks[number];
    events->all[events->count++] = (struct event){
        .bytes = bytes,
        .block = number,
        .turn = block->turn++,
        .thread = decoder->current,
        .op = (uint8_t)op,
        .alignment_log = (uint8_t)alignment_log,
    };
    decoder->live_bytes += bytes - block->bytes;
    block->bytes = bytes;
    if (decoder->live_bytes > events->peak_bytes)
        events->peak_bytes = decoder->live_bytes;
}

static void emit_free(struct decoder *decoder, uint32_t number)
{
    struct thread *thread = &decoder->threads[decoder->current];
    emit(decoder, EVENT_FREE, number, 0, 0);
    decoder->blocks[number].next_free = thread->free;
    thread->free = number;
}

static uint32_t new_block(struct decoder *decoder)
{
    struct thread *thread = &decoder->threads[decoder->current];
    uint32_t number = thread->free;
    if (number == NONE)
        return (uint32_t)decoder->events->blocks++;
    thread->free = decoder->blocks[number].next_free;
    return number;
}

/* The block at the address, which it leaves; NONE: it is not known. */
static uint32_t leave(struct decoder *decoder, uint64_t address)
{
    struct place *place = map_place(&decoder->map, address);
    if (place->address == 0)
        return NONE;
    uint32_t block = place->block;
    map_remove(&decoder->map, place);
    return block;
}

/* A block gets the address. One that is there still was freed unseen. */
static void settle(struct decoder *decoder, uint64_t address, uint32_t block)
{
    uint32_t unseen = leave(decoder, address);
    if (unseen != NONE)
        emit_free(decoder, unseen);
    map_put(&decoder->map, address, block);
}

static void obtain(struct decoder *decoder, enum event_op op, uint64_t address,
                   const struct record *record)
{
    uint32_t block = new_block(decoder);
    emit(decoder, op, block, record->bytes, record->alignment_log);
    settle(decoder, address, block);
}

static void begin_resize(struct decoder *decoder, uint64_t address)
{
    struct thread *thread = &decoder->threads[decoder->current];
    if (thread->resizing != NONE) /* a signal handler left it with a jump */
        emit_free(decoder, thread->resizing);
    thread->resizing = leave(decoder, address);
    decoder->events->unknown += thread->resizing == NONE;
}

/* `before` is the address that realloc was given. */
static void end_resize(struct decoder *decoder, uint64_t before, uint64_t address,
                       const struct record *record)
{
    struct thread *thread = &decoder->threads[decoder->current];
    uint32_t block = thread->resizing;
    thread->resizing = NONE;
    if (block == NONE && address != 0) {
        obtain(decoder, EVENT_MALLOC, address, record);
    } else if (block != NONE && address != 0) {
        emit(decoder, EVENT_REALLOC, block, record->bytes, 0);
        settle(decoder, address, block);
    } else if (block != NONE && record->bytes == 0) {
        emit_free(decoder, block);
    } else if (block != NONE) {
        settle(decoder, before, block);
    }
}

static void decode(struct decoder *decoder, const struct record *record)
{
    if (record->op == TRACE_THREAD) {
        decoder->current = (unsigned)record->operand;
        return;
    }
    struct thread *thread = &decoder->threads[decoder->current];
    uint64_t before = thread->address;
    uint64_t address = trace_unfold(before, record->operand);
    if (address != 0)
        thread->address = address;
    else if (record->op != TRACE_RESIZED)
        return; /* no recorder writes it */
    switch (record->op) {
    case TRACE_MALLOC:
        obtain(decoder, EVENT_MALLOC, address, record);
        break;
    case TRACE_CALLOC:
        obtain(decoder, EVENT_CALLOC, address, record);
        break;
    case TRACE_ALIGNED:
        obtain(decoder, EVENT_ALIGNED, address, record);
        break;
    case TRACE_RESIZE:
        begin_resize(decoder, address);
        break;
    case TRACE_RESIZED:
        end_resize(decoder, before, address, record);
        break;
    default: {
        uint32_t block = leave(decoder, address);
        if (block != NONE)
            emit_free(decoder, block);
        decoder->events->unknown += block == NONE;
    }
    }
}

static void decode_all(struct cursor cursor, size_t records, struct events *events)
{
    struct decoder decoder = {.events = events};
    /* A record is at most two events: what it says, and a free that nobody saw. */
    events->all = events_memory(2 * records * sizeof(struct event));
    decoder.blocks = events_memory(records * sizeof(struct block));
    decoder.threads = events_memory(events->threads * sizeof(struct thread));
    for (unsigned i = 0; i < events->threads; i++)
        decoder.threads[i] = (struct thread){.resizing = NONE, .free = NONE};
    map_grow(&decoder.map);
    for (struct record record; read_record(&cursor, &record);)
        decode(&decoder, &record);
}

/* --- The file --------------------------------------------------------------------------------- */

/* What is wrong with the file, or NULL. */
static const char *map_file(const char *path, struct cursor *file)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        return strerror(errno);
    size_t bytes = (size_t)status.st_size;
    if (!S_ISREG(status.st_mode) || bytes < sizeof(struct trace_header))
        return "not a trace";
    const unsigned char *start = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (start == MAP_FAILED)
        return strerror(errno);
    close(fd);
    *file = (struct cursor){.at = start, .end = start + bytes};
    return NULL;
}

static const char *read_header(struct cursor *file)
{
    struct trace_header header;
    memcpy(&header, file->at, sizeof header);
    file->at += sizeof header;
    if (memcmp(header.magic, TRACE_MAGIC, sizeof header.magic) != 0)
        return "not a trace";
    if (header.version != TRACE_VERSION)
        return "a trace of another version of arenite, or of a machine of the other byte order";
    return NULL;
}

bool events_read(const char *path, struct events *events)
{
    struct cursor file = {0};
    size_t records = 0;
    *events = (struct events){0};
    const char *flaw = map_file(path, &file);
    if (flaw == NULL)
        flaw = read_header(&file);
    if (flaw == NULL)
        count_records(file, &records, &events->threads, &flaw);
    if (flaw == NULL && records >= NONE)
        flaw = "too long";
    if (flaw != NULL) {
        fprintf(stderr, "replay: %s: %s\n", path, flaw);
        return false;
    }
    decode_all(file, records, events);
    return true;
}
