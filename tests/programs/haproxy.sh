# does: threads, TLS, compression, stick tables, its statistics; a reload of its worker
# needs: haproxy curl openssl
# limit: 120

set -euo pipefail

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
    -days 2 -keyout key.pem -out cert.pem 2>/dev/null
cat cert.pem key.pem >both.pem
chmod a+r both.pem
seq 2000 >numbers
# conf THREADS
conf() {
    cat <<END
global
    nbthread $1
    stats socket $PWD/admin.sock mode 666 level admin
    tune.ssl.default-dh-param 2048
    hard-stop-after 20s
defaults
    mode http
    timeout connect 30s
    timeout client 30s
    timeout server 30s
    compression algo gzip
    compression type text/plain
frontend outer
    bind unix@$PWD/tls.sock mode 666 ssl crt $PWD/both.pem alpn h2,http/1.1
    bind unix@$PWD/plain.sock mode 666
    stick-table type string len 40 size 1000 store http_req_cnt
    http-request track-sc0 path
    http-request set-header X-Reversed %[path,field(2,/),sha1,hex]
    http-request return status 404 if { path_beg /missing }
    http-response set-header X-Served-By %s
    default_backend inner
backend inner
    balance roundrobin
    http-reuse never # a worker of 2.6 with idle connections of two threads crashes as it ends
    server first unix@$PWD/inner.sock
    server second unix@$PWD/inner.sock
frontend answers
    bind unix@$PWD/inner.sock
    http-request return status 200 content-type text/plain file $PWD/numbers if { path /numbers }
    http-request return status 200 content-type text/plain lf-string "%[path] %[req.hdr(X-Reversed)]\n"
END
}
for threads in 1 2; do
    conf $threads >$threads.conf
    under haproxy -c -q -f $threads.conf
done

cat 1.conf >haproxy.conf
unprivileged setpriv --pdeathsig KILL under haproxy -W -f haproxy.conf >haproxy.log 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" || true; cat haproxy.log >&2' EXIT
until_served() {
    until curl -s --unix-socket plain.sock -o /dev/null http://localhost/; do
        kill -0 "$server" # or the test ends here
        sleep 0.1
    done
}

plain() {
    curl -sS --unix-socket plain.sock "$@"
}
tls() {
    curl -sS --unix-socket tls.sock --cacert cert.pem "$@"
}

until_served
for round in 1 2 3 4; do
    plain http://localhost/numbers | sha256sum
    plain --compressed http://localhost/numbers | sha256sum
    plain --parallel --parallel-max 20 "http://localhost/page[1-200]" | sort | sha256sum
    tls --http1.1 --parallel --parallel-max 10 "https://localhost/page[1-60]" | sort | sha256sum
    tls --http2 -w '%{http_version} %{http_code}\n' -o /dev/null https://localhost/numbers
    plain -w '%{http_code}\n' -o /dev/null http://localhost/missing
    if [ $round -lt 4 ]; then
        cat $((round / 2 + 1)).conf >haproxy.conf
        kill -USR2 "$server" # a new worker, which gets the sockets
        until_served
        until [ "$(grep -c 'Former worker' haproxy.log)" -eq $round ]; do
            kill -0 "$server"
            sleep 0.1
        done
    fi
done
# Those of one thread. A worker of 2.6 with two may crash as it closes its sockets at its end, with any malloc.
grep -o 'Former worker .*' haproxy.log | sed 's/([0-9]*) //' | head -2
