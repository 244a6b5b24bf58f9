#!/bin/bash
# run.sh - the benchmark's runner, on small workloads of its own. Prints TAP.
#
# ARENITE_BENCH is bench/ of the build, ARENITE_LIB the library, ARENITE_SRCDIR the sources.

set -u
: "${ARENITE_BENCH:?bench/ of the build}" "${ARENITE_LIB:?the library}" "${ARENITE_SRCDIR:?}"

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}
[ -z "${EMULATOR:-}" ] || skip_all "figures under an emulator mean nothing"
for module in numpy scipy.stats matplotlib; do
    /usr/bin/python3 -c "import $module" 2>/dev/null || skip_all "no Python module ${module%.*}"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset LD_PRELOAD
count=0 failed=0

# claim DESCRIPTION COMMAND...
claim() {
    local name=$1
    shift
    count=$((count + 1))
    if "$@" >said 2>&1; then
        echo "ok $count - $name"
    else
        failed=$((failed + 1))
        sed 's/^/# /' said out err 2>/dev/null
        echo "not ok $count - $name"
    fi
}

# A benchmark of its own: the runner with other lists.
mkdir -p bench/workloads bench/static bench/programs
cp "$ARENITE_SRCDIR"/bench/run "$ARENITE_SRCDIR"/bench/*.py bench
cp "$ARENITE_BENCH/measure" bench
cat >bench/workloads/list.txt <<'END'
# Blanks do not count.
touch | memory short | touch.sh          | bytes | Touches 64 MiB.
quick | single short | quick.sh --size 1 | -     | Does little.
crash | single       | crash.sh          | -     | Fails under arenite.
grow  | scale        | grow.sh {1,4,2k}  | step_ns live_bytes rss_bytes | Grows.
vast  | scale 1G     | quick.sh --size {1k,1000000} | - | Needs more memory than there is.
END
cat >bench/programs.txt <<'END'
served | programs | WORD=kept sh -c 'cat input >fifo; test "$WORD" = kept' | - | Has input and a client.
absent | programs | no-such-program | - | Is not there.
unable | programs | true | - | Cannot be run here.
END
echo 'echo text >input; mkfifo fifo' >bench/programs/served.prepare
echo 'test -z "${LD_PRELOAD-}" && grep -q text fifo' >bench/programs/served.client
echo 'echo "not today" >&2; exit 77' >bench/programs/unable.prepare
cd bench/workloads || exit 1
printf '#!/bin/sh\n' | tee touch.sh quick.sh crash.sh grow.sh >/dev/null
cat >>touch.sh <<'END'
head -c 67108864 /dev/zero | tail -n 1 | wc -c | sed "s/^/bytes /"
END
echo ':' >>quick.sh
echo 'case ${LD_PRELOAD-} in *arenite*) echo broken >&2; kill -SEGV $$ ;; esac' >>crash.sh
cat >>grow.sh <<'END'
case ${LD_PRELOAD-}$1 in *arenite*4) exit 1 ;; esac
echo "step_ns $((${1%k} * 10))"
echo "live_bytes 100"
echo "rss_bytes $((${1%k} * 200))"
END
chmod +x ./*.sh
cp quick.sh ../static
echo 'test -z "${LD_PRELOAD-}"' >>../static/quick.sh
cd "$work" || exit 1

# runs STATUS ARGUMENT...: the runner; leaves out and err.
runs() {
    local expected=$1 status
    shift
    bench/run --arenite "$ARENITE_LIB" "$@" >out 2>err
    status=$?
    [ "$status" -eq "$expected" ] || { echo "status $status"; return 1; }
}

# refuses PATTERN ARGUMENT...: status 2 and one line that matches.
refuses() {
    local pattern=$1
    shift
    runs 2 "$@" && [ "$(wc -l <err)" -eq 1 ] && grep -q -e "$pattern" err
}

# holds FILE EXPRESSION: the Python expression is true of the JSON `r`.
holds() {
    /usr/bin/python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
assert eval(f"({sys.argv[2]})"), sys.argv[2]' "$@"
}

# --- measure --------------------------------------------------------------------------------------

measure() {
    bench/measure "$@" >measured.json
}
# As long as it takes by another clock, at most.
sleeps() {
    local most
    most=$(/usr/bin/python3 -c '
import subprocess, time
start = time.monotonic_ns()
subprocess.run(["bench/measure", "--", "sleep", "0.05"], stdout=open("measured.json", "w"), check=True)
print(time.monotonic_ns() - start)') &&
        holds measured.json "5e7 <= r['wall_ns'] <= $most and r['status'] == 0" &&
        holds measured.json 'r["maxrss_bytes"] < 8 << 20'
}
touches() {
    measure -- "$1" -c 'b = bytearray(64 << 20); b[::4096] = b"x" * (16 << 10)' &&
        holds measured.json '64 << 20 <= r["maxrss_bytes"] < 128 << 20 and r["minflt"] > 100'
}
big_parent() {
    "$1" -c '
import subprocess
b = bytearray(b"x") * (64 << 20)
subprocess.run(["bench/measure", "--", "true"], stdout=open("measured.json", "w"), check=True)' &&
        holds measured.json 'r["maxrss_bytes"] < 16 << 20'
}
dies() {
    # shellcheck disable=SC2016 # for the other shell
    measure --env A=value --stdout printed -- sh -c 'echo $A; kill -9 $$' &&
        holds measured.json 'r["status"] == 137' && grep -qx value printed
}
not_started() {
    ! measure -- ./none 2>err && grep -q 'cannot start ./none' err
}
claim "measure: a sleep takes its time and little memory" sleeps
claim "measure: 64 MiB that are touched are the peak" touches /usr/bin/python3
claim "measure: who starts it does not count" big_parent /usr/bin/python3
claim "measure: settings, output and a signal" dies
claim "measure: what cannot be started is said" not_started

# --- Rounds ---------------------------------------------------------------------------------------

interleaved() {
    runs 0 --quick --rounds 3 --set quick,served --json a.json glibc arenite x="$ARENITE_LIB" &&
        holds a.json '[(x["round"], x["workload"], x["allocator"]) for x in r["runs"]] ==
            [(n, w, ["glibc", "arenite", "x"][(n + i) % 3])
             for n in range(3) for w in ("quick", "served") for i in range(3)]'
}
shaped() {
    holds a.json '{"format", "machine", "allocators", "workloads", "settings", "runs", "skipped",
                   "failures", "system_calls", "summary", "environment", "started"} == set(r)' &&
        holds a.json 'all(x["wall_ns"] > 0 and x["maxrss_bytes"] > 0 for x in r["runs"])' &&
        holds a.json 'r["allocators"][2]["version"].startswith("libarenite.so")' &&
        holds a.json 'r["machine"]["cores"] > 0 and r["machine"]["memory_bytes"] > 0' &&
        holds a.json 'all(m["low"] <= m["value"] <= m["high"]
                          for means in r["summary"]["means"].values() for m in means.values())'
}
against_best() {
    holds a.json 'all(min(e["allocators"][p][k]["ratio"] for p in ("glibc", "x")) == 1
        for e in r["summary"]["workloads"].values() for k in ("time", "rss"))'
}
tabled() {
    grep -q '^Time (ratio to best peer' out && grep -q '^geometric mean' out
}
prepared() {
    runs 0 --quick --set served,absent,unable glibc &&
        grep -q 'skipped absent: no program no-such-program' err &&
        grep -q 'skipped unable: not today' err
}
own_figures() {
    runs 0 --quick --rounds 1 --set touch --json touch.json glibc &&
        holds touch.json 'r["runs"][0]["figures"] == {"bytes": 67108864}' &&
        holds touch.json 'r["runs"][0]["maxrss_bytes"] > 64 << 20'
}
claim "every round runs each allocator once, the order moved on by one" interleaved
claim "the JSON has every run, and means within their intervals" shaped
claim "the best peer is 1" against_best
claim "the terminal gets a table" tabled
claim "what cannot be run is skipped, with the reason" prepared
claim "the figures of a workload are in the JSON" own_figures

traced() {
    holds a.json 'r["system_calls"]["quick"]["arenite"]["execve"] >= 1'
}
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    claim "system calls are counted" traced
fi

# --- Linked, not preloaded -------------------------------------------------------------------------

linked() {
    runs 0 --quick --scale 2 --set quick,served --json l.json glibc arenite arenite-static &&
        holds l.json '{(x["workload"], x["allocator"]) for x in r["runs"]} ==
            {(w, a) for w in ("quick", "served") for a in ("glibc", "arenite")}
            | {("quick", "arenite-static")}' &&
        holds l.json 'r["workloads"][0]["linked"][0] == "static/quick.sh"' &&
        holds l.json 'r["workloads"][0]["linked"][1:] == r["workloads"][0]["command"][1:]' &&
        holds l.json 'r["failures"] == [] and r["summary"]["not_in_means"] == []'
}
no_peer() {
    holds l.json 'all(e["references"] == {"time": "glibc", "rss": "glibc"}
        for e in r["summary"]["workloads"].values())'
}
counted() {
    holds l.json '{a: m["workloads"] for a, m in r["summary"]["means"]["time"].items()} ==
            {"glibc": 2, "arenite": 2, "arenite-static": 1}' &&
        holds l.json 'all(m["workloads"] == 1 and abs(m["value"] -
            r["summary"]["workloads"]["quick"]["allocators"][a]["time"]["ratio"]) < 1e-9
            for a, m in r["summary"]["common_means"]["time"].items())' &&
        grep -q '^Time (.*; mean of arenite-static: of 1 of 2)' out &&
        grep -q '^served .* - .* glibc$' out && grep -q '^mean of the 1 that all have ' out
}
linked_page() {
    runs 0 --report l.json --html l.html && grep -q 'arenite-static has 1 of 2 workloads' l.html
}
by_default() {
    runs 0 --quick --rounds 1 --set quick --json d.json &&
        holds d.json '"arenite-static" in [a["name"] for a in r["allocators"]]' &&
        mv bench/static away && runs 0 --quick --rounds 1 --set quick --json d.json &&
        mv away bench/static && grep -q 'skipped arenite-static: no ' err &&
        holds d.json '"arenite-static" not in [a["name"] for a in r["allocators"]]'
}
claim "arenite-static runs the workloads that it is linked into, and no others" linked
claim "arenite-static is no peer" no_peer
claim "means say of how many workloads they are, and there are those that compare" counted
claim "the page says so, too" linked_page
claim "arenite-static is there by default if it was built" by_default
claim "arenite-static cannot be given a library" \
    refuses "arenite-static is part of the programs" arenite-static="$ARENITE_LIB"

# --- Failures -------------------------------------------------------------------------------------

crashes() {
    runs 1 --quick --set crash,quick --json b.json --html b.html glibc arenite &&
        grep -q '^run: FAILED: crash under arenite: status 139: .*broken' err &&
        grep -q '^FAILED: crash under arenite' out &&
        holds b.json 'r["summary"]["not_in_means"] == ["crash"] and len(r["failures"]) == 1' &&
        grep -q 'class="failed"' b.html
}
not_preloaded() {
    echo text >text.so
    refuses "x cannot be used: .*cannot be preloaded" --quick --set quick x=text.so glibc
}
claim "a workload that fails is reported, left out, and is status 1" crashes
claim "a library that is none is refused" not_preloaded
claim "an unknown allocator is refused and the nearest named" \
    refuses "unknown allocator 'jemaloc'; the nearest is 'jemalloc'" --quick jemaloc
claim "an unknown workload is refused and the nearest named" \
    refuses "unknown workload 'quik'; the nearest is 'quick'" --quick --set quik
claim "a library that is not there is refused" refuses "no library ./none.so" x=./none.so
claim "an unknown reference is refused" \
    refuses "the nearest is 'glibc'" --quick --set quick --reference glib glibc
claim "fewer than five rounds are refused" refuses "5 at least" --rounds 4

# --- The page -------------------------------------------------------------------------------------

again() {
    runs 0 --report a.json --reference x --html a.html && grep -q '^Time (ratio to x' out
}
offline() {
    ! grep -Eo '(src|href|url)[=(]["'"'"']?[^#"'"'"'][^ ]*' a.html | grep -v '^href="#' &&
        [ "$(grep -Eo 'https?://[^"<> ]*' a.html | grep -vc '^http://www.w3.org/')" -eq 0 ] &&
        [ "$(grep -c '<svg' a.html)" -ge 3 ]
}
claim "--report makes table and page again, against another reference" again
claim "the page has plots and refers to nothing outside" offline

# --- Series ---------------------------------------------------------------------------------------

series() {
    runs 1 --quick --scaling grow --json d.json --html d.html glibc arenite &&
        holds d.json '[(x["round"], x["workload"], x["allocator"]) for x in r["runs"]] ==
            [(n, "grow_" + w, a) for n in (0, 1) for w in ("1", "4", "2k")
             for a in (["glibc", "arenite"], ["arenite", "glibc"])[n] if (w, a) != ("4", "arenite")]' &&
        holds d.json '[(w["series"], w["number"]) for w in r["workloads"]] ==
            [("grow", 1), ("grow", 4), ("grow", 2048)]'
}
curves() {
    holds d.json '[(c["figure"], c["labels"]) for c in r["summary"]["curves"]] ==
            [(f, ["1", "4", "2k"]) for f in ("time", "peak RSS", "step_ns", "RSS / live")]' &&
        holds d.json '[[at and (at["value"], at["growth"]) for at in line["values"]]
             for line in r["summary"]["curves"][2]["lines"].values()] ==
            [[(10, 1), (40, 4), (20, 2)], [(10, 1), None, (20, 2)]]' &&
        holds d.json 'abs(r["summary"]["curves"][3]["lines"]["glibc"]["values"][1]["exponent"] - 1)
            < 1e-9' &&
        grep -q '^grow: step_ns (median' out && grep -q '^4 .*40 ns (4.00) .*failed' out &&
        grep -q '^steepest .*1.00 to 4 ' out
}
drawn() {
    grep -q 'Cost against scale: grow' d.html && [ "$(grep -c '<svg' d.html)" -eq 1 ] &&
        runs 1 --report d.json --html e.html && grep -q '^grow: step_ns' out && cmp d.html e.html
}
needs_memory() {
    runs 2 --quick --scaling vast glibc && grep -q 'vast_1k: needs 1024.0 GiB, more than 60%' err
}
not_in_full() {
    runs 1 --quick --rounds 1 --set full --json f.json glibc arenite &&
        holds f.json '{w["name"] for w in r["workloads"]} == {"touch", "quick", "crash", "served"}'
}
unknown_option() {
    runs 2 --scalings grow && grep -q 'unrecognized arguments: --scalings' err
}
claim "--scaling runs each number of a series under each allocator, in rounds" series
claim "figures against scale are in the JSON and in tables" curves
claim "the page has a plot of each series, and --report makes it again" drawn
claim "a number that needs more memory than there is does not run, with the reason" needs_memory
claim "the full set is all but the series" not_in_full
claim "an unknown series is refused and the nearest named" \
    refuses "unknown series 'grwo'; the nearest is 'grow'" --quick --scaling grwo
claim "fewer than three rounds of a series are refused" \
    refuses "3 at least" --scaling grow --rounds 2
claim "an unknown option is refused" unknown_option
listed() {
    [ "$(bench/run --list | grep -c '^| `')" -eq 11 ]
}
claim "--list prints a table of all workloads" listed

echo "1..$count"
[ "$failed" -eq 0 ]
