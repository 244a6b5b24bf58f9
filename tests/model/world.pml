/* world.pml - stopping the threads that touch shared objects, for spin: src/object/world.c with the same names,
 * and as much of src/object/cycle.c as lies between a stop and what follows it.
 *
 * What is modelled. Threads that do a few things in any order: attach and detach, blocking sections,
 * safepoints, references taken and given up, and collections of the one object that there is: it is garbage when
 * nobody has a reference; a weak reference leads to it. A futex is a set of sleepers: who waits looks
 * at the word and falls asleep in one step. Every load, store and read-modify-write of the word and of the flag is
 * a step of its own, and so is every touch of the object; `touching` and `stopped` are ghosts that assert who may.
 * Each thread ends after some steps, so that one that sleeps and is not woken is found: an invalid end
 * state. Memory is sequentially consistent here; why weaker orders suffice is said in world.c.
 *
 * What is left out. fork; that threads do not see the flag at once (it is read at any time).
 *
 * A macro BREAK_... makes one mistake, which must be noticed.
 */

#ifndef THREADS
#define THREADS 3
#endif
#ifndef STEPS /* of each thread */
#define STEPS 3
#endif
#ifndef COLLECTORS /* threads that also collect: the first ones */
#define COLLECTORS 2
#endif

#define STOP 8 /* in the word, beside the number of threads that run */

byte world;
bool stop_wanted;
bool asleep[THREADS]; /* in the futex */

/* ---- the object ---- */

byte references;   /* of threads' */
bool weak = true;  /* not cleared */
bool exists = true;

/* ---- ghosts ---- */

bool stopped;      /* one thread is alone */
byte touching;     /* threads in the midst of touching the object */
byte polling;      /* threads that have nothing to do but to pass safepoints */
byte ended;

inline wake_all()
{
    d_step {
        asleep[0] = false;
        asleep[1] = false;
        asleep[THREADS - 1] = false
    }
}

/* While the word is `seen`: it is looked at and slept on in one step. */
inline wait(seen)
{
    if
    :: atomic { world == seen -> asleep[_pid] = true }
       !asleep[_pid]
    :: world != seen
    fi
}

/* ---- world.c ---- */

inline begin_to_run()
{
    word = world;
    do
    :: word & STOP ->
#if defined(BREAK_BEGIN)
       world++;
       break
#else
       wait(word);
       word = world
#endif
    :: else ->
       if
       :: atomic { world == word -> world = word + 1 }
          break
       :: atomic { world != word -> word = world }
       fi
    od
}

inline cease_to_run()
{
    atomic { world--; word = world }
    if
#if !defined(BREAK_WAKE)
    :: word == (STOP | 1) ->
       wake_all()
#endif
    :: else
    fi
}

inline stop_world()
{
    word = world;
    do
    :: word & STOP ->
#if defined(BREAK_TWO)
       wait(word);
#else
       cease_to_run();
       begin_to_run();
#endif
       word = world
    :: else ->
       if
       :: atomic { world == word -> world = word | STOP }
          break
       :: atomic { world != word -> word = world }
       fi
    od;
    stop_wanted = true;
#if !defined(BREAK_WAIT)
    word = world;
    do
    :: word != (STOP | 1) ->
       wait(word);
       word = world
    :: else -> break
    od;
#endif
    atomic { assert(!stopped && touching == 0); stopped = true }
}

inline resume_world()
{
    stopped = false;
#if defined(BREAK_FLAG)
    atomic { world = world & ~STOP }
    stop_wanted = false;
#else
    stop_wanted = false;
    atomic { world = world & ~STOP }
#endif
#if !defined(BREAK_RESUME)
    wake_all()
#endif
}

/* ---- the program ---- */

/* In two steps, in between which nobody else may look. */
inline give_up()
{
    d_step { assert(!stopped && exists); touching++ }
    d_step { references--; has = false; touching-- }
}

/* Finds whether the object is garbage; if so, it is released later. */
inline collect()
{
    stop_world();
    if
    :: d_step { exists && references == 0 && weak -> found = true }
#if !defined(BREAK_WEAK)
       weak = false;
#endif
    :: else
    fi;
    resume_world();
    if
    :: found ->
#if defined(BREAK_WEAK)
       weak = false;
#endif
       d_step { assert(references == 0); exists = false; found = false }
    :: else
    fi
}

active [THREADS] proctype thread()
{
    byte word, steps = STEPS;
    bool attached, blocking, has, found;

    do
    :: steps == 0 -> break
    :: d_step { steps > 0 && !attached -> steps-- }
       attached = true;
#if defined(BREAK_ATTACH)
       atomic { world++ }
#else
       if
       :: !blocking -> begin_to_run()
       :: else
       fi
#endif
    :: d_step { steps > 0 && attached && !blocking -> steps-- }
       if
       :: has -> give_up()
       :: !has && weak -> /* arn_weak_get, under its lock */
          if
          :: atomic { weak -> assert(!stopped); references++; has = true }
          :: !weak
          fi
       :: stop_wanted ->
          cease_to_run();
          begin_to_run()
       :: !has -> blocking = true; cease_to_run()
       :: has -> blocking = true; cease_to_run()
       :: !has -> cease_to_run(); attached = false
       :: _pid < COLLECTORS -> collect()
       fi
    :: d_step { steps > 0 && blocking -> steps-- }
       blocking = false;
#if defined(BREAK_BLOCKING)
       atomic { world++ }
#else
       begin_to_run()
#endif
    od;

    /* Until all are done, it may only pass safepoints: a wish to stop is seen. */
    if
    :: attached && blocking -> attached = false
    :: attached && !blocking ->
       polling++;
       do
       :: stop_wanted ->
          cease_to_run();
          begin_to_run()
       :: polling == THREADS - ended -> break
       od;
       ended++;
       polling--;
       if
       :: has -> give_up()
       :: else
       fi;
       cease_to_run();
       attached = false;
       goto done
    :: else
    fi;
    ended++;
done:
    skip
}
