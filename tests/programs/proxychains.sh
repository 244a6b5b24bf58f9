# does: proxychains, whose library makes connections go through a proxy, before the library and after it
# needs: proxychains4 curl python3 perl
# limit: 180

set -euo pipefail

under setpriv --pdeathsig KILL python3 "$TESTS_DIR/socks.py" >port 2>server.err &
server=$!
trap 'kill "$server"; wait "$server" || true; cat server.err >&2' EXIT
await "$server" . port

cat >proxychains.conf <<END
strict_chain
quiet_mode
proxy_dns
remote_dns_subnet 224
tcp_read_time_out 30000
tcp_connect_time_out 30000
[ProxyList]
socks5 127.0.0.1 $(<port)
END

fetch='
import threading, urllib.request
def get(n):
    answers[n] = urllib.request.urlopen("http://host%d.test:8080/%d" % (n, n * 100 + 1)).read()
answers = [b""] * 8
threads = [threading.Thread(target=get, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for answer in answers: print(len(answer), answer.splitlines()[-1])
'
under proxychains4 -q -f proxychains.conf curl -sS http://site.test/3
under proxychains4 -q -f proxychains.conf curl -sS 'http://site[1-8].test/2000' | sha256sum
under proxychains4 -q -f proxychains.conf curl -sS http://192.0.2.7:99/1
under proxychains4 -q -f proxychains.conf python3 -c "$fetch"
under proxychains4 -q -f proxychains.conf bash -c '(echo a child); (true | (echo deep | cat))'

libproxychains=$(compgen -G '/usr/lib/*/libproxychains.so.4')
export PROXYCHAINS_CONF_FILE=$PWD/proxychains.conf PROXYCHAINS_QUIET_MODE=1
for position in FIRST LAST; do
    export "UNDER_$position=$libproxychains"
    several
    under curl -sS http://site.test:81/3
    under python3 -c "$fetch"
    unset "UNDER_$position"
done
