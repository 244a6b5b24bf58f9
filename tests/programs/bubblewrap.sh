# does: bubblewrap: new namespaces, a root of its own, no privileges, a limit by seccomp
# needs: bwrap python3 perl
# limit: 180
# if: bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /run --unshare-all true

set -euo pipefail

runs=$(dirname "$UNDER_STARTED") # this directory is in that
box=(under bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /run --bind "$runs" "$runs"
    --die-with-parent --new-session --unshare-all)
"${box[@]}" several
"${box[@]}" --uid 1234 --gid 567 --hostname inside --cap-drop ALL bash -c '
    id -u; id -g; cat /proc/sys/kernel/hostname; ls /run | wc -l; (echo a child)'

# The kernel refuses socket and ptrace from now on (EPERM): 16 bytes for each instruction of the filter.
python3 -c '
import os, platform, struct, sys
numbers = {"x86_64": (41, 101), "aarch64": (198, 117)}[platform.machine()]
load, equal, answer = 0x20, 0x15, 0x06
allow, refuse = 0x7fff0000, 0x00050000 | 1
for code, yes, no, k in [(load, 0, 0, 0), (equal, 1, 0, numbers[0]), (equal, 0, 1, numbers[1]),
                         (answer, 0, 0, refuse), (answer, 0, 0, allow)]:
    sys.stdout.buffer.write(struct.pack("HBBI", code, yes, no, k))
' >filter
"${box[@]}" --seccomp 9 several 9<filter
"${box[@]}" --seccomp 9 python3 -c '
import socket
try:
    socket.socket()
except PermissionError as error:
    print(error)
' 9<filter
