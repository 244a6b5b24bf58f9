#!/bin/bash
# interpreter.sh - the example interpreter: its scripts say what is beside them, and nothing is left of any
# script, also of one that fails half-way.
#
# ARENITE_EXAMPLES is where the examples were built, ARENITE_SRCDIR the source tree.

set -u
: "${ARENITE_EXAMPLES:?}" "${ARENITE_SRCDIR:?}"
unset ARENITE_OPTIONS
interpreter=$ARENITE_EXAMPLES/interpreter/interpreter
scripts=$ARENITE_SRCDIR/examples/interpreter
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0 failed=0

# claim DESCRIPTION STATUS EXPECTED SCRIPT: the script ends so, and says all that is in the file.
claim() {
    count=$((count + 1))
    # shellcheck disable=SC2086 # the emulator may have options
    timeout 600 ${EMULATOR:-} "$interpreter" --check "$4" >"$work/out" 2>&1
    local status=$?
    if [ $status -eq "$2" ] && cmp -s "$3" "$work/out"; then
        echo "ok $count - $1"
    else
        failed=$((failed + 1))
        echo "not ok $count - $1"
        echo "#   exit status $status"
        diff "$3" "$work/out" | sed 's/^/#   /'
    fi
}

for name in names passing containers rebinding cycles deletion; do
    claim "$name" 0 "$scripts/$name.out" "$scripts/$name.txt"
done

# fails MESSAGE SCRIPT: it says why and where, and leaves nothing.
fails() {
    echo "$1" >"$work/expected"
    printf '%b\n' "$2" >"$work/script"
    claim "refused: ${1#*: }" 2 "$work/expected" "$work/script"
}

fails "line 2: no variable 'y'" 'x = [1]\nx = [x, [y]]'
fails "line 3: no variable 'x' here" 'x = 1\ndef f()\ndel x\nend\nf()'
fails "line 2: no item 1 in a list of 1" 'x = [{"k": 1}]\nx[1] = {"a": x}'
fails "line 1: no such key" 'x = {"k": [1]}["l"]'
fails "line 1: a key of type list" 'x = {1: {}, [2]: 3}'
fails "line 1: nothing in a value of type int" '1[0] = 2'
fails "line 1: division by 0" '[1, 2 / 0]'
fails "line 1: an int that is too large" '9223372036854775807 + 1'
fails "line 1: an int that is too large" '9223372036854775808'
fails "line 1: an int that is too large" '-1 * (-9223372036854775807 - 1)'
fails "line 1: no such operation on values of types list and int" '[1] + 1'
fails "line 1: no order of values of types str and int" '"a" < 1'
fails "line 1: a value of type list is called" '[1]([2])'
fails "line 1: len takes 1 arguments, not 2" 'len([], [])'
fails "line 1: remove from a value of type list by one of str" 'remove([1], "a")'
fails "line 3: not enough arguments" 'def f(a, b)\nend\nf([1])'
fails "line 3: too many arguments" 'def f(a)\nend\nf([1], [2])'
fails "line 1: too many arguments" 'print(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)'
fails "line 1: return outside of a function" 'return [1]'
fails "line 3: nested too deep" 'x = []\ndef f(a)\nreturn [f([a])]\nend\nf(x)'
fails "line 5: no variable 'z'" 'def f(a)\nreturn a\nend\nx = f([1])\nx = f(x)[0] + z'
fails "line 1: nested too deep" "x = $(printf '(%.0s' {1..300})1"
fails "line 1: a string without its end" 'x = ["a'
fails "line 1: '?' means nothing" 'x = [1, ?]'
fails "line 1: a name expected, not ')'" 'x = [1, )'
fails "line 2: end expected, not the end of the script" 'while 1'
fails "line 1: a statement expected, not 'end'" 'end'
fails "line 1: nothing that can be assigned to" '[1] = 2'
fails "line 1: the end of the line expected, not '2'" 'x = 1 2'

echo "1..$count"
echo "# $((count - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
