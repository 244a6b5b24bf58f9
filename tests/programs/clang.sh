# does: Clang compiles C++ to the same objects, and what it made runs
# needs: clang++
# long: yes
# limit: 180

set -euo pipefail

cp "$TESTS_DIR/compile.cc" .
under clang++ -std=c++17 -O0 -g -c compile.cc -o debug.o
under clang++ -std=c++17 -O2 -g -Wall -Wextra -c compile.cc -o fast.o
under clang++ -std=c++17 -E compile.cc -o compile.ii
sha256sum debug.o fast.o compile.ii
under clang++ -pthread fast.o -o fast
under clang++ -pthread debug.o -o debug
under ./fast
under ./debug
cat >wrong.cc <<'END'
#include <map>
#include <string>
template <class T> T f(T t) { return t.missing(); }
std::map<std::string, int> m = f(std::map<std::string, int>()) + 1 + "text";
END
! under clang++ -std=c++17 -c wrong.cc 2>errors
sha256sum errors
