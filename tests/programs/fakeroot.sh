# does: fakeroot, whose library answers for owners and devices, before the library and after it
# needs: fakeroot-sysv tar python3 perl
# limit: 180

set -euo pipefail

cat >work.sh <<'END'
set -euo pipefail
id -u
mkdir tree
mkdir -p some/deep/folder
seq 100 >some/deep/numbers
under cp -r some tree/copy
under chown 1234:567 tree tree/copy
under mknod tree/null c 1 3
under mkfifo tree/fifo
touch tree/{a,b,c}{1..60}
under chown -R 77:88 tree/a*
under chmod 4755 tree/b*
under find tree -maxdepth 1 -printf '%f %y %U:%G %m\n' | sort | sha256sum
under ls -ln tree/null | sed -E 's/ (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) .* / /'
under stat -c '%n %F %u:%g %a' tree tree/null tree/fifo tree/a1 tree/b1 tree/c1
under tar --create --file=tree.tar --sort=name --mtime=@0 tree
under tar --list --verbose --file=tree.tar --numeric-owner | sha256sum
mkdir again
under tar --extract --file=tree.tar --directory=again --same-owner
under stat -c '%F %u:%g %a' again/tree/null again/tree/a1 again/tree/b1
under rm -r tree again some
touch file
under python3 -c '
import os
for i in range(100):
    os.chown("file", i, i + 1)
    blocks = [bytes(size) for size in range(1, 3000, 7)]
    assert (os.stat("file").st_uid, os.stat("file").st_gid) == (i, i + 1)
os.chown("file", 3, 4)
child = os.fork()
if child == 0:
    os.chown("file", 5, 6)
    os._exit(0)
os.waitpid(child, 0)
print(os.stat("file").st_uid, os.stat("file").st_gid, os.listxattr("file"))
'
under perl -e 'chown 9, 10, "file"; print join(":", (stat "file")[4, 5]), "\n"'
rm file
END

# Whether chown really is tried, and succeeds for root, is not the subject.
export FAKEROOTDONTTRYCHOWN=1
under fakeroot-sysv bash work.sh
# shellcheck disable=SC2016 # they are for the inner shell
fakeroot-sysv bash -c 'UNDER_FIRST=$LD_PRELOAD bash work.sh && UNDER_FIRST=$LD_PRELOAD several'
# shellcheck disable=SC2016
fakeroot-sysv bash -c 'UNDER_LAST=$LD_PRELOAD bash work.sh && UNDER_LAST=$LD_PRELOAD several'
