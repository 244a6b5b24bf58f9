# does: SBCL compiles, conses, runs threads, calls C's malloc, and saves its heap as a program
# needs: sbcl
# limit: 120

set -euo pipefail

under sbcl --dynamic-space-size 512 --script "$TESTS_DIR/churn.lisp"
cp "$TESTS_DIR/churn.lisp" .
under sbcl --dynamic-space-size 512 --noinform --non-interactive --no-sysinit --no-userinit \
    --eval '(let ((*standard-output* (make-broadcast-stream))) (load (compile-file "churn.lisp")))' \
    --eval '(save-lisp-and-die "churn" :toplevel (lambda () (main) (exit)) :executable t)' >saved.log
under ./churn
