# does: a name server's zones, transfers, updates and a resolver that caches, asked by dig
# needs: named dig nsupdate
# limit: 120

set -euo pipefail

awk 'BEGIN {
    print "$TTL 3600\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1"
    for (n = 1; n <= 2000; n++) {
        printf "host%d A 10.0.%d.%d\n", n, n / 250, n % 250
        printf "text%d TXT \"%0*d\"\n", n, n % 200 + 1, n
        if (n % 10 == 0) printf "alias%d CNAME host%d\n", n, n / 2
    }
}' >example.zone
cp example.zone changing.zone
[ "$(id -u)" -ne 0 ] || chown nobody changing.zone
awk 'BEGIN {
    for (n = 1; n <= 4000; n++) {
        if (n % 4 == 0) printf "update delete host%d.changing.test\n", n
        else printf "update add new%d.changing.test 60 A 10.1.%d.%d\n", n, n / 250, n % 250
        if (n % 100 == 0) print "send"
    }
}' >updates

# Starts the server on a free port, with the zones of this directory.
start() {
    for port in $(shuf -i 20000-32000 -n 10); do
        cat >named.conf <<END
options {
    directory "$PWD";
    pid-file none;
    session-keyfile none;
    listen-on port $port { 127.0.0.1; };
    listen-on-v6 { none; };
    recursion yes;
    allow-recursion { 127.0.0.1; };
    dnssec-validation no;
    empty-zones-enable no;
    notify no;
};
controls { };
key forwarded { algorithm hmac-sha256; secret "c2VjcmV0IG9mIGEga2V5"; };
view resolver {
    match-clients { key forwarded; };
    zone "." { type forward; forward only; forwarders { 127.0.0.1 port $port; }; };
};
view authoritative {
    recursion no;
    zone "example.test" { type primary; file "example.zone"; allow-transfer { any; }; };
    zone "changing.test" { type primary; file "changing.zone"; allow-transfer { any; };
        allow-update { any; }; };
};
END
        unprivileged setpriv --pdeathsig KILL under named -g -c named.conf -n 2 >server.log 2>&1 &
        server=$!
        for _ in $(seq 600); do
            if grep -q 'address in use' server.log || ! kill -0 "$server" 2>/dev/null; then
                break
            fi
            if [ "$(ask +tries=1 +timeout=1 ns.example.test 2>/dev/null)" = 127.0.0.1 ]; then
                return
            fi
            sleep 0.1
        done
        stop
    done
    exit 1
}

stop() {
    kill "$server" 2>/dev/null || true
    wait "$server" || true
    cat server.log >&2
}
trap stop EXIT

ask() {
    under dig @127.0.0.1 -p "$port" +short +tries=5 +timeout=10 "$@"
}
# Through the view that forwards to the other one and caches.
resolve() {
    ask -y hmac-sha256:forwarded:c2VjcmV0IG9mIGEga2V5 "$@"
}

start
for kind in host text alias; do
    seq -f "$kind%g.example.test" 10 10 2000 >names
    for how in +notcp +tcp +edns; do
        ask $how -t ANY -f names | sort | sha256sum
        resolve $how -t "$([ $kind = text ] && echo TXT || echo A)" -f names | sort | sha256sum
    done
done
ask missing.example.test
ask +noshort +noall +answer +nottlid alias20.example.test
ask -t AXFR +noshort +onesoa example.test | grep -v '^;' | sort | sha256sum
{ echo "server 127.0.0.1 $port"; cat updates; } >script
under nsupdate script
ask -t AXFR +noshort +onesoa changing.test | grep -v '^;' | grep -v SOA | sort | sha256sum
under named-checkzone -q example.test example.zone
under named-checkconf named.conf
