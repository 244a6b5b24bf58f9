# does: FastCGI workers that come and go, behind a socket; nginx before them; a reload
# needs: /usr/sbin/php-fpm* cgi-fcgi nginx curl
# limit: 120

set -euo pipefail

# Debian has a name for each version.
fpm=$(basename "$(compgen -G '/usr/sbin/php-fpm*' | sort -V | tail -n 1)")
cat >page.php <<'END'
<?php
$lists = [];
for ($i = 0; $i < 3000; $i++) {
    $lists[$i % 100][] = str_repeat((string) $i, $i % 50);
}
header('X-Lists: ' . count($lists));
echo $_GET['n'] ?? '', ' ', md5(serialize($lists)), ' ', strlen(file_get_contents('php://input')), "\n";
END
cat >fpm.conf <<END
[global]
error_log = $PWD/fpm.log
log_level = warning
process_control_timeout = 30s
[pool]
listen = $PWD/fpm.sock
pm = dynamic
pm.max_children = 4
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 2
pm.max_requests = 15
pm.status_path = /status
clear_env = no
END
cat >nginx.conf <<END
daemon off;
pid $PWD/nginx.pid;
error_log stderr warn;
events { }
http {
    access_log off;
    client_body_temp_path $PWD/tmp/body;
    fastcgi_temp_path $PWD/tmp/fastcgi;
    proxy_temp_path $PWD/tmp/proxy;
    scgi_temp_path $PWD/tmp/scgi;
    uwsgi_temp_path $PWD/tmp/uwsgi;
    server {
        listen unix:$PWD/web.sock;
        client_max_body_size 10m;
        location / {
            fastcgi_pass unix:$PWD/fpm.sock;
            fastcgi_param SCRIPT_FILENAME $PWD/page.php;
            fastcgi_param QUERY_STRING \$query_string;
            fastcgi_param REQUEST_METHOD \$request_method;
            fastcgi_param CONTENT_TYPE \$content_type;
            fastcgi_param CONTENT_LENGTH \$content_length;
        }
    }
}
END

unprivileged setpriv --pdeathsig KILL under "$fpm" --nodaemonize --fpm-config fpm.conf >fpm.out 2>&1 &
fpm_pid=$!
unprivileged setpriv --pdeathsig KILL nginx -p "$PWD" -c "$PWD/nginx.conf" >nginx.log 2>&1 &
nginx_pid=$!
stop() {
    kill -QUIT "$fpm_pid" "$nginx_pid" 2>/dev/null || true
    wait "$fpm_pid" "$nginx_pid" || true
    cat fpm.log fpm.out nginx.log >&2
}
trap stop EXIT

until_served() {
    while [ "$(curl -s --unix-socket web.sock -o /dev/null -w '%{http_code}' http://x/)" != 200 ]; do
        kill -0 "$fpm_pid" "$nginx_pid" # or the test ends here
        sleep 0.1
    done
}

asked() {
    SCRIPT_FILENAME=$PWD/$1 SCRIPT_NAME=/$1 QUERY_STRING=$2 REQUEST_METHOD=GET \
        cgi-fcgi -bind -connect fpm.sock | tr -d '\r'
}

until_served
for n in $(seq 40); do
    asked page.php "n=$n"
done
head -c 3000000 /dev/zero >upload
for round in 1 2; do
    curl -sS --unix-socket web.sock --parallel --parallel-max 4 "http://x/?n=[1-60]" | sort
    curl -sS --unix-socket web.sock --data-binary @upload "http://x/?n=upload$round"
    kill -USR2 "$fpm_pid" # reload: it executes itself
    until_served
done
SCRIPT_FILENAME=/status SCRIPT_NAME=/status REQUEST_METHOD=GET cgi-fcgi -bind -connect fpm.sock |
    grep -a -E '^(pool|process manager):'
