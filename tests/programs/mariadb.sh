# does: its tables made, many clients over PHP's mysqli, InnoDB, Aria, MEMORY, dump; started again
# needs: mariadbd mariadb-install-db mariadb php
# limit: 200

set -euo pipefail

common=(--no-defaults "--datadir=$PWD/data" --innodb-buffer-pool-size=32M --innodb-log-file-size=8M
    --innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync --innodb-doublewrite=0
    --aria-pagecache-buffer-size=8M --key-buffer-size=8M --lc-messages-dir=/usr/share/mysql)
unprivileged under mariadb-install-db "${common[@]}" --auth-root-authentication-method=normal \
    --skip-test-db >install.log 2>&1

start() {
    unprivileged setpriv --pdeathsig KILL under mariadbd "${common[@]}" --skip-networking \
        --socket="$PWD/socket" --pid-file="$PWD/pid" --max-connections=60 >server.log 2>&1 &
    server=$!
    until query 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$server" # or the test ends here
        sleep 0.1
    done
}

stop() {
    kill "$server" 2>/dev/null || true
    wait "$server" || true
    cat server.log >&2
}
trap stop EXIT

query() {
    under mariadb --no-defaults --socket="$PWD/socket" --user=root --batch --skip-column-names -e "$1" "${@:2}"
}

start
query 'CREATE DATABASE test'
export SOCKET=$PWD/socket
under php "$TESTS_DIR/mariadb.php" prepare
for client in $(seq 8); do
    under php "$TESTS_DIR/mariadb.php" work "$client" >"client$client" &
    clients[client]=$!
done
for client in "${clients[@]}"; do
    wait "$client"
done
cat client*
under php "$TESTS_DIR/mariadb.php" look
stop
start
under php "$TESTS_DIR/mariadb.php" look
query 'CHECKSUM TABLE account, item, log' test
query 'CHECK TABLE account, item, log' test
