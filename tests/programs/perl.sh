# does: hashes, regular expressions, sort, closures, threads, fork
# needs: perl

set -euo pipefail
PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0 under perl "$TESTS_DIR/perl.pl"
