# does: downloads and uploads over loopback, from Python's server
# needs: curl python3

set -euo pipefail

mkdir site
seq 400000 >site/numbers
for n in $(seq 40); do
    seq "$n" 3000 >"site/page$n"
done
PYTHONUNBUFFERED=1 setpriv --pdeathsig KILL under python3 -m http.server --bind 127.0.0.1 \
    --directory site 0 >server.log 2>server.err &
server=$!
trap 'kill "$server"; wait "$server" || true' EXIT
await "$server" ' port [0-9]* ' server.log
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' server.log)
url=http://127.0.0.1:$port
under curl -sS --noproxy '*' "$url/numbers" | sha256sum
under curl -sS --noproxy '*' --parallel --parallel-max 8 --create-dirs -o 'got/#1' "$url/page[1-40]"
diff -r <(cd got && sha256sum ./* | sed 's/\.\//page/' | sort -k 2) \
    <(cd site && sha256sum page* | sort -k 2) && echo same
under curl -sS --noproxy '*' -r 1000-1999 "$url/numbers" | sha256sum
under curl -sS --noproxy '*' -o /dev/null -w '%{http_code}\n' "$url/missing"
# The server refuses at the head, and hangs up: a body that was sent by then would be an error, or none.
under curl -sS --noproxy '*' --expect100-timeout 600 -o /dev/null -w '%{http_code}\n' \
    -d @site/numbers "$url/numbers"
grep -v '" [0-9]* -$\|code 404\|code 501' server.err >&2 || true
