# does: OpenSSH over loopback: the server's sandboxed child, commands, files, forwarding, keys
# needs: /usr/sbin/sshd ssh sftp scp ssh-keygen ssh-agent
# long: partly
# limit: 300

set -euo pipefail

user=$(id -un)
pam=no
if [ "$(id -u)" -eq 0 ]; then
    mkdir -p /run/sshd # where the sandboxed child is confined; the machine's service makes it, too
    # Without PAM a locked account is refused. In a container PAM may refuse what it cannot write down.
    ! getent shadow "$user" | grep -q '^[^:]*:!' || pam=yes
fi
for type in ed25519 ecdsa rsa; do
    under ssh-keygen -q -t "$type" -N '' -C "$type" -f "host_$type"
done
under ssh-keygen -q -t ed25519 -N '' -C tester -f id
cp id.pub authorized_keys

# The server, on a free port; its log tells that it listens, or that somebody else does.
start() {
    for port in $(shuf -i 20000-32000 -n 10); do
        cat >sshd_config <<END
Port $port
ListenAddress 127.0.0.1
HostKey $PWD/host_ed25519
HostKey $PWD/host_ecdsa
HostKey $PWD/host_rsa
AuthorizedKeysFile $PWD/authorized_keys
PidFile none
StrictModes no
UsePAM $pam
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AcceptEnv LC_TEST
PermitUserRC no
PrintMotd no
PrintLastLog no
MaxStartups 100
LoginGraceTime 0
Compression yes
RekeyLimit 1M
Subsystem sftp internal-sftp
END
        under setpriv --pdeathsig KILL /usr/sbin/sshd -D -e -f "$PWD/sshd_config" 2>server.log &
        server=$!
        ! await "$server" '^Server listening' server.log || return 0 # else the port was taken
    done
    cat server.log >&2
    return 1
}

trap '[ -z "${agent-}" ] || kill "$agent"; kill "$server" 2>/dev/null; wait "$server" || true' EXIT
start
awk -v port="$port" '{ print "[127.0.0.1]:" port, $1, $2 }' host_*.pub >known_hosts
cat >config <<END
Host box
    HostName 127.0.0.1
    Port $port
Host box pipe
    User $user
    IdentityFile $PWD/id
    IdentitiesOnly yes
    UserKnownHostsFile $PWD/known_hosts
    GlobalKnownHostsFile none
    HostKeyAlias [127.0.0.1]:$port
    StrictHostKeyChecking yes
    BatchMode yes
    LogLevel ERROR
END
seq 100000 >numbers

# Each connection has a child of its own for what comes before the log-in, in a sandbox that kills it if
# it asks the kernel for what is not on the server's list. Compression makes it allocate the most.
options=(Compression=yes KexAlgorithms=ecdh-sha2-nistp521 HostKeyAlgorithms=rsa-sha2-512)
[ -z "$WHOLE" ] || options+=(Ciphers=aes256-gcm@openssh.com Ciphers=chacha20-poly1305@openssh.com
    KexAlgorithms=diffie-hellman-group16-sha512 HostKeyAlgorithms=ecdsa-sha2-nistp256)
for option in "${options[@]}"; do
    under ssh -F config -o "$option" box "cat; echo '$option'" <numbers | sha256sum
done
for n in $(seq 4); do
    under ssh -F config box "echo $n" >"said$n" &
    clients[n]=$!
done
for n in $(seq 4); do
    wait "${clients[n]}"
    cat "said$n"
done
! under ssh -F config -o IdentityFile=host_rsa box true 2>/dev/null || echo "was let in"
under scp -q -F config numbers box:"$PWD/copied"
cmp numbers copied
printf '%s\n' "ls -1 $PWD/host_rsa.pub" "get $PWD/numbers got" '!mv got got2' >batch
under sftp -q -F config -b batch box | sed "s|$PWD|.|g"
cmp numbers got2

# Without a port: the server of one connection, over pipes.
under ssh -F config -o ProxyCommand="under /usr/sbin/sshd -i -f '$PWD/sshd_config'" pipe 'wc -l' <numbers

# The agent, whose key opens what no file does.
# (Set-group-ID: the agent itself has no preload.)
eval "$(ssh-agent -s)" >/dev/null
agent=$SSH_AGENT_PID
under ssh-add -q id
under ssh-add -l | awk '{ print $1, $3, $4 }'
mv id id.hidden
under ssh -F config -o IdentitiesOnly=no box 'echo by the agent'
grep -E 'fatal|killed|error' server.log >&2 || true
