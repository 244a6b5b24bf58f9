# does: arrays, strings, objects, cycles; with its own allocator and without
# needs: php

set -euo pipefail
under php -n "$TESTS_DIR/php.php"
USE_ZEND_ALLOC=0 under php -n "$TESTS_DIR/php.php"
