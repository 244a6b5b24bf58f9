#!/bin/bash
# objects.sh - every workload of bench/objects/list.txt runs with every manager of objects that is here,
# finds its data unharmed, and prints the figures it says it does. Prints TAP.
#
# ARENITE_BENCH is bench/ of the build.

set -u
: "${ARENITE_BENCH:?bench/ of the build}" "${ARENITE_SRCDIR:?}"

if [ -n "${EMULATOR:-}" ]; then
    echo "1..0 # SKIP the workloads are for the machine that builds"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0

# runs "KEYS" COMMAND...: a thousandth of it.
runs() {
    local keys=$1
    shift
    timeout 60 "$@" --scale 0.001 >"$work/out" 2>"$work/err" && [ ! -s "$work/err" ] &&
        awk 'NF != 2 || $2 !~ /^-?[0-9.e+-]+$/ { print "no figure: " $0; next }
             { printf "%s%s", separator, $1; separator = " " }' "$work/out" >"$work/keys" &&
        [ "$(cat "$work/keys")" = "${keys#-}" ]
}

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

while IFS='|' read -r name group command keys _; do
    case ${name// /} in "" | "#"*) continue ;; esac
    read -r program options <<<"$command"
    read -r keys <<<"$keys"
    for manager in arenite arenite-shared libgc grcbox garcbox make_shared plain atomic; do
        if [ -x "$ARENITE_BENCH/objects/$program.$manager" ]; then
            # shellcheck disable=SC2086 # options
            claim "${name// /} with $manager" \
                runs "$keys" "$ARENITE_BENCH/objects/$program.$manager" $options
        fi
    done
    case $group in
    *python*)
        # shellcheck disable=SC2086 # options
        claim "${name// /} with CPython" runs "$keys" /usr/bin/python3 -sSB \
            "$ARENITE_SRCDIR/bench/objects/cpython.py" "$program" $options
        ;;
    esac
done <"$ARENITE_SRCDIR/bench/objects/list.txt"

# Every manager asked for ran what it has, and the figures have intervals.
compared() {
    "$ARENITE_BENCH/run" --objects chain,pauses --quick --scale 0.0005 --json "$work/r.json" \
        --html "$work/r.html" arenite cpython plain-glibc >"$work/out" 2>"$work/err" &&
        /usr/bin/python3 - "$work/r.json" <<'END' 2>"$work/err" && grep -q 'how many pauses' "$work/r.html"
import json, sys

r = json.load(open(sys.argv[1]))
assert {(x["workload"], x["allocator"]) for x in r["runs"]} == {
    *(("chain", m) for m in ("arenite", "cpython", "plain-glibc")),
    *(("pauses", m) for m in ("arenite", "cpython")),
}
assert r["summary"]["workloads"]["chain"]["references"] == {"time": "cpython", "rss": "cpython"}
for under in r["summary"]["workloads"].values():
    for row in under["allocators"].values():
        assert all(f["low"] <= f["value"] <= f["high"] for f in row["figures"].values())
END
}
if [ -x "$ARENITE_BENCH/run" ] && /usr/bin/python3 -c 'import scipy, matplotlib' 2>/dev/null; then
    claim "the runner compares them, and draws the pauses" compared
fi
echo "1..$count"
