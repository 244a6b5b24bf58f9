# does: tables, strings, closures, coroutines, garbage collection
# needs: lua5.4

set -euo pipefail
under lua5.4 "$TESTS_DIR/lua.lua"
