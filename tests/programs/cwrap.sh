# does: cwrap's libraries for users, names and sockets, before the library and after it
# needs: /usr/lib/*/libuid_wrapper.so /usr/lib/*/libnss_wrapper.so /usr/lib/*/libsocket_wrapper.so
# needs: python3 curl perl
# limit: 180

set -euo pipefail

echo 'alice:x:1234:5678:Alice:/home/alice:/bin/sh' >passwd
echo 'staff:x:5678:alice' >group
echo '127.0.0.17 web.example' >hosts
mkdir sockets site
seq 20000 >site/numbers

users='
import os, pwd, threading
def work(n):
    for i in range(30):
        os.setresuid(n, n, n)
        blocks = [bytes(size) for size in range(1, 3000, 7)]
        assert os.getuid() == n
        os.setresuid(0, 0, 0)
threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
for thread in threads:  # one after the other: the user is the whole process
    thread.start()
    thread.join()
os.setgroups([1, 2, 3])
print(os.getuid(), os.getgid(), sorted(os.getgroups()))
child = os.fork()
if child == 0:
    os.setresuid(5, 6, 7)
    print(os.getresuid(), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
'
names='
import pwd, grp, socket
print(pwd.getpwnam("alice"), pwd.getpwuid(1234).pw_name, [user.pw_name for user in pwd.getpwall()])
print(grp.getgrgid(5678), socket.gethostbyname("web.example"))
'

# What each library does by itself, in both places; then all of them.
export UID_WRAPPER_ROOT=1 NSS_WRAPPER_PASSWD=$PWD/passwd NSS_WRAPPER_GROUP=$PWD/group \
    NSS_WRAPPER_HOSTS=$PWD/hosts SOCKET_WRAPPER_DEFAULT_IFACE=17
for position in FIRST LAST; do
    export "UNDER_$position=libuid_wrapper.so" UID_WRAPPER=1
    several
    under python3 -c "$users"
    under bash -c '(echo hi); true'
    export "UNDER_$position=libnss_wrapper.so"
    several
    under python3 -c "$names"
    export "UNDER_$position=libsocket_wrapper.so" SOCKET_WRAPPER_DIR=$PWD/sockets
    several
    export "UNDER_$position=libsocket_wrapper.so libnss_wrapper.so libuid_wrapper.so"
    under python3 -c "$users$names"

    # Addresses and ports are files: port 80 of this one is nobody else's.
    PYTHONUNBUFFERED=1 under setpriv --pdeathsig KILL python3 -m http.server --bind 127.0.0.17 \
        --directory site 80 >server.log 2>server.err &
    server=$!
    await "$server" 'port 80 ' server.log
    for _ in 1 2 3; do
        under curl -sS --noproxy '*' http://web.example/numbers | sha256sum
    done
    kill "$server"
    wait "$server" || true
    grep -v '" 200 -$' server.err >&2 || true
    unset "UNDER_$position" UID_WRAPPER SOCKET_WRAPPER_DIR
    rm -rf sockets/*
done
