# does: GCC compiles C++ to the same objects, and what it made runs
# needs: g++ objdump
# limit: 180

set -euo pipefail

cp "$TESTS_DIR/compile.cc" .
under g++ -std=c++17 -O0 -g -c compile.cc -o debug.o
under g++ -std=c++17 -O2 -g -Wall -Wextra -c compile.cc -o fast.o
under g++ -std=c++17 -O2 -S compile.cc -o fast.s
under g++ -std=c++17 -E compile.cc -o compile.ii
sha256sum debug.o fast.o fast.s compile.ii
under g++ -pthread fast.o -o fast
under g++ -pthread debug.o -o debug
under objdump -d -C fast | sha256sum
under ./fast
under ./debug
under g++ -std=c++17 -fsyntax-only -DMISTAKE='int x = "text"' -include /dev/stdin compile.cc \
    <<<'template <class T> T f(T t) { return t.missing(); } MISTAKE; auto y = f(1);' 2>&1 |
    sha256sum
