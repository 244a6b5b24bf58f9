# does: GCC compiles C++ to the same objects, and what it made runs
# needs: g++
# long: partly
# limit: 180

set -euo pipefail

cp "$TESTS_DIR/compile.cc" .
under g++ -std=c++17 -O0 -g -c compile.cc -o debug.o
under g++ -std=c++17 -E compile.cc -o compile.ii
sha256sum debug.o compile.ii
under g++ -pthread debug.o -o debug
under ./debug
if [ -n "$WHOLE" ]; then
    under g++ -std=c++17 -O2 -g -Wall -Wextra -c compile.cc -o fast.o
    sha256sum fast.o
    under g++ -pthread fast.o -o fast
    under ./fast
fi
cat >wrong.cc <<'END'
#include <map>
#include <string>
template <class T> T f(T t) { return t.missing(); }
std::map<std::string, int> m = f(std::map<std::string, int>()) + 1 + "text";
END
! under g++ -std=c++17 -c wrong.cc 2>errors
sha256sum errors
