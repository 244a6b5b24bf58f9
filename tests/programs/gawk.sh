# does: arrays, regular expressions, sorting, big numbers
# needs: gawk

set -euo pipefail
under gawk 'BEGIN {
    x = 42
    for (i = 0; i < 400000; i++) {
        x = (x * 1103515245 + 12345) % 2147483648
        key = sprintf("%x", x % 20011)
        if (key in live && length(live[key]) > 60) delete live[key]
        else live[key] = live[key] " " x
        nested[x % 31][x % 37][i % 1000] = key
    }
    n = asorti(live, order)
    for (i = 1; i <= n; i += 500) print order[i], live[order[i]]
    for (a in nested) for (b in nested[a]) total += length(nested[a][b])
    print n, total
    for (i = 0; i < 20000; i++) text = text "word" i ","
    print gsub(/d([0-9]*)7,/, "<&>", text), length(text), split(text, parts, /[,<>]+/)
    print gensub(/(w)(o)/, "\\2\\1", "g", substr(text, 1, 60))
}'
under gawk -M 'BEGIN { PREC = 4000; print 3 ^ 5000; printf "%.900f\n", sqrt(2) }' | sha256sum
seq 200000 | under gawk '{ $2 = $1 * 7; line[NR % 1000] = $0 } END { print line[7], NR }'
