/* lock.c - the mutex. */
#include "lock.h"

#include "os.h"

enum { FREE, HELD, CONTENDED };

/* Two threads often meet for less time than a sleep takes. */
enum { SPINS = 64 };

#ifdef ARN_DEBUG
#include "diag.h"
static __thread unsigned ranks_held; /* one bit per rank */
#define ASSERT_ORDER(rank) ARN__ASSERT(ranks_held >> (rank) == 0, "lock order")
#define NOTE_HELD(rank) (ranks_held |= 1u << (rank))
#define NOTE_FREED(rank) (ranks_held &= ~(1u << (rank)))
#else
#define ASSERT_ORDER(rank) ((void)(rank))
#define NOTE_HELD(rank) ((void)(rank))
#define NOTE_FREED(rank) ((void)(rank))
#endif

static bool try_lock(struct lock *lock)
{
    uint32_t expected = FREE;
    /* acquire: pairs with the release in arn__unlock. */
    return atomic_compare_exchange_strong_explicit(&lock->word, &expected, HELD,
                                                   memory_order_acquire, memory_order_relaxed);
}

void arn__lock(struct lock *lock, enum lock_rank rank)
{
    ASSERT_ORDER(rank);
    bool held = try_lock(lock);
    for (unsigned i = 0; !held && i < SPINS; i++) {
        arn__os_relax();
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == FREE)
            held = try_lock(lock);
    }
    while (!held) {
        /* acquire: as in try_lock. */
        if (atomic_exchange_explicit(&lock->word, CONTENDED, memory_order_acquire) == FREE)
            held = true;
        else
            arn__os_wait(&lock->word, CONTENDED);
    }
    NOTE_HELD(rank);
}

void arn__unlock(struct lock *lock, enum lock_rank rank)
{
    NOTE_FREED(rank);
    /* release: pairs with the acquire of the next holder. */
    if (atomic_exchange_explicit(&lock->word, FREE, memory_order_release) == CONTENDED)
        arn__os_wake(&lock->word, 1);
}

void arn__lock_reset(struct lock *lock)
{
    atomic_store_explicit(&lock->word, FREE, memory_order_relaxed);
#ifdef ARN_DEBUG
    ranks_held = 0;
#endif
}
