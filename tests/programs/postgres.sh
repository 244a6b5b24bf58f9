# does: initdb, pgbench with its sums checked, large queries, parallel ones, dump and restore
# needs: psql pg_createcluster setpriv
# long: partly
# limit: 500

set -euo pipefail

bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
as_user=()
if [ "$(id -u)" -eq 0 ]; then # which the server refuses
    chown postgres: .
    as_user=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi

pg() {
    local program=$1
    shift
    "${as_user[@]}" under "$bin/$program" "$@"
}

query() {
    pg psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}

export PGHOST=$PWD PGDATABASE=postgres PGDATA=$PWD/data
pg initdb --no-sync --auth=trust --username="$("${as_user[@]}" id -un)" --encoding=UTF8 \
    --locale=C >initdb.log

# In this script's process group, not as a daemon: it can't outlive the test.
"${as_user[@]}" under "$bin/postgres" -k "$PWD" -c listen_addresses= -c fsync=off -c autovacuum=off -c shared_buffers=32MB \
    -c max_parallel_workers_per_gather=2 -c min_parallel_table_scan_size=0 \
    -c parallel_setup_cost=0 -c parallel_tuple_cost=0 -c synchronize_seqscans=off -c jit=off \
    -c log_min_messages=warning \
    >server.log 2>&1 &
server=$!
trap 'kill -INT "$server" 2>/dev/null; wait "$server" || true; cat server.log >&2' EXIT
until pg pg_isready -q; do
    kill -0 "$server"
    sleep 0.1
done

transactions=100 scale=1
[ -z "$WHOLE" ] || transactions=250 scale=3
pg pgbench --initialize --scale=$scale --quiet 2>init.log
pg pgbench --client=8 --jobs=2 --transactions=$transactions --max-tries=10 >pgbench.log 2>&1
grep -o 'actually processed: .*' pgbench.log
pg pgbench --client=4 --jobs=2 --transactions=$((2 * transactions)) --select-only --protocol=prepared \
    >pgbench.log 2>&1
grep -o 'actually processed: .*' pgbench.log
# Every transaction adds the same to an account, a teller and a branch.
query -c "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(tbalance) FROM pgbench_tellers),
    (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches),
    (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history),
    (SELECT count(*) FROM pgbench_history), (SELECT count(*) FROM pgbench_accounts)"

sed "s/ROWS/$((240 * transactions))/" "$TESTS_DIR/postgres.sql" >test.sql
query -f test.sql
pg pg_dump --table=item --table=document >dump.sql
grep -v '^--\|^\\' dump.sql | sha256sum
pg createdb copy
query -d copy -f dump.sql >/dev/null
query -d copy -c "SELECT count(*), sum(id) FROM item"
