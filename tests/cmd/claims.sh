# claims.sh - what the tests of the command share: TAP, the command, a directory to work in.
#
# Sourced. ARENITE_CMD is the command and ARENITE_LIB the preload library of the same build; CC
# (default: cc) compiles small programs. Ends the test under an emulator. The test ends with finish.
# shellcheck shell=bash
# shellcheck disable=SC2034 # the tests use the variables

set -u
: "${ARENITE_CMD:?the command}" "${ARENITE_LIB:?the preload library}"

if [ -n "${EMULATOR:-}" ]; then
    echo "1..0 # SKIP one program cannot execute another under the emulator"
    exit 0
fi

unset LD_PRELOAD ARENITE_OPTIONS ARENITE_RECORD ARENITE_RECORD_PID
export LC_ALL=C
umask 022 # other users run some of the programs
cc=${CC:-cc}
cmd=$(realpath "$ARENITE_CMD")
lib=$(realpath -s "$ARENITE_LIB")
work=$(mktemp -d)
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
cd "$work" || exit 1
count=0 failed=0 status=0

# claim DESCRIPTION COMMAND...: COMMAND succeeds, or shows what was.
claim() {
    local name=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $name"
    else
        failed=$((failed + 1))
        echo "not ok $count - $name"
        sed 's/^/#   /' out err 2>/dev/null
        echo "#   exit status $status"
    fi
}

skip() {
    count=$((count + 1))
    echo "ok $count # SKIP $2: $1"
}

# needs COMMAND CLAIM...: whether the command is there; the claims are skipped if not.
needs() {
    local command=$1 name
    shift
    command -v "$command" >/dev/null && return
    for name; do
        skip "$name" "no $command"
    done
    return 1
}

# finish: the plan, and whether all claims hold.
finish() {
    echo "1..$count"
    echo "# $((count - failed)) passed, $failed failed"
    [ "$failed" -eq 0 ]
}

# arenite ARGUMENT...: runs the command; leaves out, err and $status.
arenite() {
    "$cmd" "$@" >out 2>err
    status=$?
}

# exits STATUS ARGUMENT...
exits() {
    local expected=$1
    shift
    arenite "$@"
    [ "$status" -eq "$expected" ]
}

# refuses STATUS PATTERN ARGUMENT...: the status, one line on stderr that matches, and no output.
refuses() {
    local expected=$1 pattern=$2
    shift 2
    exits "$expected" "$@" && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] &&
        grep -qE "^arenite: .*$pattern" err
}
