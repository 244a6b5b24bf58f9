# does: extensions that PHP opens with RTLD_DEEPBIND: mysqli, curl, PDO, FFI, OPcache and its compiler
# needs: php
# limit: 120

set -euo pipefail
under php "$TESTS_DIR/php-extensions.php"
USE_ZEND_ALLOC=0 under php "$TESTS_DIR/php-extensions.php"
for compiler in disable tracing; do
    under php -d opcache.enable_cli=1 -d opcache.jit=$compiler -d opcache.jit_buffer_size=16M \
        "$TESTS_DIR/php-extensions.php"
done
