#!/bin/bash
# record.sh - arenite record, and bench/replay of what it wrote.
#
# ARENITE_REPLAY is bench/replay of the command's build.

# shellcheck disable=SC2016 # what single quotes hold is for another shell
# shellcheck disable=SC2086 # a compiler may come with flags

replay=$(realpath "${ARENITE_REPLAY:?the replay}")
# shellcheck source=tests/cmd/claims.sh
. "$(dirname "$0")/claims.sh"
PATH=/bin:/usr/bin # programs themselves, not scripts that lead to them

# compile NAME FLAG...: a program of the source on standard input.
compile() {
    local name=$1
    shift
    cat >"$name.c"
    $cc -O1 -fno-builtin -Wno-unused-result -pthread -o "$name" "$name.c" "$@" 2>compiler || {
        echo "Bail out! cannot compile $name.c: $(head -n 1 compiler)"
        exit 1
    }
}

# replays ARGUMENT...: under libc's malloc; leaves out, err and $status.
replays() {
    "$replay" "$@" >out 2>err
    status=$?
    [ "$status" -eq 0 ]
}

# value KEY: what the replay printed for it.
value() {
    sed -n "s/^$1 //p" out
}

# replays_alike FILE ARGUMENT...: under libc's malloc and under arenite, with the same counts.
replays_alike() {
    replays "$@" && grep -v _ns out >libc && [ "$(value events)" -gt 0 ] &&
        [ "$(value checks)" -gt 0 ] || return
    LD_PRELOAD=$lib "$replay" "$@" >out 2>err
    status=$?
    [ "$status" -eq 0 ] && [ ! -s err ] && grep -v _ns out | cmp -s - libc
}

# --- What is recorded ----------------------------------------------------------------------------

compile known <<'END'
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

volatile size_t huge = SIZE_MAX / 2;

int main(void)
{
    void *a = malloc(24), *b = calloc(3, 10), *c, *d, *e, *f, *g, *h;
    if (posix_memalign(&c, 64, 100) != 0 || posix_memalign(&h, 3, 1) == 0)
        return 1;
    d = aligned_alloc(256, 512);
    e = memalign(32, 1);
    f = valloc(10);
    g = pvalloc(1);
    h = reallocarray(NULL, 4, 8);
    if (malloc(huge) != NULL || calloc(huge, 4) != NULL || realloc(h, huge) != NULL)
        return 1;
    h = realloc(h, 5000);
    b = reallocarray(b, 2, 4);
    if (realloc(g, 0) != NULL)
        return 1;
    free(NULL);
    free(f);
    free(e);
    e = malloc(0);
    free(d);
    free(c);
    free(a);
    free(h);
    return 0;
}
END
page=$(getconf PAGE_SIZE)
exactly() {
    exits 0 record ./known && [ ! -s err ] && replays --print known.arntrace &&
        sed 's/ *#.*//' <<END | diff - out >err
0 malloc 0 24
0 calloc 1 30
0 aligned 2 100 64
0 aligned 3 512 256
0 aligned 4 1 32
0 aligned 5 10 $page
0 aligned 6 $page $page
0 malloc 7 32
0 realloc 7 5000
0 realloc 1 8
0 free 6                # realloc to 0 bytes
0 free 5
0 free 4
0 malloc 4 0            # takes the number that was free last
0 free 3
0 free 2
0 free 0
0 free 7
END
}
claim "the trace of known calls has exactly these events" exactly
claim "the replay of known calls is the same under both mallocs" replays_alike known.arntrace
totals() {
    replays known.arntrace && [ "$(value events)" -eq 18 ] && [ "$(value blocks)" -eq 8 ] &&
        [ "$(value peak_bytes)" -eq $((24 + 30 + 100 + 512 + 1 + 10 + page + 5000)) ] &&
        [ "$(value threads)" -eq 1 ] && [ "$(value unknown)" -eq 0 ]
}
claim "the replay prints how much there was" totals

# --- The program is as without it ----------------------------------------------------------------

script='my %h; $h{$_} = [$_ x 3] for 1 .. 30000; print scalar(keys %h), "\n"; exit 3'
perl_runs() {
    exits 3 record perl -e "$script" && [ "$(cat out)" = 30000 ] && [ ! -s err ]
}
if needs perl "perl's output and exit status are its own" "perl's trace replays alike" \
    "perl's trace takes at most 5 bytes an event"; then
    claim "perl's output and exit status are its own" perl_runs
    claim "perl's trace replays alike" replays_alike perl.arntrace --rounds 2
    compact() {
        replays perl.arntrace &&
            [ "$(stat -c %s perl.arntrace)" -lt $(($(value events) * 5)) ]
    }
    claim "perl's trace takes at most 5 bytes an event" compact
fi
sorts() {
    seq 20000 | "$cmd" record -o sort.t -- sort -r --parallel=4 -S 200k >out 2>err
    status=$?
    [ "$status" -eq 0 ] && [ ! -s err ] && seq 20000 | sort -r | cmp -s - out &&
        replays_alike sort.t
}
claim "sort sorts, and its trace replays alike" sorts
killed() {
    { exits 143 record -o killed.t sh -c 'kill -TERM $$'; } 2>shell && replays_alike killed.t
}
claim "a signal that kills the program is seen, and the trace is whole" killed
descriptors() {
    exits 0 record -o descriptors.t ls /proc/self/fd && cp out with && ls /proc/self/fd >out &&
        cmp -s with out
}
claim "the program finds no further file descriptor" descriptors

# --- Another malloc beneath ----------------------------------------------------------------------

compile libother.so -shared -fPIC <<'END'
#include <stddef.h>
#include <string.h>

void *__libc_malloc(size_t bytes);
void __libc_free(void *block);

struct header {
    size_t bytes, magic;
};

static void *make(size_t bytes)
{
    struct header *header = __libc_malloc(sizeof *header + bytes);
    *header = (struct header){bytes, 0x5eed};
    return header + 1;
}

void *malloc(size_t bytes)
{
    return make(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return memset(make(count * bytes), 0, count * bytes);
}

void free(void *block)
{
    if (block != NULL)
        __libc_free((struct header *)block - 1);
}

size_t malloc_usable_size(void *block)
{
    struct header *header = (struct header *)block - 1;
    return header->magic == 0x5eed ? header->bytes : 0;
}
END
compile linked -L. -lother '-Wl,-rpath,$ORIGIN' <<'END'
#include <malloc.h>
#include <stdlib.h>

int main(void)
{
    void *a = malloc(100), *b = calloc(10, 20);
    if (malloc_usable_size(a) != 100 || malloc_usable_size(b) != 200)
        return 1;
    free(a);
    free(b);
    return 0;
}
END
linked() {
    exits 0 record ./linked && replays --print linked.arntrace &&
        [ "$(tr '\n' , <out)" = "0 malloc 0 100,0 calloc 1 200,0 free 0,0 free 1," ]
}
claim "a program linked with another malloc keeps it" linked
over_arenite() {
    LD_PRELOAD=$lib "$cmd" record -o over.t ./known >out 2>err
    status=$?
    [ "$status" -eq 0 ] && replays_alike over.t && [ "$(value unknown)" -eq 0 ]
}
claim "and so does one with arenite preloaded" over_arenite

# --- Threads -------------------------------------------------------------------------------------

compile exchange <<'END'
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { THREADS = 8, SHELF = 256, ROUNDS = 10000 };
static _Atomic(char *) shelf[SHELF];

static void *work(void *argument)
{
    unsigned random = (unsigned)(size_t)argument * 2654435761u + 1;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525 + 1013904223;
        char *block = malloc(random >> 8 & 511);
        char *old = atomic_exchange(&shelf[(random >> 20) % SHELF], block);
        if (random >> 30 == 0 && old != NULL)
            old = realloc(old, (random >> 12) % 3000 + 1);
        free(old);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < SHELF; i++)
        free(shelf[i]);
    return 0;
}
END
exchanges() {
    exits 0 record ./exchange && replays_alike exchange.arntrace --rounds 3 &&
        [ "$(value threads)" -eq 9 ] && [ "$(value unknown)" -eq 0 ] &&
        [ "$(value events)" -gt 160000 ]
}
claim "8 threads that exchange blocks replay alike" exchanges
claim "and so they do in one thread" replays_alike exchange.arntrace --threads 1
claim "and in three" replays_alike exchange.arntrace --threads 3
no_block_twice() {
    replays --print exchange.arntrace && awk '
        $2 == "free" || $2 == "realloc" { if (!live[$3]) exit bad = 1 }
        $2 == "malloc" || $2 == "calloc" { if (live[$3]) exit bad = 1 }
        { live[$3] = $2 != "free" }
        END { exit bad }' out
}
claim "no free stands before its malloc" no_block_twice

# --- Children ------------------------------------------------------------------------------------

compile forks <<'END'
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    void *block = malloc(100);
    pid_t child = fork();
    if (child == 0) {
        free(block);
        free(malloc(200));
        _exit(0);
    }
    waitpid(child, NULL, 0);
    free(malloc(300));
    return 0;
}
END
forks() {
    rm -f forks.arntrace*
    exits 0 record ./forks && replays --print forks.arntrace &&
        [ "$(tr '\n' , <out)" = "0 malloc 0 100,0 malloc 1 300,0 free 1," ] &&
        replays --print forks.arntrace.[0-9]* &&
        [ "$(tr '\n' , <out)" = "0 malloc 0 200,0 free 0," ] &&
        replays_alike forks.arntrace.[0-9]* && [ "$(value unknown)" -eq 1 ]
}
claim "a forked child has a file of its own" forks
no_children() {
    rm -f forks.arntrace*
    exits 0 record --no-children ./forks && replays forks.arntrace &&
        [ "$(echo forks.arntrace*)" = forks.arntrace ]
}
claim "--no-children leaves it out" no_children
executes() {
    local files file
    exits 0 record -o exec.t sh -c 'cat /dev/null; exec ls' || return
    files=(exec.t*)
    [ ${#files[@]} -ge 3 ] || return
    for file in "${files[@]}"; do
        replays_alike "$file" || return
    done
}
claim "so have programs that are executed, each of them" executes

# --- The file ------------------------------------------------------------------------------------

replaces() {
    echo "something else" >replaced.t
    exits 0 record -o replaced.t ./known && replays_alike replaced.t &&
        [ "$(echo replaced.t*)" = replaced.t ]
}
claim "a file that is there is replaced" replaces
moves() {
    mkdir place && exits 0 record -o place/moved.t sh -c 'cd / && exec ls' &&
        replays place/moved.t && replays place/moved.t.[0-9]*
}
claim "the file is where it was asked for, whatever the program's directory" moves
claim "a file in no directory is refused" \
    refuses 125 "cannot record to 'nowhere/t'" record -o nowhere/t true
claim "a directory is refused" refuses 125 "not a regular file" record -o place true
claim "a device is refused" refuses 125 "not a regular file" record -o /dev/null true
limited() {
    (ulimit -f 300 && exits 0 record -o limited.t ./exchange) && [ "$(wc -l <err)" -eq 1 ] &&
        grep -qx "arenite: cannot record to $work/limited.t: File too large" err &&
        replays_alike limited.t
}
claim "a program goes on where its trace cannot" limited
unfindable() {
    mkdir gone && exits 0 record -o gone/t sh -c 'rm -r gone; exec ./known' &&
        [ "$(cat err)" = "arenite: cannot record to $work/gone/t: No such file or directory" ]
}
claim "and where its file cannot be made" unfindable

# --- What is no trace ----------------------------------------------------------------------------

# flawed PATTERN FILE
flawed() {
    ! replays "$2" && [ "$status" -eq 1 ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] &&
        grep -qE "^replay: $2: .*$1" err
}
claim "a foreign file is refused" flawed "not a trace" known.c
claim "a missing file is refused" flawed "No such file" missing
claim "a directory is no trace" flawed "not a trace" place
newer() {
    { head -c 8 known.arntrace && printf '\377\377\0\0' && tail -c +13 known.arntrace; } >newer.t &&
        flawed "another version" newer.t
}
claim "a trace of another version is refused" newer
truncated() {
    local bytes
    for ((bytes = $(stat -c %s known.arntrace) - 1; bytes >= 16; bytes--)); do
        head -c $bytes known.arntrace >short.t
        flawed truncated short.t || return
    done
    head -c 15 known.arntrace >short.t
    flawed "not a trace" short.t
}
claim "a trace that is cut short is refused" truncated
# Whatever the bytes are, reading ends, and not with a crash.
scrambled() {
    local i bytes
    bytes=$(stat -c %s known.arntrace)
    for i in {0..63}; do
        cp known.arntrace scrambled.t
        printf '%b' "\\x$(printf %02x $(((i * 37 + 255) % 256)))" |
            dd of=scrambled.t bs=1 seek=$((16 + i * 11 % (bytes - 16))) conv=notrunc 2>/dev/null
        timeout 120 "$replay" --print scrambled.t >out 2>err
        status=$?
        [ $status -le 1 ] || return
    done
}
claim "scrambled traces are no trouble" scrambled

# --- What the replay finds -----------------------------------------------------------------------

compile twice <<'END'
#include <stdlib.h>

int main(void)
{
    void *a = malloc(12345), *b = malloc(12345);
    free(a);
    free(b);
    return 0;
}
END
compile same.so -shared -fPIC <<'END'
#include <stddef.h>

void *__libc_malloc(size_t bytes);
void __libc_free(void *block);

static char block[12345];

void *malloc(size_t bytes)
{
    return bytes == sizeof block ? block : __libc_malloc(bytes);
}

void free(void *freed)
{
    if (freed != block)
        __libc_free(freed);
}
END
overlaps() {
    exits 0 record ./twice && replays_alike twice.arntrace || return
    LD_PRELOAD=./same.so "$replay" twice.arntrace >out 2>err
    status=$?
    [ "$status" -eq 1 ] && grep -qx "replay: corrupted at its start: block 0, .*" err
}
claim "a malloc that hands out a block twice is found out" overlaps

# --- Usage ---------------------------------------------------------------------------------------

claim "record --help prints the usage" exits 0 record --help
claim "record without a program is refused" refuses 125 "record: no program" record
claim "an unknown option of record is refused" \
    refuses 125 "record: unknown option '--nope'; see 'arenite record --help'" record --nope true
claim "a program that is not there is refused" refuses 127 "cannot run './none'" record ./none
no_file() {
    [ ! -e none.arntrace ]
}
claim "and no file is made" no_file
misused() {
    local arguments
    for arguments in "" "--rounds 0 x" "--rounds 2x x" "--threads 65 x" "--nope x" "x y"; do
        replays $arguments
        [ "$status" -eq 2 ] && grep -q "^usage: replay" err || return
    done
}
claim "wrong usage of the replay is refused" misused

finish
