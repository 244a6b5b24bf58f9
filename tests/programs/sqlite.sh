# does: rows in and out, indexes, joins, windows, text search, vacuum
# needs: sqlite3
# long: partly

set -euo pipefail
rows=40000
[ -z "$WHOLE" ] || rows=200000
sed "s/ROWS/$rows/" "$TESTS_DIR/sqlite.sql" >test.sql
under sqlite3 test.db <test.sql
under sqlite3 test.db "PRAGMA integrity_check; SELECT count(*), sum(id) FROM item;"
under sqlite3 test.db .dump >dump.sql
sha256sum <dump.sql
under sqlite3 -cmd 'PRAGMA synchronous = off' copy.db <dump.sql
under sqlite3 copy.db .dump | cmp - dump.sql
