# does: fifteen programs in tight limits of address space and data: those that libc's malloc runs
# needs: gawk perl python3 gcc bash sort sed sqlite3 tar xz git lua5.4 make
# limit: 240

# What a program needs grows with the machine's libraries. So the same program says, without the library
# and with a MiB less, whether a limit is one that it runs in.
set -uo pipefail

limits=(16 24 32 48 64 128)
margin_kib=1024 # the library's own code and tables; and a failure must not hang on the last page

mkdir tree
seq 3000 >tree/numbers
printf 'int main(void) { return 0; }\n' >tree/empty.c
printf 'all: one two\none two:\n\t@echo $@\n' >tree/Makefile
git -c init.defaultBranch=main init -q tree
git -C tree -c user.name=a -c user.email=a@b add numbers
tar -C tree -cf numbers.tar numbers

# Not Ruby: it reserves what is left for the stacks of fibers, and whether malloc then finds enough is luck. Without
# the library it fails at 45 MiB of data, and runs at 44 and 46.
#
# NAME COMMAND: what each prints must not depend on where it is.
programs=(
    "true /bin/true"
    "ls ls -l -n tree/numbers"
    "gawk gawk '{ s[\$1 % 77] = s[\$1 % 77] \$1 } END { for (i = 0; i < 77; i++) print length(s[i]) }' tree/numbers"
    "perl perl -e 'my %h; \$h{\$_ * 7 % 1000} .= \$_ for 1 .. 9000; print join(\",\", map { length \$h{\$_} } sort keys %h)'"
    "python3 python3 -I -S -c 'd = {i: str(i) * 3 for i in range(9000)}; print(sum(map(len, d.values())))'"
    "gcc gcc -O1 -c tree/empty.c -o /dev/null"
    "bash bash -c 'for ((i = 0; i < 3000; i++)); do a[i % 100]+=\$i; done; echo \${#a[7]} \${a[42]}'"
    "sort sort -S 2M -r -n tree/numbers"
    "sed sed -n 's/\\(1\\)\\(2\\)/\\2\\1/p' tree/numbers"
    "sqlite3 sqlite3 :memory: 'create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n where i < 4000) insert into t select i, hex(i * 7) from n; create index x on t(b); select count(*), max(b) from t;'"
    "tar tar -tvf numbers.tar --numeric-owner --full-time"
    "xz xz -0 -T1 -k -c tree/numbers"
    "git git -C tree ls-files -s"
    "lua lua5.4 -e 't = {} for i = 1, 20000 do t[i] = tostring(i) end print(#table.concat(t))'"
    "make make -s -C tree one two"
)

# limited KIND KIB COMMAND...: v (address space) or d (data).
limited() {
    local kind=$1 kib=$2
    shift 2
    (ulimit -S "-$kind" "$kib" && eval "$@") 2>errors </dev/null
}

failures=0
for entry in "${programs[@]}"; do
    name=${entry%% *}
    command=${entry#* }
    for kind in v d; do
        for limit in "${limits[@]}"; do
            kib=$((limit * 1024))
            [ -n "$UNDER_PRELOAD" ] || continue
            limited "$kind" $((kib - margin_kib)) "exec $command" >expected || continue
            limited "$kind" "$kib" "exec under $command" >got
            status=$?
            if [ $status -ne 0 ] || ! cmp -s expected got; then
                echo "$name, $limit MiB (ulimit -$kind): status $status, $(head -n 1 errors | cut -c 1-120)"
                failures=$((failures + 1))
            fi
        done
    done
done
under /bin/ls / >/dev/null # in both runs
echo "$failures programs fail"
