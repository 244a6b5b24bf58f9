#!/bin/bash
# manual.sh - the manual names what there is: every option with its default, every exported function.

set -u
options=$(ARENITE_OPTIONS=show=1 LD_PRELOAD=$ARENITE_LIB ${EMULATOR:-} "$BASH" -c : 2>&1 |
    sed -n 's/^arenite: option \(.*\) (.*)$/\1/p')
functions=$(nm -D --defined-only "$ARENITE_LIB" | awk '$3 ~ /^arn_/ { print $3 }')
point=0

# named PATTERN FILE CLAIM
named() {
    point=$((point + 1))
    if grep -qE -- "$1" "$ARENITE_SRCDIR/man/$2"; then
        echo "ok $point - $3"
    else
        echo "not ok $point - $3"
    fi
}

echo "1..$(($(wc -w <<<"$options") + $(wc -w <<<"$functions")))"
for option in $options; do
    named "\\b${option%%=*}\\b" arenite.7 "arenite(7) describes the option ${option%%=*}"
done
for function in $functions; do
    named "\\b$function\\b" arenite.3 "arenite(3) describes $function"
done
[ "$point" -ge 10 ]
