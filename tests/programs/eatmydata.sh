# does: eatmydata, which makes fsync do nothing, before the library and after it
# needs: eatmydata python3 sqlite3 perl
# limit: 180

set -euo pipefail

workload='
import os, mmap
with open("file", "wb") as file:
    for n in range(200):
        file.write(b"line %d\n" % n * 50)
        file.flush()
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
os.sync()
file = os.open("file", os.O_RDWR | os.O_SYNC)
with mmap.mmap(file, 4096) as memory:
    memory[:4] = b"LINE"
    memory.flush()
print(os.pread(file, 20, 0), os.stat(file).st_size)
'

for position in FIRST LAST; do
    export "UNDER_$position=libeatmydata.so"
    several
    under python3 -c "$workload"
    rm -f data.db
    for n in $(seq 20); do
        echo "CREATE TABLE t$n (a, b); INSERT INTO t$n VALUES ($n, hex(zeroblob($n * 1000)));"
    done | under sqlite3 data.db
    under sqlite3 data.db 'SELECT count(*), sum(length(sql)) FROM sqlite_schema; PRAGMA integrity_check'
    unset "UNDER_$position"
done
under eatmydata python3 -c "$workload"
under eatmydata -- bash -c '(dd if=/dev/zero of=zeros bs=1000 count=100 conv=fsync 2>&1 | head -n 1)'
