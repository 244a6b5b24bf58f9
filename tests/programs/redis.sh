# does: a server on loopback under its benchmark client; then its data, saved and loaded again
# needs: redis-server redis-cli redis-benchmark
# limit: 120

set -euo pipefail

# Starts the server on a free port with the data of this directory. It rewrites its log when it is asked to,
# and not by itself: how much it has written by then depends on time.
start() {
    for port in $(shuf -i 20000-32000 -n 10); do
        setpriv --pdeathsig KILL under redis-server --bind 127.0.0.1 --port "$port" --dir "$PWD" \
            --save "" --appendonly yes --auto-aof-rewrite-percentage 0 --loglevel warning \
            --enable-debug-command yes >server.log 2>&1 &
        server=$!
        while kill -0 "$server" 2>/dev/null; do # else the port was taken
            ! answers || return 0
            sleep 0.1
        done
    done
    cat server.log >&2
    exit 1
}

# Whether this server, not another one on its port, has loaded its data.
answers() {
    [ "$(timeout 10 redis-cli -p "$port" ping 2>/dev/null)" = PONG ] &&
        [ "$(redis-cli -p "$port" info server | tr -d '\r' | sed -n 's/^process_id://p')" = "$server" ]
}

cli() {
    under redis-cli -p "$port" "$@"
}

stop() {
    cli shutdown || true
    wait "$server"
    cat server.log >&2
}

start
# Without -r every client writes the same keys: what is left is known. Then random keys.
under redis-benchmark -p "$port" -q -n 20000 -c 40 -P 8 -d 100 \
    -t set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,zadd,lrange_100,mset >benchmark.log
under redis-benchmark -p "$port" -q -n 40000 -c 40 -P 8 -d 1000 -r 20000 --dbnum 1 --threads 2 \
    -t set,get,lpush,lpop,sadd,hset,spop,zadd,zpopmin >>benchmark.log
grep -c 'requests per second' benchmark.log
cli -n 1 flushdb

cli --eval "$TESTS_DIR/redis.lua"
cli bgrewriteaof # a child copies the data while it changes
cli --eval "$TESTS_DIR/redis.lua"
while grep -q 'aof_rewrite_in_progress:1\|aof_rewrite_scheduled:1' <<<"$(cli info persistence)"; do
    sleep 0.1
done
cli info persistence | grep 'aof_last_.*status' | tr -d '\r'
cli llen mylist
cli get counter:__rand_int__
cli dbsize
cli debug digest
cli debug reload
cli debug digest
cli memory purge
stop

start
cli dbsize
cli debug digest
cli flushall async
stop
