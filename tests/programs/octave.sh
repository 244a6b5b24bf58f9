# does: Octave's matrices, cells, text, functions and files
# needs: octave-cli
# long: yes

set -euo pipefail
under octave-cli --norc --no-history "$TESTS_DIR/churn.m"
