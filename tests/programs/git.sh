# does: commits, branches and a merge; repack, gc, log, blame, grep, bisect, clone, fsck
# needs: git
# long: partly

set -euo pipefail

export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org \
    GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org

commit() {
    clock=$((clock + 60))
    GIT_AUTHOR_DATE="$clock +0000" GIT_COMMITTER_DATE="$clock +0000" \
        under git commit -q "$@"
}

clock=1600000000
commits=20
[ -z "$WHOLE" ] || commits=60
under git init -q -b main repository
cd repository
for n in $(seq "$commits"); do
    awk -v n="$n" 'BEGIN {
        srand(n)
        for (i = 1; i <= 400; i++) print i, (i % 50 == n % 50) ? "changed in " n : "line " i
    }' >"file$((n % 12)).txt"
    mkdir -p "dir$((n % 7))"
    seq "$n" $((n * 20)) >"dir$((n % 7))/numbers$n"
    under git add .
    commit -m "Commit $n"
    [ "$n" != $((commits * 2 / 3)) ] || git branch side
done

git checkout -q side
seq 1000 >side
sed -i '200s/.*/from the side/' file3.txt
under git add .
commit -m "On the side"
git checkout -q main
clock=$((clock + 60))
GIT_AUTHOR_DATE="$clock +0000" GIT_COMMITTER_DATE="$clock +0000" \
    under git merge -q -m "Merge" -X ours side
under git rev-parse HEAD HEAD^{tree}
under git log --stat --graph --format='%h %an %ad %s' --date=iso | sha256sum
under git log -p -M -C | sha256sum
under git blame --line-porcelain file3.txt | sha256sum
under git diff --histogram --word-diff HEAD~$((commits * 5 / 6)) HEAD | sha256sum
under git grep -c -E 'changed in [0-9]*7$' HEAD~3
under git -c pack.threads=2 repack -q -a -d -f --window=50 --depth=20
under git verify-pack -v .git/objects/pack/*.idx | grep -c -E '^[0-9a-f]{40}'
under git -c gc.pruneExpire=now -c core.commitGraph=true gc -q --aggressive
under git fsck --full --strict 2>&1
under git archive HEAD | sha256sum
under git fast-export --all | sha256sum
under git bisect start HEAD HEAD~$((commits * 2 / 3)) >/dev/null
under git bisect run grep -q 'changed in [0-9][0-9]$' file6.txt 2>&1 | tail -n 1
under git clone -q --no-local "file://$PWD" ../clone
under git -C ../clone rev-parse HEAD
under git -C ../clone fsck --full 2>&1
