# does: json, re, pickle, threads, processes, ctypes; with its own small-block allocator and without
# needs: python3
# long: partly

set -euo pipefail
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
for allocator in ${WHOLE:+default} malloc; do
    echo "== $allocator"
    PYTHONMALLOC=$allocator under python3 "$TESTS_DIR/cpython.py"
done
