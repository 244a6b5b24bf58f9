#!/bin/bash
# workloads.sh - every workload of bench/workloads/list.txt, and its twin with arenite linked in, runs and
# finds its data unharmed, prints the figures it says it does, and notices an allocator that is broken.
#
# Prints TAP. ARENITE_BENCH is the directory above that of the programs; CC (default: cc) compiles the broken
# allocator.

set -u
: "${ARENITE_LIB:?the preload library}" "${ARENITE_SRCDIR:?}" "${ARENITE_BENCH:?}"

if [ -n "${EMULATOR:-}" ]; then
    echo "1..0 # SKIP the workloads are for the machine that builds"
    exit 0
fi

list=$ARENITE_SRCDIR/bench/workloads/list.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0

# claim DESCRIPTION COMMAND...
claim() {
    local name=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        sed 's/^/# /' "$work/out" "$work/err"
    fi
}

# run LIBRARY PROGRAM ARGUMENT...: a fiftieth of the workload under a preloaded library, or none ("").
run() {
    local library=$1 program=$2
    shift 2
    timeout 600 env LD_PRELOAD="$library" "$ARENITE_BENCH/$program" "$@" --scale 0.02 \
        >"$work/out" 2>"$work/err"
}

# runs LIBRARY "COMMAND" "KEYS": of a series, {N,N,...}, the first.
runs() {
    # shellcheck disable=SC2046 # a command and its arguments
    run "$1" $(sed 's/{\([^,]*\),[^}]*}/\1/' <<<"$2") &&
        [ ! -s "$work/err" ] && [ "$(keys_printed)" = "$(keys_listed "$3")" ]
}

# Nobody but arenite reads its options.
is_linked() {
    ARENITE_OPTIONS=show=1 run "" "$1" && grep -q '^arenite: ' "$work/err"
}

keys_printed() {
    awk 'NF == 2 && $2 ~ /^[0-9.]+$/ { printf "%s ", $1; next } { print "no figure: " $0 }' "$work/out"
}

keys_listed() {
    local key
    for key in $1; do
        [ "$key" = - ] || printf '%s ' "$key"
    done
}

# notices COMMAND...: not by a crash, which need not come.
notices() {
    run "$work/broken.so" "$@"
    [ $? -eq 1 ] && grep -q 'does not hold' "$work/err"
}

while IFS='|' read -r name _ command keys _; do
    case ${name// /} in "" | "#"*) continue ;; esac
    claim "${name// /}" runs "$ARENITE_LIB" "workloads/${command# }" "$keys"
    claim "${name// /} with arenite linked in" runs "" "static/${command# }" "$keys"
done <"$list"
claim "what it is linked into runs with arenite" is_linked static/hot_pair

# Never frees, and gives every thousandth block twice.
cat >"$work/broken.c" <<'END'
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

enum { STEP = 1 << 20 };
static _Thread_local char *next, *end, *twice;
static _Thread_local unsigned count;

void *malloc(size_t bytes)
{
    bytes = (bytes + 31) & ~(size_t)15;
    if (++count % 1000 == 1 && twice != NULL && bytes <= ((size_t *)twice)[-2])
        return twice;
    if ((size_t)(end - next) < bytes) {
        size_t mapped = bytes + STEP;
        next = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        end = next + mapped;
    }
    char *block = next + 16;
    *(size_t *)next = bytes;
    next += bytes;
    return twice = block;
}

void free(void *block)
{
    (void)block;
}

void *calloc(size_t count_, size_t bytes)
{
    return memset(malloc(count_ * bytes), 0, count_ * bytes);
}

void *realloc(void *block, size_t bytes)
{
    size_t old = block == NULL ? 0 : ((size_t *)block)[-2] - 16;
    return memcpy(malloc(bytes), block, old < bytes ? old : bytes);
}
END
if ${CC:-cc} -O1 -fno-builtin -shared -fPIC "$work/broken.c" -o "$work/broken.so" 2>"$work/err"; then
    for command in "batch fifo" "batch lifo" "batch random" power_law exchange; do
        # shellcheck disable=SC2086 # a command and its arguments
        claim "$command notices a block given twice" notices workloads/$command
    done
else
    echo "# no C compiler: $(cat "$work/err")"
fi
echo "1..$count"
