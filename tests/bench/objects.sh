#!/bin/bash
# objects.sh - every workload of bench/objects/list.txt runs with every manager of objects that is here,
# finds its data unharmed, and prints the figures it says it does. Prints TAP.
#
# ARENITE_BENCH is bench/ of the build.

bench=$(realpath "${ARENITE_BENCH:?bench/ of the build}")
sources=$(realpath "${ARENITE_SRCDIR:?the sources}")
# shellcheck source=tests/cmd/claims.sh
. "$sources/tests/cmd/claims.sh"

# runs "KEYS" COMMAND...: a thousandth of it.
runs() {
    local keys=$1
    shift
    timeout 600 "$@" --scale 0.001 >out 2>err
    status=$?
    [ "$status" -eq 0 ] && [ ! -s err ] &&
        awk 'NF != 2 || $2 !~ /^-?[0-9.e+-]+$/ { print "no figure: " $0; next }
             { printf "%s%s", separator, $1; separator = " " }' out >keys &&
        [ "$(cat keys)" = "${keys#-}" ]
}

while IFS='|' read -r name group command keys _; do
    case ${name// /} in "" | "#"*) continue ;; esac
    read -r program options <<<"$command"
    read -r keys <<<"$keys"
    for manager in arenite arenite-shared libgc grcbox garcbox make_shared plain atomic; do
        if [ -x "$bench/objects/$program.$manager" ]; then
            # shellcheck disable=SC2086 # options
            claim "${name// /} with $manager" \
                runs "$keys" "$bench/objects/$program.$manager" $options
        fi
    done
    case $group in
    *python*)
        # shellcheck disable=SC2086 # options
        claim "${name// /} with CPython" runs "$keys" /usr/bin/python3 -sSB \
            "$sources/bench/objects/cpython.py" "$program" $options
        ;;
    esac
done <"$sources/bench/objects/list.txt"

# Every manager asked for ran what it has, and the figures have intervals.
compared() {
    "$bench/run" --objects chain,pauses --quick --scale 0.0005 --json r.json \
        --html r.html arenite cpython plain-glibc >out 2>err &&
        /usr/bin/python3 - r.json <<'END' 2>err && grep -q 'how many pauses' r.html
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
if [ -x "$bench/run" ] && /usr/bin/python3 -c 'import scipy, matplotlib' 2>/dev/null; then
    claim "the runner compares them, and draws the pauses" compared
fi
finish
