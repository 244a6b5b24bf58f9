# does: tar; xz, zstd and pigz with threads; bzip2 and gzip; there and back
# needs: tar xz zstd pigz bzip2 gzip

set -euo pipefail

mkdir tree
awk 'BEGIN {
    x = 42
    for (i = 0; i < 300; i++) {
        file = "tree/file" i
        for (j = 0; j < i * 4; j++) {
            x = (x * 1103515245 + 12345) % 2147483648
            print "line", j, x % 100, "of file", i >file
        }
        close(file)
    }
}'
under tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --file tree.tar tree
for n in 1 2 3 4; do
    cat tree.tar
done >big
sha256sum big

under xz -T2 --block-size=4MiB -1 --keep big
under xz -T1 -6 --stdout tree.tar >tree.tar.xz
under zstd -q -T2 -3 big -o big.zst
under zstd -q --ultra -19 --long=24 tree.tar -o tree.tar.zst
under pigz -p 2 -6 -n --keep big
under bzip2 --keep tree.tar
under gzip -9 -n --keep tree.tar
sha256sum big.* tree.tar.*

under xz --decompress --stdout -T2 big.xz | cmp - big
under zstd -q --decompress --stdout big.zst | cmp - big
under pigz --decompress --stdout big.gz | cmp - big
for archive in tree.tar.*; do
    mkdir out
    under tar --extract --file "$archive" -C out # which starts the decompressor
    diff -r tree out/tree
    rm -r out
done
