# does: JSON, buffers, zlib and crypto on the thread pool, workers, loopback HTTP, child processes
# needs: node

set -euo pipefail
under node "$TESTS_DIR/node.js"
