# does: fakechroot, whose library rewrites paths, before the library and after it; with fakeroot too
# needs: fakechroot fakeroot
# limit: 180

set -euo pipefail

# A root with what these programs need; libraries are the machine's.
mkdir -p root/bin root/dev root/etc root/home root/tmp
cp -L "$(command -v bash)" "$(command -v cat)" "$(command -v ls)" "$(command -v sort)" \
    "$(command -v find)" "$(command -v stat)" "$(command -v chown)" "$(command -v perl)" root/bin/
ln -s bash root/bin/sh
echo "inside" >root/etc/where
seq 5000 >root/home/numbers
touch root/dev/null root/home/{a,b}{1..50}
ln -s ../etc/where root/home/link

# shellcheck disable=SC2016 # it is for the inner shell
inside='
    export PATH=/bin
    cat /etc/where /home/link
    cd /home
    echo "$PWD"
    ls / | cat
    ls | sort -r | while read -r name; do echo -n "$name "; done
    echo
    find /bin /etc /home -type f -name "*1*" | sort # /dev and /proc are the real ones
    sort --parallel=4 -r /home/numbers | cat >/tmp/sorted
    read -r first </tmp/sorted
    echo "$first $(stat -c %s /tmp/sorted)"
    (echo "a child"; (cat /etc/where | cat))
    perl -e "
        open my \$file, q(<), q(/etc/where) or die;
        print <\$file>;
        my \$child = fork;
        if (!\$child) { print -s q(/home/numbers), qq(\n); exit 0 }
        waitpid \$child, 0;"'
under fakechroot chroot root /bin/bash -c "$inside"
under fakechroot fakeroot chroot root /bin/bash -c "$inside
    chown 12:34 /home/a1; stat -c %u:%g /home/a1"

libfakechroot=$(compgen -G '/usr/lib/*/fakechroot/libfakechroot.so')
for position in FIRST LAST; do
    export "UNDER_$position=$libfakechroot"
    several
    FAKECHROOT_BASE=$PWD/root under bash -c "$inside"
    unset "UNDER_$position"
done
