#!/bin/bash
# manual.sh - the manual names what there is: every option with its default, every exported function. And
# every program of arenite-object(7) and arenite-trace(7) prints what the page says. And mandoc understands
# the pages, if it is installed.

set -u
options=$(ARENITE_OPTIONS=show=1 LD_PRELOAD=$ARENITE_LIB ${EMULATOR:-} "$BASH" -c : 2>&1 |
    sed -n 's/^arenite: option \(.*\) (.*)$/\1/p')
functions=$(nm -D --defined-only "$ARENITE_LIB" | awk '$2 !~ /[BD]/ && $3 ~ /^arn_[^_]/ { print $3 }')
# functions_of HEADER
functions_of() {
    sed -E 's/^(ARN_PUBLIC|ARN__HOT)[^(]*[ *](arn_[a-z_]+)\(.*/\2/; t; d' \
        "$ARENITE_SRCDIR/include/arenite/$1" | sort -u
}
object_functions=$(functions_of object.h)
trace_functions=$(functions_of trace.h)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
point=0 failed=0
ulimit -c 0

# claim CLAIM COMMAND...
claim() {
    local name=$1
    shift
    point=$((point + 1))
    if "$@"; then
        echo "ok $point - $name"
    else
        failed=$((failed + 1))
        echo "not ok $point - $name"
    fi
}

# named PATTERN FILE CLAIM
named() {
    claim "$3" grep -qE -- "$1" "$ARENITE_SRCDIR/man/$2"
}

for option in $options; do
    named "\\b${option%%=*}\\b" arenite.7 "arenite(7) describes the option ${option%%=*}"
done
for function in $functions; do
    manual=arenite.3
    grep -qx "$function" <<<"$object_functions" && manual=arenite-object.7
    grep -qx "$function" <<<"$trace_functions" && manual=arenite-trace.7
    named "\\b$function\\b" $manual "$manual describes $function"
done

# understood PAGE: mandoc warns of nothing but of sections that others of its number do not have.
understood() {
    ! mandoc -Tlint -W warning "$ARENITE_SRCDIR/man/$1" 2>&1 | grep -v 'WARNING: unexpected section'
}
if command -v mandoc >/dev/null; then
    for page in arenite.1 arenite.3 arenite.7 arenite-object.7 arenite-security.7 arenite-trace.7; do
        claim "mandoc understands $page" understood $page
    done
fi

# --- The programs of the pages -------------------------------------------------------------------

# Literal text that begins with an #include is a program, the next what it prints: object1.c,
# object1.expected, ...
# programs_of NAME
programs_of() {
    awk -v work="$work/$1" '
    /^\.Bd -literal/ { literal = 1; file = "" }
    literal && !/^\.Bd/ && file == "" {
        if (/^#include/) {
            programs++
            file = work programs (/\.hpp>/ ? ".cc" : ".c")
        } else {
            file = work programs ".expected"
        }
    }
    /^\.Ed/ { literal = 0 }
    literal && !/^\.Bd/ {
        gsub(/^\\&/, "")
        gsub(/\\e/, "\\")
        print >file
    }' "$ARENITE_SRCDIR/man/arenite-$1.7"
}
programs_of object
programs_of trace

# What differs from one run to the next, and what an emulator says of a program that aborts.
without_addresses() {
    sed -e 's/0x[0-9a-f]*/0x/g' -e 's/^\(arenite:.* from \)[a-z]*[0-9]*+/\1program+/' \
        -e '/^qemu: uncaught target signal/d' "$1"
}

# prints SOURCE: compiled, the program prints what is expected.
prints() {
    local program=${1%.*} compiler="${CC:-cc} -std=c11"
    [ "$1" = "$program.c" ] || compiler="${CXX:-c++} -std=c++17"
    $compiler -Wall -Wextra -Wshadow -Werror -O2 -I"$ARENITE_SRCDIR/include" -o "$program" "$1" \
        "$ARENITE_LIB" -pthread 2>&1 | sed 's/^/# /'
    # shellcheck disable=SC2086 # the emulator and its arguments
    { # the shell has nothing to say about a program that aborts
        LD_LIBRARY_PATH=$(dirname "$ARENITE_LIB") timeout 600 ${EMULATOR:-} "$program" \
            >"$program.out" 2>&1
    } 2>/dev/null
    diff <(without_addresses "$program.expected") <(without_addresses "$program.out") | sed 's/^/# /'
    return "${PIPESTATUS[0]}"
}

programs=$(find "$work" -name '*.c' -o -name '*.cc' | sort -V)
for program in $programs; do
    claim "program ${program##*/} of the manual prints what its page says" prints "$program"
done

# An emulator does not run this shell, which would tell of the options.
least_options=5
[ -z "${EMULATOR:-}" ] || least_options=0
claim "there are options, functions and programs to look for" \
    test "$(wc -w <<<"$options")" -ge "$least_options" -a "$(wc -w <<<"$object_functions")" -ge 50 \
    -a "$(wc -w <<<"$trace_functions")" -ge 15 -a "$(wc -w <<<"$programs")" -ge 12
echo "1..$point"
echo "# $((point - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
