/* checked.c - tails, canaries, what is looked at when. */
#include "checked.h"

#include <errno.h>
#include <string.h>

#include "diag.h"
#include "empty.h"
#include "large.h"
#include "quarantine.h"
#include "tail.h"

enum {
    LEAST_BYTES = 32,  /* of a block: what is written so close to another one is in its neighbour */
    CANARY_WORDS = 4,  /* full ones, after the part of a word in which what was asked for ends */
    BESIDE_WORDS = 4,  /* of a neighbour that are looked at: LEAST_BYTES */
    BEHIND_SHIFT = 61, /* 1 in 8 numbers of chance has no bit above */
};

/* ---- tails ---- */

static const uint64_t says_nothing = ((uint64_t)1 << TAIL_UNUSED_SHIFT) - 1, unused_bits = 0xffff;
/* Of any block that is out; of one that is free and filled with zeros, as nearly all are; and of one that was never
 * used. */
static const uint64_t says_out = (uint64_t)TAIL_OUT << TAIL_STATE_SHIFT,
                      says_free = (uint64_t)TAIL_FREE << TAIL_STATE_SHIFT,
                      says_new = (uint64_t)TAIL_NEW << TAIL_STATE_SHIFT;

/* A neighbour's may be another thread's: it is stored whole. acquire: of a block that it says is free, what was
 * wiped before is seen. */
static uint64_t load_word(const uint64_t *word)
{
    return atomic_load_explicit((const _Atomic uint64_t *)word, memory_order_acquire);
}

static bool is_out(uint64_t says)
{
    return (says & (says_nothing | ~(uint64_t)0 << TAIL_STATE_SHIFT)) == says_out;
}

static bool is_free(uint64_t says)
{
    return (says & says_nothing) == 0 && (says >> TAIL_STATE_SHIFT & 3) == TAIL_FREE;
}

static size_t asked(uint64_t says, size_t block_bytes)
{
    return block_bytes - sizeof(uint64_t) - (says >> TAIL_UNUSED_SHIFT & unused_bits);
}

/* Of an alignment beyond that of every block; 0: there is none. */
static unsigned log_of(size_t alignment)
{
    return alignment <= QUANTUM_BYTES ? 0 : (unsigned)__builtin_ctzll(alignment);
}

/* ---- canaries ---- */

/* The first bytes behind what was asked for, up to the next multiple of 8. */
static uint64_t first_canary(size_t end)
{
    return arn__canary << (end & 7) * 8;
}

/* The block's bytes from `end` on are zeros. */
static inline void write_canary(char *block, size_t end, size_t block_bytes)
{
    uint64_t *word = (uint64_t *)(block + (end & ~(size_t)7)),
             *tail = arn__tail_of(block, block_bytes);
    if (word == tail)
        return;
    if ((end & 7) != 0)
        *word++ |= first_canary(end);
    for (unsigned i = 0; i < CANARY_WORDS && word < tail; i++)
        *word++ = arn__canary;
}

/* An end beyond the block is of a tail that was written to. */
static inline bool has_canary(const char *block, size_t end, size_t block_bytes)
{
    if (end > block_bytes)
        return false;
    const uint64_t *word = (const uint64_t *)(block + (end & ~(size_t)7));
    const uint64_t *tail = arn__tail_of(block, block_bytes);
    if (word == tail)
        return true;
    uint64_t wrong = 0;
    if ((end & 7) != 0)
        wrong = (*word++ ^ first_canary(end)) >> (end & 7) * 8;
    for (unsigned i = 0; i < CANARY_WORDS && word < tail; i++)
        wrong |= *word++ ^ arn__canary;
    return wrong == 0;
}

/* ---- filling ---- */

/* libc's memset, and not the one that looks at what it writes to (copy.c). */
void *memset_unchecked(void *, int, size_t, size_t) __asm__("__memset_chk");

static void fill_bytes(void *start, int value, size_t bytes)
{
    size_t room = SIZE_MAX;
    __asm__("" : "+r"(room)); /* or clang would call memset */
    memset_unchecked(start, value, bytes, room);
}

static uint64_t filled_word(uint64_t says)
{
    return (says >> TAIL_FILL_SHIFT & 0xff) * 0x0101010101010101;
}

/* Two words at a time; libc is faster from so many bytes on. */
typedef uint64_t pair __attribute__((vector_size(16), aligned(8), may_alias));
enum { PAIRED_BYTES_MOST = 256 };

/* The words between a block's first and its tail, an even number of them. */
static inline bool holds(const uint64_t *word, size_t bytes, uint64_t value)
{
    if (bytes > PAIRED_BYTES_MOST) /* each is like the one before */
        return *word == value && memcmp(word, word + 1, bytes - sizeof *word) == 0;
    pair wrong = {0}, right = {value, value};
    for (size_t at = 0; at < bytes; at += sizeof wrong)
        wrong |= *(const pair *)((const char *)word + at) ^ right;
    return (wrong[0] | wrong[1]) == 0;
}

static inline void fill_with(uint64_t *word, size_t bytes, uint64_t value)
{
    pair right = {value, value};
    if (bytes > PAIRED_BYTES_MOST)
        fill_bytes(word, (int)(value & 0xff), bytes);
    else
        for (size_t at = 0; at < bytes; at += sizeof right)
            *(pair *)((char *)word + at) = right;
}

/* ---- misuse ---- */

static const char freed_twice[] = "double free";
static const char used_after[] = "already freed";
static const char not_start[] = "not the start of a block";
static const char past_end[] = "overwritten past its end";
static const char before_start[] =
    "overwritten past its end, or before the start of the block behind";
static const char while_free[] =
    "overwritten after it was freed, or past the end of the block before";
static const char other_size[] = "not of the size that it is said to have";
static const char other_alignment[] = "not of the alignment that it is said to have";
static const char copied_past[] = "copied to past its end";
static const char copied_to_free[] = "copied to while it was free";
static const char *const other_origin[] = {
    [ORIGIN_NEW] = "allocated by operator new",
    [ORIGIN_NEW_ARRAY] = "allocated by operator new[]",
};

/* Of a block of a pool that is not out. */
static const char *why_not_out(const struct descriptor *d, const char *block, size_t block_bytes,
                               const char *twice)
{
    if (block == arn__pool_base(d))
        return not_start; /* the one that is skipped */
    uint64_t says = load_word(arn__tail_of(block, block_bytes)) ^ arn__tail_key(block);
    return says == says_new ? not_start : is_free(says) ? twice : past_end;
}

/* NULL: it is what it is said to be. */
static const char *disagreement(struct claim claim, size_t bytes, unsigned alignment_log,
                                enum origin origin)
{
    /* malloc's free and what C++ has are mixed by programs, and it does no harm. */
    if (claim.origin != ORIGIN_MALLOC && origin != ORIGIN_MALLOC && claim.origin != origin)
        return other_origin[origin];
    bool is_alike = (claim.origin == ORIGIN_MALLOC) == (origin == ORIGIN_MALLOC);
    if (is_alike && claim.alignment != ALIGNMENT_UNTOLD && log_of(claim.alignment) != alignment_log)
        return other_alignment;
    if (claim.bytes != SIZE_UNTOLD && claim.bytes != bytes)
        return other_size;
    return NULL;
}

/* ---- blocks of pools ---- */

/* The same for blocks that were never used, or are filled with something else, or are not as they should be. */
__attribute__((noinline)) static void check_free_slowly(struct block *block, size_t block_bytes)
{
    uint64_t says = *arn__tail_of(block, block_bytes) ^ arn__tail_key(block);
    uint64_t *first = &block->link + 1;
    size_t bytes = block_bytes - 2 * sizeof *first;
    bool is_whole = says == says_new ? block_bytes > SMALL_BYTES || holds(first, bytes, 0)
                                     : is_free(says) && holds(first, bytes, filled_word(says));
    if (!is_whole)
        arn__misuse("malloc", block, while_free);
    if (!is_whole || filled_word(says) != 0)
        fill_bytes(first, 0, bytes);
}

/* What was free is about to be out: is it as it was left? What was never used is zero, and is not looked at where
 * that would touch pages for it. */
static inline void check_free(struct block *block, size_t block_bytes, uint64_t key)
{
    uint64_t *tail = arn__tail_of(block, block_bytes);
    if (__builtin_expect(*tail != (key ^ says_free), false) ||
        __builtin_expect(!holds(&block->link + 1, block_bytes - 2 * sizeof *tail, 0), false))
        check_free_slowly(block, block_bytes);
}

static inline void hand_out(char *block, size_t block_bytes, size_t bytes, unsigned alignment_log,
                            enum origin origin)
{
    uint64_t key = arn__tail_key(block);
    check_free((struct block *)block, block_bytes, key);
    uint64_t says = says_out | (block_bytes - sizeof(uint64_t) - bytes) << TAIL_UNUSED_SHIFT |
                    (uint64_t)alignment_log << TAIL_ALIGNMENT_SHIFT |
                    (uint64_t)origin << TAIL_ORIGIN_SHIFT;
    arn__tail_store(arn__tail_of(block, block_bytes),
                    says ^ key); /* first: who sees it believes no fill */
    write_canary(block, bytes, block_bytes);
}

/* Of what is close to a block: a neighbour's tail; and of a free neighbour, the words that are nearest, which
 * only the thread of the pool can look at, for nobody else hands it out. */

static bool is_word_or_link(uint64_t word, uint64_t value)
{
    return word == value || arn__link_may_be(arn__link_below(word));
}

__attribute__((noinline)) static void check_before_slowly(const struct descriptor *d,
                                                          const char *block, size_t block_bytes,
                                                          bool is_own, const char *function)
{
    const char *before = block - block_bytes;
    const uint64_t *word = (const uint64_t *)block - BESIDE_WORDS;
    uint64_t tail = load_word(word + 3), says = tail ^ arn__tail_key(before);
    bool is_whole = says == says_new || is_out(says) || is_free(says);
    if (is_whole && is_own && !is_out(says)) {
        uint64_t fill = filled_word(says);
        is_whole = word[1] == fill && word[2] == fill &&
                   (block_bytes == LEAST_BYTES ? is_word_or_link(word[0], 0) : word[0] == fill);
    }
    /* The one that is skipped is zeros. */
    if (!is_whole && (before != arn__pool_base(d) || (word[0] | word[1] | word[2] | tail) != 0))
        arn__misuse(function, before, before_start);
}

static inline void check_before(const struct descriptor *d, const char *block, size_t block_bytes,
                                uint64_t key, bool is_own, const char *function)
{
    const uint64_t *word = (const uint64_t *)block - BESIDE_WORDS;
    uint64_t says = load_word(word + 3) ^ (key - block_bytes * arn__tail_times);
    if (__builtin_expect(is_out(says), true) ||
        (says == says_free && is_own && (word[0] | word[1] | word[2]) == 0))
        return;
    check_before_slowly(d, block, block_bytes, is_own, function);
}

/* A block that is far away is seldom in a cache: now and then. */
__attribute__((noinline)) static void check_behind(const struct descriptor *d, const char *block,
                                                   size_t block_bytes, const char *function)
{
    const char *behind = block + block_bytes;
    const uint64_t *word = (const uint64_t *)behind;
    uint64_t fill = 0;
    if (behind < arn__pool_end(d)) {
        uint64_t says = load_word(arn__tail_of(behind, block_bytes)) ^ arn__tail_key(behind);
        if (says != says_new && !is_free(says))
            return; /* its own free will tell */
        fill = filled_word(says);
    } else if (!arn__has_flag(d, POOL_FRESH) ||
               behind + block_bytes > arn__pool_base(d) + arn__pool_bytes(d)) {
        return; /* it was never carved, and holds anything */
    }
    if (!is_word_or_link(word[0], 0) || word[1] != fill || word[2] != fill)
        arn__misuse(function, behind, while_free);
}

static inline void check_beside(const struct descriptor *d, const struct heap *heap,
                                const char *block, size_t block_bytes, uint64_t key,
                                const char *function)
{
    bool is_own = arn__pool_number(d) == arn__heap_number(heap);
    check_before(d, block, block_bytes, key, is_own, function);
    if (__builtin_expect(heap->chance >> BEHIND_SHIFT == 0, false) && is_own)
        check_behind(d, block, block_bytes, function);
}

/* The first word, which is to be a link, with zeros; the others with M_PERTURB's byte, or zeros. */
static inline void wipe(char *block, size_t block_bytes, uint64_t key)
{
    uint64_t fill = arn__options.perturb & 0xff;
    uint64_t *first = (uint64_t *)block, *tail = arn__tail_of(block, block_bytes);
    *first++ = 0;
    fill_with(first, block_bytes - 2 * sizeof *tail, fill * 0x0101010101010101);
    arn__tail_store(tail, key ^ says_free ^ fill << TAIL_FILL_SHIFT);
}

__attribute__((noinline)) static void say_not_out(const struct descriptor *d, const char *block,
                                                  size_t block_bytes, const char *function)
{
    arn__misuse(function, block, why_not_out(d, block, block_bytes, freed_twice));
}

/* `claim`: NULL, or what it is said to be. */
static inline void free_pooled(const struct descriptor *d, char *block, const char *function,
                               const struct claim *claim)
{
    struct heap *heap = ARN__PEEK(arn__thread.heap);
    size_t block_bytes = arn__size_classes[d->class_idx].block_bytes;
    uint64_t key = arn__tail_key(block), says = load_word(arn__tail_of(block, block_bytes)) ^ key;
    if (__builtin_expect(!is_out(says), false)) {
        say_not_out(d, block, block_bytes, function);
        return;
    }
    size_t bytes = asked(says, block_bytes);
    const char *wrong = has_canary(block, bytes, block_bytes) ? NULL : past_end;
    if (claim != NULL && wrong == NULL)
        wrong = disagreement(*claim, bytes, says >> TAIL_ALIGNMENT_SHIFT & 0x3f,
                             (enum origin)(says >> TAIL_ORIGIN_SHIFT & 3));
    if (__builtin_expect(wrong != NULL, false))
        arn__misuse(function, block, wrong);
    check_beside(d, heap, block, block_bytes, key, function);
    wipe(block, block_bytes, key);
    struct block *leaves = arn__quarantine_swap(heap, (struct block *)block, block_bytes);
    if (leaves == NULL)
        return;
    if (__builtin_expect(leaves->link != 0, false))
        arn__quarantine_check(leaves, function);
    arn__free(leaves, function);
}

/* ---- large blocks ----
 *
 * What was asked for and how, in the descriptor; behind it to the end of the page, a canary. */

enum { LARGE_BYTES_SHIFT = 8, LARGE_ALIGNMENT_SHIFT = 2 };

static size_t large_asked(const struct descriptor *d)
{
    return d->asked >> LARGE_BYTES_SHIFT;
}

/* Room for a canary of so many bytes, in words that end with the block's pages. */
static void enter_large(struct descriptor *d, char *block, size_t bytes, unsigned alignment_log,
                        enum origin origin)
{
    d->asked = (uint64_t)bytes << LARGE_BYTES_SHIFT |
               (uint64_t)alignment_log << LARGE_ALIGNMENT_SHIFT | origin;
    if (bytes < d->block_bytes)
        write_canary(block, bytes, d->block_bytes + sizeof(uint64_t));
}

static bool has_large_canary(const struct descriptor *d, const char *block)
{
    return large_asked(d) >= d->block_bytes ||
           has_canary(block, large_asked(d), d->block_bytes + sizeof(uint64_t));
}

static void free_large(struct descriptor *d, char *block, const char *function,
                       const struct claim *claim)
{
    const char *wrong = has_large_canary(d, block) ? NULL : past_end;
    if (claim != NULL && wrong == NULL)
        wrong = disagreement(*claim, large_asked(d), d->asked >> LARGE_ALIGNMENT_SHIFT & 0x3f,
                             (enum origin)(d->asked & 3));
    if (wrong != NULL)
        arn__misuse(function, block, wrong);
    arn__free(block, function);
}

/* ---- all of them ---- */

/* A block of a pool starts here: out, or not. */
static bool is_pooled(const struct descriptor *d, const void *pointer)
{
    return arn__kind(d) == KIND_POOL && arn__pool_starts_block(d, pointer);
}

static bool is_large(const struct descriptor *d, const void *pointer)
{
    return arn__large_starts(d, pointer) && arn__has_tract(pointer) && !arn__holds_objects(d);
}

/* For `bytes`, with room for as many as `room` if a pool serves it. */
static inline void *take(size_t bytes, size_t room, size_t alignment, enum origin origin)
{
    size_t least = room > POOLED_BYTES ? bytes : room + sizeof(uint64_t);
    if (least < LEAST_BYTES)
        least = LEAST_BYTES;
    char *block = alignment <= QUANTUM_BYTES ? arn__malloc(least) : arn__aligned(alignment, least);
    if (__builtin_expect(block == NULL, false))
        return NULL;
    struct descriptor *d = arn__descriptor(block);
    if (__builtin_expect(arn__kind(d) == KIND_POOL, true))
        hand_out(block, arn__size_classes[d->class_idx].block_bytes, bytes, log_of(alignment),
                 origin);
    else
        enter_large(d, block, bytes, log_of(alignment), origin);
    if (__builtin_expect(arn__options.perturb != 0, false))
        memset(block, ~(int)arn__options.perturb, bytes);
    return block;
}

static void *take_empty(size_t alignment, enum origin origin)
{
    void *block = arn__empty_take(alignment);
    return block != NULL ? block : take(0, 0, alignment, origin);
}

void *arn__checked_malloc(size_t bytes, enum origin origin)
{
    if (__builtin_expect(bytes == 0, false))
        return take_empty(1, origin);
    return take(bytes, bytes, 1, origin);
}

void *arn__checked_aligned(size_t alignment, size_t bytes, enum origin origin)
{
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    return bytes == 0 ? take_empty(alignment, origin) : take(bytes, bytes, alignment, origin);
}

void *arn__checked_calloc(size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = arn__checked_malloc(total, ORIGIN_MALLOC);
    if (block != NULL && __builtin_expect(arn__options.perturb != 0, false))
        memset(block, 0, total);
    return block;
}

/* What is in no pool. */
__attribute__((noinline)) static void free_elsewhere(char *block, const char *function,
                                                     const struct claim *claim)
{
    struct descriptor *d = arn__descriptor(block);
    if (block == NULL)
        return;
    if (is_large(d, block))
        free_large(d, block, function, claim);
    else if (!arn__is_empty(d, block))
        arn__free(block, function); /* which says what it is */
    else if (!arn__empty_give(block))
        arn__misuse(function, block, freed_twice);
}

void arn__checked_free(void *pointer, const char *function)
{
    char *block = arn__block_from_program(pointer);
    const struct descriptor *d = arn__descriptor(block);
    if (__builtin_expect(is_pooled(d, block), true))
        free_pooled(d, block, function, NULL);
    else
        free_elsewhere(block, function, NULL);
}

void arn__checked_free_as(void *pointer, const char *function, struct claim claim)
{
    char *block = arn__block_from_program(pointer);
    const struct descriptor *d = arn__descriptor(block);
    if (__builtin_expect(is_pooled(d, block), true))
        free_pooled(d, block, function, &claim);
    else
        free_elsewhere(block, function, &claim);
}

size_t arn__checked_usable(void *pointer, const char *function)
{
    if (pointer == NULL)
        return 0;
    char *block = arn__block_from_program(pointer);
    const struct descriptor *d = arn__descriptor(block);
    if (is_large(d, block))
        return large_asked(d);
    if (arn__is_empty(d, block))
        return 0;
    if (!is_pooled(d, block))
        return arn__usable(block, function); /* which says what it is */
    size_t block_bytes = arn__size_classes[d->class_idx].block_bytes;
    uint64_t says = load_word(arn__tail_of(block, block_bytes)) ^ arn__tail_key(block);
    size_t bytes = asked(says, block_bytes);
    if (is_out(says) && has_canary(block, bytes, block_bytes))
        return bytes;
    arn__misuse(function, block,
                is_out(says) ? past_end : why_not_out(d, block, block_bytes, used_after));
    return 0;
}

/* ---- resizing ---- */

enum { CANARY_BYTES_MOST = (CANARY_WORDS + 1) * sizeof(uint64_t) };

/* Would the block serve `bytes` about as well as a new one? */
static bool fits_pooled(const struct descriptor *d, size_t bytes)
{
    size_t block_bytes = arn__size_classes[d->class_idx].block_bytes;
    size_t room = block_bytes - sizeof(uint64_t);
    return bytes <= room && (bytes > room / 2 || block_bytes <= 2 * LEAST_BYTES);
}

/* Where there is room: the block stays, and what it loses or gains is zeros. */
static void *resize_pooled(const struct descriptor *d, char *block, size_t bytes)
{
    size_t block_bytes = arn__size_classes[d->class_idx].block_bytes;
    size_t room = block_bytes - sizeof(uint64_t);
    uint64_t *tail = arn__tail_of(block, block_bytes);
    uint64_t says = *tail ^ arn__tail_key(block);
    size_t old_bytes = asked(says, block_bytes);
    size_t from = old_bytes < bytes ? old_bytes : bytes;
    fill_bytes(block + from, 0, room - from);
    /* However it was made: realloc's blocks are malloc's. */
    says = says_out | (uint64_t)(room - bytes) << TAIL_UNUSED_SHIFT;
    arn__tail_store(tail, says ^ arn__tail_key(block));
    write_canary(block, bytes, block_bytes);
    return block;
}

/* What is there was the block's before: a canary begins among zeros. */
static void *enter_resized(char *block, size_t bytes)
{
    struct descriptor *d = arn__descriptor(block);
    if (bytes < d->block_bytes)
        memset(block + bytes, 0, -bytes & 7);
    enter_large(d, block, bytes, 0, ORIGIN_MALLOC);
    return block;
}

/* By moving pages, if need be. */
static void *resize_large(struct descriptor *d, char *block, size_t bytes, const char *function)
{
    size_t old_bytes = large_asked(d), behind = d->block_bytes - old_bytes;
    uint64_t was = d->asked;
    memset(block + old_bytes, 0, behind < CANARY_BYTES_MOST ? behind : CANARY_BYTES_MOST);
    char *resized = arn__realloc(block, bytes, function);
    if (resized == NULL) { /* it stays what it was */
        enter_large(d, block, old_bytes, was >> LARGE_ALIGNMENT_SHIFT & 0x3f,
                    (enum origin)(was & 3));
        return NULL;
    }
    return enter_resized(resized, bytes);
}

/* For a block that shrinks where there is no memory for another. */
static void *shrink(char *block, size_t bytes)
{
    const struct descriptor *d = arn__descriptor(block);
    return is_pooled(d, block) ? resize_pooled(d, block, bytes) : enter_resized(block, bytes);
}

static void *move(char *block, size_t old_bytes, size_t bytes, const char *function)
{
    int saved = errno;
    /* A pooled block that has grown will grow again. */
    size_t roomy = bytes + bytes / 4;
    bool grows = bytes > old_bytes && roomy <= POOLED_BYTES;
    char *target = take(bytes, grows ? roomy : bytes, 1, ORIGIN_MALLOC);
    if (bytes <= old_bytes)
        errno = saved;
    if (target == NULL)
        return bytes <= old_bytes ? shrink(block, bytes) : NULL;
    memcpy(target, block, old_bytes < bytes ? old_bytes : bytes);
    arn__checked_free(block, function);
    return target;
}

/* NULL: realloc may have it. */
static const char *why_not_resized(struct descriptor *d, char *block)
{
    if (is_large(d, block))
        return has_large_canary(d, block) ? NULL : past_end;
    size_t block_bytes = arn__size_classes[d->class_idx].block_bytes;
    uint64_t says = load_word(arn__tail_of(block, block_bytes)) ^ arn__tail_key(block);
    if (!is_out(says))
        return why_not_out(d, block, block_bytes, used_after);
    return has_canary(block, asked(says, block_bytes), block_bytes) ? NULL : past_end;
}

void *arn__checked_realloc(void *pointer, size_t bytes, const char *function)
{
    if (pointer == NULL)
        return arn__checked_malloc(bytes, ORIGIN_MALLOC);
    char *block = arn__block_from_program(pointer);
    struct descriptor *d = arn__descriptor(block);
    bool pooled = is_pooled(d, block), large = !pooled && is_large(d, block);
    const char *wrong = pooled || large ? why_not_resized(d, block) : NULL;
    if (wrong != NULL)
        arn__misuse(function, block, wrong);
    else if (!pooled && !large && !arn__is_empty(d, block)) {
        wrong = not_start;
        arn__usable(block, function); /* which says what it is */
    }
    if (wrong != NULL) {
        errno = EINVAL;
        return NULL;
    }
    if (bytes == 0) { /* as glibc has it */
        arn__checked_free(block, function);
        return NULL;
    }
    if (pooled && fits_pooled(d, bytes))
        return resize_pooled(d, block, bytes);
    if (large && bytes > POOLED_BYTES)
        return resize_large(d, block, bytes, function);
    return move(block, arn__checked_usable(block, function), bytes, function);
}

/* ---- copies ---- */

void arn__checked_write(const void *start, size_t bytes, const char *function)
{
    const struct descriptor *d = arn__descriptor(start);
    if (bytes == 0 || arn__kind(d) != KIND_POOL)
        return;
    const char *end = arn__pool_end(d), *at = start;
    if ((uintptr_t)end - (uintptr_t)at > ARENA_BYTES || at >= end)
        return; /* another address, that leads to the same descriptor */
    size_t block_bytes = arn__size_classes[d->class_idx].block_bytes;
    const char *base = arn__pool_base(d);
    size_t idx = (size_t)((unsigned __int128)d->inverse * (size_t)(at - base) >> 64);
    const char *block = base + idx * block_bytes;
    uint64_t says = load_word(arn__tail_of(block, block_bytes)) ^ arn__tail_key(block);
    if (!is_out(says))
        arn__misuse(function, block, copied_to_free);
    else if ((size_t)(at - block) + bytes > asked(says, block_bytes))
        arn__misuse(function, block, copied_past);
}
