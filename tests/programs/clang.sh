# does: Clang compiles C++ to the same objects, and what it made runs
# needs: clang++ objdump
# limit: 180

set -euo pipefail

cp "$TESTS_DIR/compile.cc" .
under clang++ -std=c++17 -O0 -g -c compile.cc -o debug.o
under clang++ -std=c++17 -O2 -g -Wall -Wextra -c compile.cc -o fast.o
under clang++ -std=c++17 -O2 -S compile.cc -o fast.s
under clang++ -std=c++17 -E compile.cc -o compile.ii
sha256sum debug.o fast.o fast.s compile.ii
under clang++ -pthread fast.o -o fast
under clang++ -pthread debug.o -o debug
under objdump -d -C fast | sha256sum
under ./fast
under ./debug
under clang++ -std=c++17 -fsyntax-only -DMISTAKE='int x = "text"' -include /dev/stdin compile.cc \
    <<<'template <class T> T f(T t) { return t.missing(); } MISTAKE; auto y = f(1);' 2>&1 |
    sha256sum
