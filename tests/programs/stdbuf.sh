# does: stdbuf, whose library sets up the streams before main, before the library and after it
# needs: stdbuf perl python3
# limit: 180

set -euo pipefail

under stdbuf -oL -eL -i0 bash -c 'echo out; echo error >&2; cat' <<<"standard input" 2>&1
seq 30000 | under stdbuf -o100K uniq | sha256sum
seq 30000 | under stdbuf -o1M -i1M tr 1 2 | sha256sum
seq 1000 | under stdbuf -o0 -i0 cut -c 1-2 | sha256sum
under stdbuf -oL sort --parallel=4 <(seq 20000) | sha256sum
libstdbuf=$(under stdbuf -oL bash -c 'tr ": " "\n\n" <<<"$LD_PRELOAD"' | grep libstdbuf)
for position in FIRST LAST; do
    export "UNDER_$position=$libstdbuf" _STDBUF_O=L _STDBUF_I=70000
    several
    seq 3000 | under uniq | sha256sum
    unset "UNDER_$position" _STDBUF_O _STDBUF_I
done
