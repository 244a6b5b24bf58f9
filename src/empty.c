/* empty.c - one reservation: the bits, then the places. No locks: a signal handler may come by. */
#include "empty.h"

#include "guard.h"
#include "secret.h"

enum {
    PLACES_BYTES = 4 << 20,
    PLACES = PLACES_BYTES / QUANTUM_BYTES,
    WORDS = PLACES / 64,
};

/* At a multiple of a slice; NULL until the first is asked for. */
struct empties {
    _Atomic uint64_t out[WORDS]; /* a bit for each place */
    _Alignas(SLICE_BYTES) char places[PLACES_BYTES];
};
static _Atomic(struct empties *) empties;

static void tell(struct empties *made, enum kind kind)
{
    for (size_t at = 0; at < PLACES_BYTES; at += SLICE_BYTES) {
        struct descriptor *d = arn__descriptor(made->places + at);
        atomic_store_explicit(&d->kind_flags, (uint8_t)kind, memory_order_release);
    }
}

static struct empties *make(void)
{
    struct empties *none = NULL;
    size_t bits_bytes = offsetof(struct empties, places);
    struct empties *made = (void *)arn__guard_reserve(sizeof *made, SLICE_BYTES);
    if (made == NULL)
        return NULL;
    if (!arn__os_open(made, bits_bytes) || !arn__directory_cover(made, sizeof *made)) {
        arn__guard_give((char *)made, sizeof *made);
        return NULL;
    }
    tell(made, KIND_EMPTY); /* before another thread has a place */
    if (atomic_compare_exchange_strong(&empties, &none, made))
        return made;
    tell(made, KIND_NONE);
    arn__guard_give((char *)made, sizeof *made);
    return none; /* another thread was faster */
}

/* A place that is not out, looked for from one of chance on. */
void *arn__empty_take(size_t alignment)
{
    static _Atomic uint64_t asked;
    struct empties *of = atomic_load_explicit(&empties, memory_order_acquire);
    if ((alignment & (alignment - 1)) != 0 || alignment > QUANTUM_BYTES ||
        (of == NULL && (of = make()) == NULL))
        return NULL;
    uint64_t number = atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed);
    size_t first = arn__secret(SECRET_EMPTIES) + number * (0x9e3779b97f4a7c15 >> 50);
    for (size_t i = 0; i < WORDS; i++) {
        _Atomic uint64_t *word = &of->out[(first + i) % WORDS];
        uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
        while (~seen != 0) {
            unsigned bit = (unsigned)__builtin_ctzll(~seen);
            if (atomic_compare_exchange_weak(word, &seen, seen | (uint64_t)1 << bit))
                return of->places + ((first + i) % WORDS * 64 + bit) * QUANTUM_BYTES;
        }
    }
    return NULL;
}

bool arn__empty_give(void *block)
{
    struct empties *of = atomic_load_explicit(&empties, memory_order_acquire);
    size_t place = (size_t)((char *)block - of->places) / QUANTUM_BYTES;
    uint64_t bit = (uint64_t)1 << place % 64;
    return (atomic_fetch_and(&of->out[place / 64], ~bit) & bit) != 0;
}
