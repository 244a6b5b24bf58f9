#!/bin/bash
# configure.sh - what configure says when a tool that make cannot do without is missing.

# shellcheck source=tests/cmd/claims.sh
. "$(dirname "$0")/claims.sh"

configure=$(realpath "${ARENITE_SRCDIR:?the sources}")/configure
unset CXXFLAGS CCC

# stops PATTERN ARGUMENT...: configure fails, with one line that matches.
stops() {
    local pattern=$1
    shift
    "$configure" --quiet "$@" >out 2>err
    status=$?
    [ "$status" -ne 0 ] && [ "$(grep -c . err)" -eq 1 ] && grep -q "^configure: error: .*$pattern" err
}

name="without a C++ compiler configure says so"
if [ -e "${configure%/*}/config.status" ]; then
    skip "$name" "configured in the sources: configure would say that first"
else
    claim "$name" stops "no C++ compiler (no-such-c++) .* Install g++ or clang++" \
        CC="$cc" CXX=no-such-c++
    printf '#!/bin/sh\nexit 1\n' >broken-c++ && chmod +x broken-c++
    claim "with one that does not work, too" stops "no C++ compiler (./broken-c++)" \
        CC="$cc" CXX=./broken-c++
fi

finish
