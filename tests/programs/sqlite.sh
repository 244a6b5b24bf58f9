# does: 200,000 rows in and out, indexes, joins, windows, text search, vacuum
# needs: sqlite3

set -euo pipefail
under sqlite3 test.db <"$TESTS_DIR/sqlite.sql"
under sqlite3 test.db "PRAGMA integrity_check; SELECT count(*), sum(id) FROM item;"
under sqlite3 test.db .dump >dump.sql
sha256sum <dump.sql
under sqlite3 -cmd 'PRAGMA synchronous = off' copy.db <dump.sql
under sqlite3 copy.db .dump | cmp - dump.sql
