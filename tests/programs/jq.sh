# does: builds, groups and rewrites a large document
# needs: jq
# long: partly

set -euo pipefail
count=8000
[ -z "$WHOLE" ] || count=40000
under jq -n --argjson n "$count" '[range($n) | {id: ., name: "item \(. * 7919 % 1009)", list: [range(. % 9)]}]' >data
sha256sum data
under jq -c 'group_by(.name) | map({(.[0].name): map(.list | add)}) | add' data | sha256sum
under jq '[paths(type == "number")] | length' data
under jq -r '.[] | select(.id % 7 == 0) | [.id, .name, (.list | join("-"))] | @csv' data | sha256sum
under jq -c 'walk(if type == "string" then test("9$") else . end) | unique_by(.list) | length' data
under jq --stream -c 'select(length == 2) | .[1]' data | sha256sum
under jq 'map(.name | ascii_upcase | gsub("(?<d>[0-9])"; "<\(.d)>")) | unique | length' \
    <(under jq '.[:2000]' data)
