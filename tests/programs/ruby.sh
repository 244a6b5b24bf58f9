# does: objects, strings, garbage collection and compaction, threads, fork
# needs: ruby

set -euo pipefail
under ruby --disable=gems "$TESTS_DIR/ruby.rb"
