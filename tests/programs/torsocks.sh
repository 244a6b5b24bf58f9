# does: torsocks, whose library takes locks around system calls, before the library and after it
# needs: torsocks curl python3 perl
# limit: 180

set -euo pipefail

under setpriv --pdeathsig KILL python3 "$TESTS_DIR/socks.py" >port 2>server.err &
server=$!
trap 'kill "$server"; wait "$server" || true; cat server.err >&2' EXIT
await "$server" . port
port=$(<port)

fetch='
import sys, threading, urllib.request
def get(n):
    answers[n] = urllib.request.urlopen("http://host%d.test:8080/%d" % (n, n * 100 + 1)).read()
answers = [b""] * 8
threads = [threading.Thread(target=get, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for answer in answers: print(len(answer), answer.splitlines()[-1])
'
under torsocks --port "$port" true
under torsocks --port "$port" curl -sS http://site.test/3
under torsocks --port "$port" curl -sS 'http://site[1-8].test/2000' | sha256sum
under torsocks --port "$port" python3 -c "$fetch"
under torsocks --port "$port" curl -sS -o /dev/null http://127.0.0.1/ 2>refused || echo "refused"
under torsocks --port "$port" bash -c '(echo a child); (true | (echo deep | cat))'

libtorsocks=$(compgen -G '/usr/lib/*/torsocks/libtorsocks.so')
export TORSOCKS_TOR_PORT=$port TORSOCKS_LOG_LEVEL=1
for position in FIRST LAST; do
    export "UNDER_$position=$libtorsocks"
    several
    under curl -sS http://site.test:81/3
    under python3 -c "$fetch"
    unset "UNDER_$position"
done
