# does: memusage counts the same calls and bytes, of C's names and of C++'s; before the library and after it
# needs: memusage g++
# limit: 180
# replaces: libmemusage.so

set -euo pipefail

# memusage has none of the names that align. Of their blocks its free reads the 16 bytes before: they
# belong to nobody, and only libc's malloc always has memory there.
gcc -g -O1 -fno-builtin -DWITHOUT_ALIGNED -pthread "$TESTS_DIR/counted.c" -o counted-c
g++ -g -O1 -fno-builtin -DWITHOUT_ALIGNED "$TESTS_DIR/counted.cc" -o counted-cc

# memusage puts its library into LD_PRELOAD in place of what is there. So this is in place of memusage.
for program in counted-c counted-cc; do
    UNDER_FIRST=libmemusage.so under "./$program" 2>printed
    # Whether realloc moves a block is malloc's own affair.
    sed 's/\x1b\[[0-9;]*m//g; s/(nomove.*//' printed | grep -E '^ *(malloc|realloc|calloc|free)\||heap total'
    # After ours it sees nothing of the blocks. It does no harm.
    UNDER_LAST=libmemusage.so under "./$program" threads 2>/dev/null
done
