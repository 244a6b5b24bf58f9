# does: CMake configures and GNU make builds, two jobs at a time, a program with a generated source
# needs: make cmake g++
# long: yes
# limit: 300

set -euo pipefail

for n in $(seq 24); do
    printf '#include <stdio.h>\nint f%d(int x)\n{\n    return x * %d + 1;\n}\n' "$n" "$n" >"f$n.c"
done
cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.18)
project(Many LANGUAGES C)
include(CheckSymbolExists)
check_symbol_exists(strlcpy_not string.h HAVE_NOT)
file(GLOB sources f*.c)
list(SORT sources)
set(calls "")
foreach(n RANGE 1 24)
  string(APPEND calls "int f${n}(int);\n")
  string(APPEND sum " + f${n}(${n})")
endforeach()
foreach(n RANGE 1 3000)
  list(APPEND numbers "${n}")
  string(REGEX REPLACE "([0-9])" "<\\1>" text "${numbers}")
endforeach()
string(SHA256 hash "${text}")
message(STATUS "hash ${hash}")
file(WRITE ${CMAKE_BINARY_DIR}/main.c
  "#include <stdio.h>\n${calls}int main(void)\n{\n    printf(\"%d\\n\", 0${sum});\n}\n")
add_library(many STATIC ${sources})
add_executable(main ${CMAKE_BINARY_DIR}/main.c)
target_link_libraries(main many)
enable_testing()
add_test(NAME runs COMMAND main)
END
under cmake -S . -B build -DCMAKE_BUILD_TYPE=Release 2>&1 | grep -e '-- hash'
under make -C build -j 2 -s >build.log
under ./build/main
under make -C build -s -j 2 -n | wc -l
(cd build && under ctest 2>&1 | grep 'tests passed')

cat >Makefile <<'END'
words := $(foreach a,$(shell seq 40),$(foreach b,1 2 3 4 5 6 7 8,word$(a).$(b)))
all: $(words:%=%.out) ; @echo $(words $(sort $^)) $(lastword $(sort $(patsubst word%,%,$^)))
%.out: ; @echo $(subst .,-,$*) >$@
END
under make -j 2
cat word*.out | sha256sum
