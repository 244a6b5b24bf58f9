/* pool.pml - the ownership protocol of pools, for spin: src/pool.c, shard.c and heap.c with the same
 * names, a few blocks, and threads that do anything a program may do, in any order, for ever.
 *
 * What is modelled. PLACES places for a pool (their slices), which are created, released and created
 * anew as another class. Threads that allocate, free any block that is out (their own pools' or
 * others'), collect, and exit; an exited thread's heap gets a new thread. Full pools that their heap
 * detaches, and that a thread claims with its first free, and lets rest until a threshold of its blocks is
 * free.
 * Blocks are linked through `next`, as in C. Memory is sequentially consistent here; why the weaker
 * orders of the C code suffice is said where they stand.
 *
 * A step. Every load, store, exchange or compare-and-swap of a word that several threads touch
 * (remote, owner, a shard's lock, its `first` without the lock, the arena's free slices) is a step
 * of its own. What the protocol says is one thread's (`local`, `needed`, `carved`, `next`, `prev`,
 * a block's link) is touched in steps between those, and each touch asserts the right to it:
 * OWNS, OWNS_LINKS, `where`. As long as these hold, what happens within such a step is nobody
 * else's business; where they do not, there is a data race.
 *
 * What is left out. fork; signal handlers (whose frees are like another thread's: a push); the orphan
 * heap (a heap under a lock); the countdown of a heap's list, which ends for nothing; empty pools that
 * a heap keeps. A shard keeps one, not two. Choices of policy (which of several partial pools, room for one more,
 * whether this is the only thread) are anybody's guess here: more is searched than can happen.
 *
 * Configured by -D (defaults below); a macro BREAK_... makes one mistake, which must be noticed.
 */

#ifndef THREADS
#define THREADS 2
#endif
#ifndef PLACES /* 1..2 */
#define PLACES 1
#endif
#ifndef CLASSES /* 1..2 */
#define CLASSES 1
#endif
#ifndef CAPACITY /* blocks of a pool, 1..4 */
#define CAPACITY 2
#endif
#ifndef THRESHOLD /* that many remote frees claim a detached pool; 1: none rests unless FULL_REST */
#define THRESHOLD 1
#endif
#ifndef CARVES /* blocks in a page of a pool */
#define CARVES CAPACITY
#endif
#ifndef FULL_REST /* 1: full pools may rest at once, as with the only thread or one that frees what it allocates, and
                   * be woken at any time */
#define FULL_REST 0
#endif
#ifndef COLLECTS /* 1: threads collect, which also reaps all shards; 0: an empty pool must be noticed
                  * without that */
#define COLLECTS 0
#endif
#ifndef KEEPS_EMPTY /* 1: a shard may keep an empty pool */
#define KEEPS_EMPTY 0
#endif
#ifndef MALLOCS /* of each thread in all; 0: no limit */
#define MALLOCS 0
#endif
#ifndef ALLOCATORS /* threads that allocate: the others only free, what they are given */
#define ALLOCATORS THREADS
#endif

#ifndef REBORN /* 1: heaps of exited threads get new threads */
#define REBORN 1
#endif

/* ---- the remote word ---- */

#define OWNED    0
#define DETACHED 1
#define SHARED   2

#define WORD(state, count, first, out, class) \
    ((state) | (count) << 2 | (first) << 5 | (out) << 8 | (class) << 11)
#define STATE(word) ((word) & 3)
#define COUNT(word) ((word) >> 2 & 7)
#define FIRST(word) ((word) >> 5 & 7)
#define OUT_OF(word) ((word) >> 8 & 7)
#define CLASS_OF(word) ((word) >> 11 & 1)
#define WITH_CHAIN(word, count, first) \
    WORD(STATE(word), count, first, OUT_OF(word), CLASS_OF(word))
#define NOTHING WORD(OWNED, 0, 0, 0, 0)

#define me (_pid + 1) /* this thread, its heap */

/* ---- memory. Pools and blocks count from 1: 0 is NULL ---- */

#define NEEDED_CURRENT 99

#define BLOCKS (PLACES * CAPACITY)
#define BLOCK(pool, b) (((pool) - 1) * CAPACITY + (b) - 1)

short remote[PLACES + 1];
byte owner[PLACES + 1];     /* a heap, which is a thread: `me`; 0: nobody */
byte class_idx[PLACES + 1]; /* constant in a pool's life */
byte local_list[PLACES + 1];     /* [owner] */
byte needed[PLACES + 1];    /* [owner] */
byte carved[PLACES + 1];    /* [owner] */
bool rests[PLACES + 1];     /* [owner] POOL_RESTING */
bool to_list[PLACES + 1];   /* [owner] frees_to: the heap's list; else `local` */
byte next[PLACES + 1];      /* [owner, or the shard's lock] */
byte prev[PLACES + 1];      /* [owner, or the shard's lock] */
byte link[BLOCKS];          /* a free block's `next`, within its pool */

byte shard_first[CLASSES];
byte shard_empty[CLASSES];
byte shard_lock[CLASSES]; /* who holds it */

/* ---- ghosts: what the C code does not keep, only to assert with ---- */

/* Who has the owner's fields to itself: a thread, or one of these. */
#define FREE_SLICES 0
#define NOBODY      (THREADS + 1)
byte holder[PLACES + 1];

/* Where a block is. I1: it is in one place. */
#define UNCARVED  0
#define IN_LOCAL  1 /* in the pool's local list, or on the way there in its holder's hands */
#define IN_LIST   2 /* in the list of the heap whose current pool it is of */
#define IN_REMOTE 3 /* in the chain of the remote word */
#define IN_HAND   4 /* in the hands of the thread that frees it */
#define IN_USE    5 /* the program's */
byte where[BLOCKS];

byte alive = THREADS; /* threads that will not stop before all is freed */
byte ended;

#define OWNS(pool) assert(holder[pool] == me)
/* The holder's look at a field, as a guard. */
#define LOOKS(pool, condition) d_step { (condition) -> OWNS(pool) }
#define OWNS_LINKS(pool)                                                            \
    assert(holder[pool] == me || (holder[pool] == NOBODY && STATE(remote[pool]) == SHARED && \
                                  shard_lock[class_idx[pool]] == me))
/* The pool cannot go: `b`, a block of it, is in this thread's hands. */
#define KEEPS_ALIVE(pool, b) \
    assert(where[BLOCK(pool, b)] == IN_HAND && holder[pool] != FREE_SLICES)

#define IS(pool, b, place_) (where[((pool) - 1) * CAPACITY + (b)] == (place_))
#if CAPACITY == 1
#define HOW_MANY(pool, place_) IS(pool, 0, place_)
#elif CAPACITY == 2
#define HOW_MANY(pool, place_) (IS(pool, 0, place_) + IS(pool, 1, place_))
#elif CAPACITY == 3
#define HOW_MANY(pool, place_) (IS(pool, 0, place_) + IS(pool, 1, place_) + IS(pool, 2, place_))
#else
#define HOW_MANY(pool, place_) \
    (IS(pool, 0, place_) + IS(pool, 1, place_) + IS(pool, 2, place_) + IS(pool, 3, place_))
#endif
/* As pool.h has it, of a pool that is no heap's current one, */
#define NEEDED_IS_RIGHT(pool)                                                         \
    assert(!rests[pool] && HOW_MANY(pool, IN_LIST) == 0 &&                            \
           needed[pool] == carved[pool] - HOW_MANY(pool, IN_LOCAL))
/* and of one that rests, when `taken` blocks have come in that do not count yet. */
#define REST_IS_RIGHT(pool, taken)                                                  \
    assert(rests[pool] && carved[pool] == CAPACITY && HOW_MANY(pool, IN_LIST) == 0 && \
           needed[pool] + HOW_MANY(pool, IN_LOCAL) == THRESHOLD + (taken))
/* I2, of a heap's current pool, before it is given something. */
#define IS_CURRENT(class, pool)                                                       \
    assert(current[class] == pool && !rests[pool] && needed[pool] == NEEDED_CURRENT && \
           local_list[pool] == 0 && HOW_MANY(pool, IN_LOCAL) == 0)
#define CHAIN_IS_COUNTED(pool) assert(COUNT(remote[pool]) == HOW_MANY(pool, IN_REMOTE))

/* Scratch of a single step. */
hidden byte i;
hidden byte at;
hidden byte found;

/* `count` blocks from `first` on are all at `from` and come to `to`. */
inline move_chain(pool, first, count, from, to)
{
    at = first;
    i = count;
    do
    :: i > 0 ->
        assert(at != 0 && where[BLOCK(pool, at)] == (from));
        where[BLOCK(pool, at)] = to;
        at = link[BLOCK(pool, at)];
        i--
    :: else -> break
    od
}

/* A shard's list holds its shared pools, each once. */
inline check_shard(class)
{
    at = shard_first[class];
    found = 0;
    do
    :: at != 0 ->
        assert(STATE(remote[at]) == SHARED && CLASS_OF(remote[at]) == (class));
        assert(class_idx[at] == (class) && holder[at] == NOBODY);
        assert(next[at] == 0 || prev[next[at]] == at);
        found++;
        assert(found <= PLACES);
        at = next[at]
    :: else -> break
    od;
    i = 1;
    do
    :: i <= PLACES ->
        found = found - (STATE(remote[i]) == SHARED && CLASS_OF(remote[i]) == (class));
        i++
    :: else -> break
    od;
    assert(found == 0)
}

/* Everything was freed and every thread has gone: no pool is left, wherever it was, but what a shard keeps. */
inline check_end()
{
    found = 0;
    i = 1;
    do
    :: i <= PLACES ->
        assert(STATE(remote[i]) == OWNED && owner[i] == 0);
        found = found + (holder[i] != FREE_SLICES);
        i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < CLASSES ->
        assert(shard_first[i] == 0 && shard_lock[i] == 0);
        at = shard_empty[i];
        if
        :: at != 0 ->
            assert(holder[at] == NOBODY && class_idx[at] == i);
            assert(HOW_MANY(at, IN_LOCAL) + HOW_MANY(at, IN_REMOTE) == carved[at]);
            found--
        :: else
        fi;
        i++
    :: else -> break
    od;
    assert(found == 0)
}

/* ---- pool.c ---- */

inline pool_set_owner(pool, heap)
{
    d_step { OWNS(pool); to_list[pool] = false; owner[pool] = heap }
}

/* Within a step. */
inline pool_carve(pool)
{
    OWNS(pool);
    found = (CAPACITY - carved[pool] < CARVES -> CAPACITY - carved[pool] : CARVES);
    i = found;
    do
    :: i > 0 ->
        at = carved[pool] + i;
        assert(where[BLOCK(pool, at)] == UNCARVED);
        where[BLOCK(pool, at)] = IN_LOCAL;
        link[BLOCK(pool, at)] = local_list[pool];
        local_list[pool] = at;
        i--
    :: else -> break
    od;
    carved[pool] = carved[pool] + found
}

/* Its first page is carved. pool = 0: no memory. */
inline pool_create(class, pool)
{
    d_step { /* arn__slices_take */
        if
        :: holder[1] == FREE_SLICES -> pool = 1
#if PLACES > 1
        :: holder[1] != FREE_SLICES && holder[2] == FREE_SLICES -> pool = 2
#endif
        :: else -> pool = 0
        fi;
        if
        :: pool != 0 -> holder[pool] = me
        :: else
        fi
    }
    if
    :: pool != 0 ->
        remote[pool] = NOTHING;
        d_step {
            OWNS(pool);
            assert(HOW_MANY(pool, UNCARVED) == CAPACITY);
            local_list[pool] = 0;
            needed[pool] = 0;
            carved[pool] = 0;
            next[pool] = 0;
            prev[pool] = 0;
            rests[pool] = false;
            to_list[pool] = false;
            class_idx[pool] = class;
            owner[pool] = me;
            pool_carve(pool)
        }
    :: else
    fi
}

/* count: the blocks that came. */
inline pool_take_remote(pool, count)
{
    word = remote[pool];
    if
    :: word == NOTHING -> count = 0
    :: else ->
#ifndef BREAK_TAKE_REMOTE
        d_step {
            word = remote[pool];
            assert(holder[pool] == me ||
                   (STATE(word) == SHARED && shard_lock[class_idx[pool]] == me));
            holder[pool] = me;
            remote[pool] = NOTHING;
            move_chain(pool, FIRST(word), COUNT(word), IN_REMOTE, IN_LOCAL);
            CHAIN_IS_COUNTED(pool)
        }
#else /* a store: what came since the load is lost */
        d_step {
            holder[pool] = me;
            remote[pool] = NOTHING;
            move_chain(pool, FIRST(word), COUNT(word), IN_REMOTE, IN_LOCAL)
        }
#endif
        d_step {
            OWNS(pool);
            count = COUNT(word);
            if
            :: count > 0 ->
                at = FIRST(word);
                i = 1;
                do
                :: i < count -> at = link[BLOCK(pool, at)]; i++
                :: else -> break
                od;
                assert(where[BLOCK(pool, at)] == IN_LOCAL);
                link[BLOCK(pool, at)] = local_list[pool];
                local_list[pool] = FIRST(word)
            :: else
            fi
        }
    fi
}

/* pool->needed -= arn__pool_take_remote(pool) */
inline pool_take_remote_counted(pool)
{
    pool_take_remote(pool, n);
    d_step {
        OWNS(pool);
        needed[pool] = needed[pool] - n;
        NEEDED_IS_RIGHT(pool)
    }
}

inline pool_release(pool)
{
    d_step {
        OWNS(pool);
        assert(!rests[pool]);
        CHAIN_IS_COUNTED(pool);
        assert(HOW_MANY(pool, IN_LOCAL) + COUNT(remote[pool]) == carved[pool]); /* no block is out */
        assert(HOW_MANY(pool, UNCARVED) == CAPACITY - carved[pool]);
        owner[pool] = 0
    }
    d_step { /* arn__slices_put. The word stays: a late arn__shard_reap may still read it. */
        OWNS(pool);
        assert(STATE(remote[pool]) == OWNED);
        holder[pool] = FREE_SLICES;
        i = 1;
        do
        :: i <= CAPACITY ->
            where[BLOCK(pool, i)] = UNCARVED;
            link[BLOCK(pool, i)] = 0;
            i++
        :: else -> break
        od;
        local_list[pool] = 0;
        needed[pool] = 0;
        carved[pool] = 0;
        next[pool] = 0;
        prev[pool] = 0;
        class_idx[pool] = 0
    }
}

/* ok = 0: blocks came back meanwhile, the pool is still OWNED. */
inline pool_detach(pool, heap)
{
#ifndef BREAK_DETACH_ORDER
    pool_set_owner(pool, 0);
#endif
    d_step {
        ok = (remote[pool] == NOTHING);
#ifdef BREAK_DETACH_CAS /* a store: what came since the last look is lost */
        ok = 1;
#endif
        if
        :: ok ->
            OWNS(pool);
            assert(local_list[pool] == 0 && HOW_MANY(pool, IN_LOCAL) == 0 && !rests[pool]);
            assert(HOW_MANY(pool, IN_LIST) == 0 && carved[pool] == CAPACITY);
            remote[pool] = WORD(DETACHED, 0, 0, 0, 0);
            holder[pool] = NOBODY
        :: else
        fi
    }
#ifdef BREAK_DETACH_ORDER /* the owner field is written when the pool is anybody's */
    pool_set_owner(pool, 0);
#endif
    if
    :: ok
    :: else -> pool_set_owner(pool, heap)
    fi
}

/* The caller holds the shard's lock. ok = 0: all have come back, the pool is OWNED, its chain in the word. */
inline pool_share(pool)
{
    word = remote[pool];
    do
#ifndef BREAK_SHARE /* without, whoever pushed the last block did not see a shared pool */
    :: LOOKS(pool, COUNT(word) == needed[pool]) -> ok = 0; break
#endif
    :: d_step {
#ifndef BREAK_SHARE
           COUNT(word) != needed[pool] &&
#endif
#ifndef BREAK_SHARE_CAS /* a store: what came since the load is lost */
           remote[pool] == word ->
#else
           true ->
#endif
           OWNS(pool);
           assert(STATE(word) == OWNED);
           NEEDED_IS_RIGHT(pool);
           remote[pool] = WORD(SHARED, COUNT(word), FIRST(word), needed[pool], class_idx[pool]);
           holder[pool] = NOBODY;
           ok = 1
       }
       break
    :: d_step {
#ifndef BREAK_SHARE
           COUNT(word) != needed[pool] &&
#endif
           remote[pool] != word ->
           word = remote[pool]
       }
    od
}

#ifndef BREAK_REAP_CLASS
#define IS_EMPTY_SHARED(word, class) \
    (STATE(word) == SHARED && CLASS_OF(word) == (class) && COUNT(word) == OUT_OF(word))
#else /* a pool of another class may have taken the place: its shard's lock is not held */
#define IS_EMPTY_SHARED(word, class) (STATE(word) == SHARED && COUNT(word) == OUT_OF(word))
#endif

/* The caller holds the lock of the class's shard. The chain stays in the word. */
inline pool_unshare_empty(pool, class)
{
    ok = 0;
    word = remote[pool];
    do
    :: d_step {
           IS_EMPTY_SHARED(word, class) && remote[pool] == word ->
           assert(holder[pool] == NOBODY);
           holder[pool] = me;
           remote[pool] = WORD(OWNED, COUNT(word), FIRST(word), 0, 0);
           CHAIN_IS_COUNTED(pool);
           ok = 1
       }
       break
    :: d_step { IS_EMPTY_SHARED(word, class) && remote[pool] != word -> word = remote[pool] }
    :: !IS_EMPTY_SHARED(word, class) -> break
    od
}

#define DONE    0
#define CLAIMED 1
#define EMPTIED 2

#ifdef BREAK_CLAIM_EXACT /* what others have pushed steps over a lower bound */
#define REACHED(total, claim_at) ((total) == (claim_at))
#else
#define REACHED(total, claim_at) ((total) >= (claim_at))
#endif

#ifdef BREAK_CLAIM_STATE /* whoever may hold a pool claims it, which another's claim may have overtaken */
#define IS_FREE_TO_CLAIM(word) (STATE(word) == DETACHED || holds)
#else
#define IS_FREE_TO_CLAIM(word) (STATE(word) == DETACHED)
#endif

/* Pushes a block. ok: DONE, CLAIMED or EMPTIED. */
inline pool_push(pool, block, claim_at)
{
    d_step {
        KEEPS_ALIVE(pool, block);
        word = remote[pool];
        link[BLOCK(pool, block)] = FIRST(word)
    }
    do
    :: d_step {
           remote[pool] == word ->
           assert(holder[pool] != FREE_SLICES);
           total = COUNT(word) + 1;
           where[BLOCK(pool, block)] = IN_REMOTE;
           ok = DONE;
           if
           :: IS_FREE_TO_CLAIM(word) && REACHED(total, claim_at) ->
#ifndef BREAK_CLAIM
               assert(holder[pool] == NOBODY);
               holder[pool] = me;
               remote[pool] = NOTHING;
               move_chain(pool, block, total, IN_REMOTE, IN_LOCAL);
#else /* the push and the claim are two steps */
               remote[pool] = WITH_CHAIN(word, total, block);
#endif
               ok = CLAIMED
           :: else ->
               remote[pool] = WITH_CHAIN(word, total, block);
               if
               :: STATE(word) == SHARED && total == OUT_OF(word) -> ok = EMPTIED
               :: else
               fi
           fi;
           CHAIN_IS_COUNTED(pool)
       }
       break
    :: d_step {
           remote[pool] != word ->
           word = remote[pool];
           KEEPS_ALIVE(pool, block);
           link[BLOCK(pool, block)] = FIRST(word)
       }
    od;
    /* From here on the pool may be gone, unless it was claimed. */
    if
    :: ok == CLAIMED ->
#ifdef BREAK_CLAIM
        d_step {
            word = remote[pool];
            assert(holder[pool] == NOBODY || holder[pool] == me);
            holder[pool] = me;
            remote[pool] = NOTHING;
            move_chain(pool, FIRST(word), COUNT(word), IN_REMOTE, IN_LOCAL);
            total = COUNT(word)
        }
#endif
        d_step {
            OWNS(pool);
            local_list[pool] = block;
#ifndef BREAK_CLAIM_COUNT
            needed[pool] = carved[pool] - total;
#else
            needed[pool] = carved[pool] - 1;
#endif
            NEEDED_IS_RIGHT(pool)
        }
    :: else
    fi
}

/* Both bounds are of the word that the push replaces. */
#ifndef BREAK_QUICK_CLAIM /* the threshold is passed, and nobody claims */
#define CLAIMS(word) (STATE(word) == DETACHED && (holds || COUNT(word) + 1 >= THRESHOLD))
#else
#define CLAIMS(word) false
#endif
#ifndef BREAK_QUICK_EMPTIED /* an empty pool stays in its shard */
#define EMPTIES(word) (STATE(word) == SHARED && COUNT(word) + 1 == OUT_OF(word))
#else
#define EMPTIES(word) false
#endif
#define IS_LAST_PUSH(word) (CLAIMS(word) || EMPTIES(word))

/* ok = 0: the push would be one too many, and the block is still in hand. */
inline pool_push_quick(pool, block)
{
    d_step {
        KEEPS_ALIVE(pool, block);
        word = remote[pool];
        ok = !IS_LAST_PUSH(word)
    }
    do
    :: !ok -> break
    :: d_step {
           ok && remote[pool] == word ->
           assert(holder[pool] != FREE_SLICES);
           link[BLOCK(pool, block)] = FIRST(word);
           where[BLOCK(pool, block)] = IN_REMOTE;
           remote[pool] = WITH_CHAIN(word, COUNT(word) + 1, block);
           CHAIN_IS_COUNTED(pool)
       }
       break
    :: d_step {
           ok && remote[pool] != word ->
           KEEPS_ALIVE(pool, block);
           word = remote[pool];
#ifndef BREAK_QUICK_ONCE /* what was true of the first word need not be of the next */
           ok = !IS_LAST_PUSH(word)
#endif
       }
    od
}

/* ---- shard.c ---- */

inline lock(class)
{
    d_step { shard_lock[class] == 0 -> shard_lock[class] = me }
}

inline unlock(class)
{
    d_step {
        assert(shard_lock[class] == me);
        check_shard(class);
        shard_lock[class] = 0
    }
}

inline link_first(class, pool)
{
    d_step {
        OWNS_LINKS(pool);
        prev[pool] = 0;
        next[pool] = shard_first[class];
        if
        :: next[pool] != 0 -> OWNS_LINKS(next[pool]); prev[next[pool]] = pool
        :: else
        fi;
        assert(shard_lock[class] == me);
        shard_first[class] = pool
    }
}

/* Within a step. `first` is a shard's or a heap's list. */
inline unlink(first, pool)
{
    OWNS_LINKS(pool);
    if
    :: prev[pool] != 0 -> OWNS_LINKS(prev[pool]); next[prev[pool]] = next[pool]
    :: else -> assert(first == pool); first = next[pool]
    fi;
    if
    :: next[pool] != 0 -> OWNS_LINKS(next[pool]); prev[next[pool]] = prev[pool]
    :: else
    fi;
    next[pool] = 0;
    prev[pool] = 0
}

inline unlink_pool(class, pool)
{
    d_step { assert(shard_lock[class] == me); unlink(shard_first[class], pool) }
}

/* Which may be full, or memory tight: ok = 0. */
inline keep_empty(class, pool)
{
    ok = 0;
#if KEEPS_EMPTY
    if
    :: lock(class);
        if
        :: d_step {
               shard_empty[class] == 0 ->
               OWNS(pool);
               CHAIN_IS_COUNTED(pool);
               assert(HOW_MANY(pool, IN_LOCAL) + COUNT(remote[pool]) == carved[pool]);
               holder[pool] = NOBODY;
               shard_empty[class] = pool;
               ok = 1
           }
        :: shard_empty[class] != 0
        fi;
        unlock(class)
    :: true
    fi
#endif
}

inline shard_put_empty(class, pool)
{
#ifndef BREAK_EMPTY_OWNER /* a heap that still looks like the owner frees as if it were */
    pool_set_owner(pool, 0);
#endif
    keep_empty(class, pool);
    if
    :: ok
    :: else -> pool_release(pool)
    fi
}

/* pool = 0: none. */
inline shard_take_empty(class, pool)
{
    if
    :: shard_empty[class] == 0 -> pool = 0
    :: else ->
#ifndef BREAK_EMPTY_LOCK /* two take the same one */
        lock(class);
#endif
        pool = shard_empty[class];
        if
        :: pool != 0 ->
            d_step {
                assert(holder[pool] == NOBODY && class_idx[pool] == class);
                holder[pool] = me;
                shard_empty[class] = 0
            }
        :: else
        fi;
#ifndef BREAK_EMPTY_LOCK
        unlock(class)
#endif
    fi
}

/* The pool's class is in `class`. */
inline shard_put(class, pool)
{
#ifndef BREAK_SHARED_OWNER /* a heap that still looks like the owner frees as if it were */
    pool_set_owner(pool, 0);
#endif
    lock(class);
    pool_share(pool);
#ifdef BREAK_LINK_LATE /* shared, and in no list: a reaper may come between */
    shard_lock[class] = 0;
    lock(class);
#endif
    if
    :: ok -> link_first(class, pool)
    :: else
    fi;
    unlock(class);
    if
    :: ok
    :: else -> shard_put_empty(class, pool)
    fi
}

/* pool = 0: none. */
inline shard_take(class, pool)
{
    if
    :: shard_first[class] == 0 -> pool = 0
    :: else ->
        lock(class);
        pool = shard_first[class];
#ifdef BREAK_TAKE_LOCK /* what was first without the lock need not be first with it */
        shard_lock[class] = 0;
        lock(class);
#endif
        if
        :: pool != 0 ->
            unlink_pool(class, pool);
            pool_take_remote_counted(pool)
        :: else
        fi;
        unlock(class);
        if
        :: pool != 0 ->
            d_step { /* no pool is full "after all": nothing forks here */
                OWNS(pool);
                assert(local_list[pool] != 0 || carved[pool] < CAPACITY)
            }
        :: else
        fi
    fi
}

inline shard_reap(class, pool)
{
#ifdef BREAK_REAP_LOCK /* the state is looked at without the lock */
    pool_unshare_empty(pool, class);
    lock(class);
#else
    lock(class);
    pool_unshare_empty(pool, class);
#endif
    if
    :: ok -> unlink_pool(class, pool)
    :: else
    fi;
    unlock(class);
    if
    :: ok -> shard_put_empty(class, pool)
    :: else
    fi
}

/* Uses `pool`. */
inline shards_reap_all(pool)
{
    c = 0;
    do
    :: c < CLASSES ->
        lock(c);
        pool = shard_first[c];
        ok = 0;
        do
        :: pool != 0 ->
            pool_unshare_empty(pool, c);
            if
            :: ok -> break
            :: else -> d_step { OWNS_LINKS(pool); pool = next[pool] }
            fi
        :: else -> break
        od;
        if
        :: pool != 0 -> unlink_pool(c, pool)
        :: else
        fi;
        unlock(c);
        if
        :: pool != 0 -> pool_release(pool) /* and once more */
        :: else ->
            shard_take_empty(c, pool);
            if
            :: pool != 0 -> pool_release(pool)
            :: else
            fi;
            c++
        fi
    :: else -> break
    od;
    c = 0
}

/* ---- heap.c ---- */

/* Within a step. */
inline link_partial(class, pool)
{
    OWNS(pool);
    assert(local_list[pool] != 0);
    prev[pool] = 0;
    next[pool] = partial[class];
    if
    :: next[pool] != 0 -> OWNS(next[pool]); prev[next[pool]] = pool
    :: else
    fi;
    partial[class] = pool
}

/* Within a step. */
inline unlink_partial(class, pool)
{
    assert(!rests[pool]);
    unlink(partial[class], pool)
}

/* Within a step. */
inline begin_rest(class, pool, freed)
{
    OWNS(pool);
    rests[pool] = true;
#ifndef BREAK_REST_COUNT /* of all, although some are free already */
    needed[pool] = THRESHOLD - (freed);
#else
    needed[pool] = THRESHOLD;
#endif
    prev[pool] = 0;
    next[pool] = resting[class];
    if
    :: next[pool] != 0 -> OWNS(next[pool]); prev[next[pool]] = pool
    :: else
    fi;
    resting[class] = pool;
    REST_IS_RIGHT(pool, 0)
}

/* Within a step. The countdown becomes that of any pool; `taken` blocks are yet to be counted. */
inline end_rest(class, pool, taken)
{
    OWNS(pool);
    REST_IS_RIGHT(pool, taken);
    unlink(resting[class], pool);
#ifndef BREAK_REST_END /* the threshold's countdown is taken for that of the blocks that are out */
    needed[pool] = carved[pool] - (THRESHOLD - needed[pool]);
#endif
    rests[pool] = false
}

/* A countdown has ended. */
inline heap_pool_emptied(class, pool)
{
    d_step {
        OWNS(pool);
        assert(needed[pool] == 0 && current[class] != pool);
        if
#ifndef BREAK_REST_EMPTIED /* it is taken for a pool that is empty */
        :: rests[pool] -> end_rest(class, pool, 0)
#else
        :: rests[pool] -> unlink(resting[class], pool); rests[pool] = false
#endif
        :: else -> unlink_partial(class, pool)
        fi;
        ok = (needed[pool] == 0);
        if
        :: !ok -> NEEDED_IS_RIGHT(pool); link_partial(class, pool)
        :: else
        fi
    }
    if
    :: ok -> shard_put_empty(class, pool)
    :: else
    fi
}

/* A claimed pool. */
inline adopt(class, pool)
{
    if
    :: LOOKS(pool, needed[pool] == 0) -> shard_put_empty(class, pool)
    :: LOOKS(pool, needed[pool] != 0 && !holds) -> shard_put(class, pool)
    :: LOOKS(pool, needed[pool] != 0 && holds) ->
        pool_set_owner(pool, me);
        d_step {
            if
            :: carved[pool] - needed[pool] < THRESHOLD ->
                begin_rest(class, pool, carved[pool] - needed[pool])
            :: else -> link_partial(class, pool)
            fi
        }
    fi
}

/* Whether this heap is to hold a pool of nobody's is anybody's guess; in C it is one that it filled, which
 * the owner field tells (as nobody's: the heap's address plus 1), or whose class it has no use for. */
inline look_for_room()
{
    if
    :: holds = 1
    :: holds = 0
    fi
}

/* Block b of a pool that was not this heap's. Its class is read before the push. */
inline push_remote(pool, block)
{
    d_step {
        KEEPS_ALIVE(pool, block);
        k = class_idx[pool]
    }
    pool_push(pool, block, (holds -> 1 : THRESHOLD));
#ifdef BREAK_CLASS_LATE /* the pool may have gone with the push */
    d_step {
        assert(class_idx[pool] == k);
        k = class_idx[pool]
    }
#endif
    d_step { b = 0; total = 0; word = 0 }
    if
    :: ok == CLAIMED -> adopt(k, pool)
#ifndef BREAK_EMPTIED /* an empty pool stays in its shard */
    :: ok == EMPTIED -> shard_reap(k, pool)
#endif
    :: else
    fi
}

/* Within a step. */
inline begin_current(class, pool)
{
    OWNS(pool);
    assert(current[class] == 0 && list[class] == 0);
    current[class] = pool;
    list[class] = local_list[pool];
    move_chain(pool, local_list[pool], HOW_MANY(pool, IN_LOCAL), IN_LOCAL, IN_LIST);
    assert(at == 0);
    local_list[pool] = 0;
    needed[pool] = NEEDED_CURRENT;
#ifndef BREAK_BEGIN /* what its thread frees is in nobody's sight when the pool ends */
    to_list[pool] = true
#endif
}

/* Within a step. The heap's list returns to the pool. */
inline end_current(class, pool)
{
    OWNS(pool);
    IS_CURRENT(class, pool);
    current[class] = 0;
    local_list[pool] = list[class];
    move_chain(pool, list[class], HOW_MANY(pool, IN_LIST), IN_LIST, IN_LOCAL);
    assert(at == 0);
#ifndef BREAK_END_LIST /* two lists that hold the same blocks */
    list[class] = 0;
#endif
    needed[pool] = carved[pool];
#ifndef BREAK_END_COUNT /* what comes with the list counts as out */
    at = local_list[pool];
    do
    :: at != 0 -> needed[pool] = needed[pool] - 1; at = link[BLOCK(pool, at)]
    :: else -> break
    od;
#endif
#ifndef BREAK_END /* what its thread frees goes to the list of another pool */
    to_list[pool] = false;
#endif
    NEEDED_IS_RIGHT(pool)
}

/* local_list[pool] remains 0 if the pool is full. */
inline fill(pool)
{
    if
    :: local_list[pool] != 0
    :: else ->
        pool_take_remote(pool, n);
        if
        :: n > 0
        :: n == 0 && carved[pool] < CAPACITY -> d_step { pool_carve(pool) }
        :: LOOKS(pool, n == 0 && carved[pool] == CAPACITY)
        fi
    fi
}

/* list[class] remains 0 if the pool is full. */
inline refill_current(class, pool)
{
    d_step { OWNS(pool); IS_CURRENT(class, pool); assert(list[class] == 0) }
    fill(pool);
    d_step {
        OWNS(pool);
        list[class] = local_list[pool];
        move_chain(pool, local_list[pool], HOW_MANY(pool, IN_LOCAL), IN_LOCAL, IN_LIST);
        assert(at == 0);
        local_list[pool] = 0
    }
}

/* Any of a heap's partial pools. */
inline take_partial(class, pool)
{
    if
    :: pool = partial[class]
#if PLACES > 1
    :: partial[class] != 0 && next[partial[class]] != 0 -> pool = next[partial[class]]
#endif
    fi;
    if
    :: pool != 0 -> d_step { OWNS(pool); unlink_partial(class, pool) }
    :: else
    fi
}

/* A pool that rests takes in what others freed, and becomes partial, or is released. ok = 0: there is
 * none. */
inline wake_one(class, pool)
{
    ok = 0;
    pool = resting[class];
    do
    :: pool != 0 ->
        pool_take_remote(pool, n);
        if
        :: n == 0 -> d_step { OWNS(pool); REST_IS_RIGHT(pool, 0); pool = next[pool] }
        :: else ->
            d_step {
                end_rest(class, pool, n);
#ifndef BREAK_WAKE_COUNT
                needed[pool] = needed[pool] - n;
#endif
                n = 0;
                NEEDED_IS_RIGHT(pool);
                if
                :: needed[pool] != 0 -> link_partial(class, pool)
                :: else
                fi
            }
            if
            :: needed[pool] == 0 -> shard_put_empty(class, pool)
            :: else
            fi;
            ok = 1;
            break
        fi
    :: else -> break
    od
}

/* list[class] remains 0: no memory. */
inline refill(class)
{
    p = current[class];
    if
    :: p != 0 ->
        refill_current(class, p);
        if
        :: list[class] != 0
        :: else ->
            d_step { end_current(class, p) }
            if
            :: pool_detach(p, me)
#if FULL_REST
            :: d_step { begin_rest(class, p, 0); ok = 1 }
#endif
            fi;
            if
            :: ok -> p = 0
            :: else ->
#ifndef BREAK_BEGIN_AGAIN /* what kept it from being detached is left in the word */
                pool_take_remote(p, n);
#endif
                d_step { begin_current(class, p) }
            fi
        fi
    :: else
    fi;
    if
    :: p != 0
    :: else ->
        take_partial(class, p);
        if
        :: p != 0
        :: p == 0 && resting[class] != 0 ->
            wake_one(class, p);
            if
            :: ok -> take_partial(class, p)
            :: else -> p = 0
            fi
        :: else
        fi;
        if
        :: p != 0
        :: else ->
            shard_take(class, p);
            if
            :: p != 0
            :: else -> shard_take_empty(class, p)
            fi;
            if
            :: p != 0 -> pool_set_owner(p, me)
            :: else -> pool_create(class, p)
            fi
        fi;
        if
        :: p != 0 ->
            fill(p);
            d_step { begin_current(class, p) }
        :: else
        fi
    fi;
    assert(p == 0 || list[class] != 0)
}

/* The pool, or 0, in p. */
inline retire_current(class)
{
    p = current[class];
    if
    :: p != 0 ->
        d_step { end_current(class, p) }
        pool_take_remote_counted(p)
    :: else
    fi
}

inline give_up(class, pool)
{
    ok = 0;
    do
    :: LOOKS(pool, local_list[pool] == 0 && carved[pool] == CAPACITY) ->
        pool_detach(pool, me);
        if
        :: ok -> break
        :: else -> pool_take_remote_counted(pool)
        fi
    :: LOOKS(pool, local_list[pool] != 0 || carved[pool] < CAPACITY) -> break
    od;
    if
    :: ok
    :: !ok && needed[pool] == 0 -> pool_release(pool)
    :: !ok && needed[pool] != 0 -> shard_put(class, pool)
    fi
}

/* Uses p. */
inline wake_all()
{
    c = 0;
    do
    :: c < CLASSES && resting[c] != 0 ->
        d_step { p = resting[c]; end_rest(c, p, 0) }
        give_up(c, p)
#if FULL_REST /* more may be held than there is room for now that there are other threads */
    :: c < CLASSES && resting[c] == 0 && partial[c] != 0 ->
        d_step { p = partial[c]; OWNS(p); unlink_partial(c, p) }
        give_up(c, p)
#endif
    :: c < CLASSES && resting[c] == 0 -> c++
    :: d_step { c == CLASSES -> c = 0; p = 0; ok = 0 }
       break
    od
}

/* Other threads may have come at any time. */
inline heap_wake()
{
#if FULL_REST
    if
    :: wake_all()
    :: true
    fi
#else
    skip
#endif
}

inline collect_partial(class)
{
    do
    :: resting[class] != 0 ->
        wake_one(class, p);
        if
        :: ok
        :: else -> break
        fi
    :: else -> break
    od;
    p = partial[class];
    do
    :: p != 0 ->
        d_step { OWNS(p); q = next[p] }
        pool_take_remote_counted(p);
        if
        :: needed[p] == 0 -> heap_pool_emptied(class, p)
        :: else
        fi;
        p = q
    :: else -> break
    od
}

inline heap_collect()
{
    heap_wake();
    k = 0;
    do
    :: k < CLASSES ->
        retire_current(k);
        if
        :: p != 0 && needed[p] == 0 -> pool_release(p)
        :: p != 0 && needed[p] != 0 && local_list[p] != 0 -> d_step { link_partial(k, p) }
        :: p != 0 && needed[p] != 0 && local_list[p] == 0 -> give_up(k, p)
        :: else
        fi;
        collect_partial(k);
        k++
    :: else -> break
    od;
    k = 0;
    shards_reap_all(p)
}

inline heap_abandon()
{
#ifndef BREAK_EXIT_REST /* what rests goes with the thread */
    wake_all();
#endif
    k = 0;
    do
    :: k < CLASSES ->
        retire_current(k);
        do
        :: p != 0 ->
            give_up(k, p);
            p = 0
        :: p == 0 && partial[k] != 0 ->
            d_step {
                p = partial[k];
                OWNS(p);
                unlink_partial(k, p)
            }
        :: else -> break
        od;
        k++
    :: else -> break
    od;
    k = 0
}

inline heap_refill(class)
{
    heap_wake();
    refill(class)
}

/* ---- alloc.c ---- */

inline malloc(class)
{
    if
    :: list[class] != 0
    :: list[class] == 0 -> heap_refill(class)
    fi;
    if
    :: list[class] != 0 ->
        d_step {
            p = current[class];
            OWNS(p);
            at = list[class];
            assert(where[BLOCK(p, at)] == IN_LIST); /* handed out once */
            where[BLOCK(p, at)] = IN_USE;
            list[class] = link[BLOCK(p, at)]
        }
    :: else
    fi
}

/* Pool p, block b, which the program has given into this thread's hands: see GIVE. */
inline free()
{
    if
    :: ok -> /* it was the owner when it looked: nobody else can change that */
        d_step {
            OWNS(p);
            k = class_idx[p];
            ok = 0;
            if
            :: to_list[p] ->
                where[BLOCK(p, b)] = IN_LIST;
                link[BLOCK(p, b)] = list[k];
                list[k] = b;
                IS_CURRENT(k, p)
            :: else ->
                where[BLOCK(p, b)] = IN_LOCAL;
                link[BLOCK(p, b)] = local_list[p];
                local_list[p] = b;
                needed[p] = needed[p] - 1;
                if
                :: rests[p] -> REST_IS_RIGHT(p, 0)
                :: else -> NEEDED_IS_RIGHT(p)
                fi;
                ok = (needed[p] == 0)
            fi
        }
        if
        :: ok -> heap_pool_emptied(k, p)
        :: else
        fi
    :: else ->
        look_for_room();
        pool_push_quick(p, b);
        if
        :: ok
        :: else -> push_remote(p, b)
        fi
    fi
}

/* ---- the program ---- */

#define GIVE(idx)                                                                        \
    where[idx] == IN_USE ->                                                              \
        where[idx] = IN_HAND;                                                            \
        p = (idx) / CAPACITY + 1;                                                        \
        b = (idx) % CAPACITY + 1;                                                        \
        ok = (owner[p] == me)

inline nothing_in_hand()
{
    p = 0;
    q = 0;
    b = 0;
    k = 0;
    c = 0;
    n = 0;
    ok = 0;
    holds = 0;
    word = 0;
    total = 0
}

#define SOMETHING_IN_USE (HOW_MANY(1, IN_USE) + HOW_MANY(PLACES, IN_USE) > 0)

active [THREADS] proctype thread()
{
    /* struct heap */
    byte list[CLASSES], current[CLASSES], partial[CLASSES], resting[CLASSES];
    /* variables of the functions above */
    byte p, q, b, k, c, n, total;
    bool holds;
    byte ok;
    short word;
#if MALLOCS > 0
    byte mallocs = MALLOCS;
#endif

    do
#if MALLOCS > 0
    :: d_step { (_pid < ALLOCATORS && mallocs > 0) -> mallocs-- }
#else
    :: _pid < ALLOCATORS ->
#endif
       if
       :: k = 0
#if CLASSES > 1
       :: k = 1
#endif
       fi;
       malloc(k);
       d_step { nothing_in_hand() }
    :: atomic {
           if /* any block, and who owns its pool is looked at */
           :: GIVE(0)
#if BLOCKS > 1
           :: GIVE(1)
#endif
#if BLOCKS > 2
           :: GIVE(2)
#endif
#if BLOCKS > 3
           :: GIVE(3)
#endif
#if BLOCKS > 4
           :: GIVE(4)
#endif
#if BLOCKS > 5
           :: GIVE(5)
#endif
           fi
       }
       free();
       d_step { nothing_in_hand() }
#if COLLECTS
    :: true ->
       heap_collect();
       d_step { nothing_in_hand() }
#endif
    :: d_step { alive > 1 || !SOMETHING_IN_USE -> alive-- }
       heap_abandon();
       d_step { nothing_in_hand() }
       if
       :: break
#if REBORN
       :: d_step { alive > 0 -> alive++ } /* a new thread with the same heap */
#endif
       fi
    od;
    atomic {
        ended++;
        if
        :: ended == THREADS -> check_end()
        :: else
        fi
    }
}
