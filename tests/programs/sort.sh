# does: GNU sort with threads, merging and in little memory
# needs: sort

set -euo pipefail

awk 'BEGIN {
    x = 42
    for (i = 0; i < 700000; i++) {
        x = (x * 1103515245 + 12345) % 2147483648
        printf "%d %08x %s\n", x % 1000, x, substr("abcdefghijklmnopqrstuvwxyz", 1 + x % 26)
    }
}' >lines
under sort --parallel=2 lines | sha256sum
under sort --parallel=8 -S 64M -k 2,2 -r lines >reversed
sha256sum reversed
under sort --parallel=4 -S 2M -k 1,1n -s lines | sha256sum # in many temporary files
split -n l/40 lines part.
for part in part.*; do
    under sort "$part" -o "$part"
done
under sort -m --batch-size=10 part.* | sha256sum
under sort -u -f -k 3 --compress-program=gzip -S 4M lines | sha256sum
under sort -R --random-source=reversed lines | sha256sum
under sort -c reversed || echo "not sorted"
