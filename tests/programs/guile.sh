# does: Guile's interpreter and compiler: its collector's heap, threads, big integers, text
# needs: guile
# limit: 120

set -euo pipefail

export GUILE_AUTO_COMPILE=0
under guile --no-debug "$TESTS_DIR/guile.scm"
cp "$TESTS_DIR/guile.scm" .
under guile -c '(use-modules (system base compile)) (compile-file "guile.scm" #:output-file "guile.go")'
under guile -c '(load-compiled "./guile.go")'
