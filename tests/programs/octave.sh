# does: Octave's matrices, cells, text, functions and files
# needs: octave-cli
# limit: 120
# long: yes

set -euo pipefail
under octave-cli --norc --no-history "$TESTS_DIR/churn.m"
