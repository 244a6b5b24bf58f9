# does: R: vectors and frames, matrices by LAPACK, regular expressions, forked workers, saved objects
# needs: R Rscript
# limit: 120
# binds: /usr/lib/R/bin/exec/R
# long: yes

set -euo pipefail

under Rscript --vanilla "$TESTS_DIR/churn.R"
R_GC_MEM_GROW=0 under Rscript --vanilla -e 'gctorture2(500)' -e "source('$TESTS_DIR/small.R')"
under R --vanilla --no-echo --args <"$TESTS_DIR/small.R"
