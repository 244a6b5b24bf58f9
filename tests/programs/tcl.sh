# does: lists, dicts, strings, arrays, threads, big numbers
# needs: tclsh

set -euo pipefail
under tclsh "$TESTS_DIR/tcl.tcl"
