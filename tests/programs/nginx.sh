# does: files, compression, TLS, a proxy with its cache, threads for files, a reload under requests
# needs: nginx curl openssl
# limit: 120

set -euo pipefail

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
    -days 2 -keyout key.pem -out cert.pem 2>/dev/null
chmod a+r key.pem
mkdir site
seq 200000 >site/numbers.txt
for n in $(seq 40); do
    seq "$n" 2000 >"site/page$n.txt"
done
cat >nginx.conf <<END
daemon off;
pid $PWD/nginx.pid;
error_log stderr error;
worker_processes 2;
thread_pool default threads=2;
events { worker_connections 100; }
http {
    access_log off;
    client_body_temp_path $PWD/tmp/body;
    fastcgi_temp_path $PWD/tmp/fastcgi;
    proxy_temp_path $PWD/tmp/proxy;
    scgi_temp_path $PWD/tmp/scgi;
    uwsgi_temp_path $PWD/tmp/uwsgi;
    proxy_cache_path $PWD/tmp/cache keys_zone=cache:1m;
    types { text/plain txt; }
    root $PWD/site;
    server {
        listen unix:$PWD/plain.sock;
        aio threads;
        gzip on;
        location /found { return 200 "\$request_method \$arg_n \$http_x_number\n"; }
        location / { sub_filter 1 one; sub_filter_once off; sub_filter_types *; ssi on; }
    }
    server {
        listen unix:$PWD/tls.sock ssl http2;
        server_name localhost;
        ssl_certificate $PWD/cert.pem;
        ssl_certificate_key $PWD/key.pem;
        location / { proxy_pass http://unix:$PWD/plain.sock:/; proxy_cache cache; proxy_cache_valid 1h; }
    }
}
END

unprivileged setpriv --pdeathsig KILL under nginx -p "$PWD" -c "$PWD/nginx.conf" >nginx.log 2>&1 &
server=$!
trap 'kill -QUIT "$server" 2>/dev/null || true; wait "$server" || true; cat nginx.log >&2' EXIT
until [ -S tls.sock ] && [ -S plain.sock ] && [ -s nginx.pid ]; do
    kill -0 "$server" # or the test ends here
    sleep 0.1
done

plain() {
    curl -sS --unix-socket plain.sock "$@"
}
tls() {
    curl -sS --unix-socket tls.sock --cacert cert.pem "$@"
}

plain http://localhost/numbers.txt | sha256sum
plain --compressed http://localhost/numbers.txt | sha256sum
plain -r 1000-1999,5000-5999 http://localhost/page2.txt | grep -v -e '^--' -e '^Content' | sha256sum
plain -w '%{http_code}\n' -o missing http://localhost/missing
plain -H 'X-Number: 7' "http://localhost/found?n=[1-100]"
for round in 1 2 3; do
    tls --parallel --parallel-max 20 --create-dirs -o "got$round/#1" "https://localhost/page[1-40].txt?$round"
    (cd "got$round" && sha256sum -- * | sort -k 2 | sha256sum)
    tls --http1.1 "https://localhost/page[1-40].txt" | sha256sum
    tls --http2 -w '%{http_version} %{http_code}\n' -o /dev/null https://localhost/numbers.txt
    # New workers; those there are serve to the end what they have begun.
    kill -HUP "$server"
    plain --parallel "http://localhost/found?n=[1-50]" | sort | sha256sum
done
