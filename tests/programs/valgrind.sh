# does: Valgrind: Memcheck sees the same blocks, no error and the errors that are there; other tools run
# needs: valgrind g++
# long: partly
# limit: 300

set -euo pipefail

gcc -g -O1 -fno-builtin -DWITH_MEMALIGN -pthread "$TESTS_DIR/counted.c" -o counted-c
g++ -g -O1 -fno-builtin "$TESTS_DIR/counted.cc" -o counted-cc
cat >wrong.c <<'END'
#include <stdlib.h>

int main(void)
{
    char *volatile lost = malloc(100);
    char *volatile block = reallocarray(NULL, 10, 10);
    block[100] = 1;
    free(block);
    block[0] = 2;
    free(block);
    lost = NULL;
    return lost != NULL;
}
END
gcc -g -O1 -fno-builtin -w wrong.c -o wrong

# summary PROGRAM [OPTION...]
summary() {
    local program=$1
    shift
    under valgrind --leak-check=full "$@" "./$program" 2>said >&2 || true
    sed -nE 's/^==[0-9]+== *//; /total heap usage|lost:|reachable:|^Invalid|ERROR SUMMARY/p' said
}

for program in ${WHOLE:+counted-c} counted-cc wrong; do
    summary "$program"
done

# The library's own malloc, run by Valgrind: Memcheck without its replacement, and the tools that have none.
tools=('memcheck --undef-value-errors=no')
[ -z "$WHOLE" ] || tools+=(none callgrind)
for tool in "${tools[@]}"; do
    # shellcheck disable=SC2086 # options
    under valgrind --quiet --soname-synonyms=somalloc=nouserintercepts --tool=$tool ./counted-cc 2>said
    grep -E 'Invalid|rror' said || true
done
under valgrind --quiet --tool=helgrind ./counted-c threads 2>said
