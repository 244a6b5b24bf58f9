# does: Bash and BusyBox: variables, arrays, functions, pipes, subshells
# needs: bash busybox

set -euo pipefail

under bash -c '
    declare -A live
    x=42
    for ((i = 0; i < 60000; i++)); do
        ((x = (x * 1103515245 + 12345) % 2147483648, key = x / 65536 % 1000))
        if [[ -n ${live[$key]+x} ]]; then unset "live[$key]"; else live[$key]="value $i $x"; fi
    done
    for key in "${!live[@]}"; do echo "$key ${live[$key]}"; done | sort | sha256sum
    text=$(for ((i = 0; i < 20000; i++)); do echo "line $i"; done)
    echo ${#text} "${text//line 1/<>}" | sha256sum
    mapfile -t lines <<<"$text"
    echo "${#lines[@]} ${lines[-1]}"
    total=0
    for ((i = 0; i < 300; i++)); do ((total += $(echo "$i" | (read -r n; echo $((n * 2)))))); done
    echo $total
    deep() { local own="$1$1"; ((${#own} > 5000)) && echo ${#own} && return; deep "${own}x"; }
    deep ab
    printf "%s\n" {a..z}{a..z}{0..9} | sha256sum
'
under busybox sh -c '
    i=0
    while [ $i -lt 30000 ]; do
        i=$((i + 1))
        set -- "$i" "${1:-}" "${2:-}"
        list="${3} $1"
        case $list in *99) last="$last $list" ;; esac
    done
    echo "$last" | sha256sum
    seq 50000 | busybox sort -r | busybox awk "{ s[\$1 % 100] = s[\$1 % 100] \$1 } END { print length(s[7]) }"
    seq 20000 | busybox sed -e "s/\(1\)\(.\)/\2\1/g" -e "/5$/d" | busybox sha256sum
    seq 20000 | busybox gzip | busybox gunzip | busybox md5sum
    busybox printf "3 4 + p 100 k 2 v p" | busybox dc
'
