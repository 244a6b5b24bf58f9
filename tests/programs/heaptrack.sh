# does: heaptrack counts the same calls, of C's names and of C++'s; before the library and after it
# needs: heaptrack heaptrack_print g++
# limit: 180
# replaces: libheaptrack_preload.so

set -euo pipefail

gcc -g -O1 -fno-builtin -pthread "$TESTS_DIR/counted.c" -o counted-c
g++ -g -O1 -fno-builtin "$TESTS_DIR/counted.cc" -o counted-cc

# What the file that heaptrack wrote says of blocks; but times, and places.
counts() {
    heaptrack_print --print-peaks no --print-allocators no --print-temporary no --print-leaks no \
        "$1"* >printed
    sed -nE 's/ \([^)]*\)$//; /^(calls to|temporary|peak heap|total memory leaked)/p' printed
}

for program in counted-c counted-cc; do
    rm -f data*
    under heaptrack -o data "./$program" >said 2>&1
    counts data
done

# Without its command: what the library writes, and one interpreter makes of it.
libheaptrack=$(compgen -G '/usr/lib/heaptrack/libheaptrack_preload.so')
interpret=$(compgen -G '/usr/lib/heaptrack/libexec/heaptrack_interpret')
for program in counted-c counted-cc; do
    rm -f raw
    DUMP_HEAPTRACK_OUTPUT=$PWD/raw UNDER_FIRST=$libheaptrack under "./$program"
    "$interpret" <raw >interpreted 2>/dev/null
    counts interpreted
done
UNDER_FIRST=$libheaptrack DUMP_HEAPTRACK_OUTPUT=$PWD/threads under ./counted-c threads
# After ours it sees nothing of the blocks. It does no harm.
for program in counted-c counted-cc; do
    DUMP_HEAPTRACK_OUTPUT=$PWD/raw UNDER_LAST=$libheaptrack under "./$program" threads
done
