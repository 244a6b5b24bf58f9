# does: solves: a pigeonhole problem, queens, bit vectors, strings, integers
# needs: z3

set -euo pipefail

awk 'BEGIN { # 8 pigeons, 7 holes
    for (p = 0; p < 8; p++) for (h = 0; h < 7; h++) print "(declare-const p" p "h" h " Bool)"
    for (p = 0; p < 8; p++) {
        printf "(assert (or"
        for (h = 0; h < 7; h++) printf " p%dh%d", p, h
        print "))"
        for (q = 0; q < p; q++) for (h = 0; h < 7; h++)
            print "(assert (not (and p" p "h" h " p" q "h" h ")))"
    }
    print "(check-sat)"
}' >pigeons.smt2
awk -v n=9 'BEGIN {
    for (i = 0; i < n; i++) printf "(declare-const q%d Int)(assert (and (<= 0 q%d) (< q%d %d)))\n", i, i, i, n
    for (i = 0; i < n; i++) for (j = 0; j < i; j++) {
        printf "(assert (not (= q%d q%d)))", i, j
        printf "(assert (not (= (- q%d q%d) %d)))(assert (not (= (- q%d q%d) %d)))\n", i, j, i - j, j, i, i - j
    }
    print "(check-sat)(get-model)"
}' >queens.smt2
cat >bits.smt2 <<'END'
(declare-const a (_ BitVec 12))
(declare-const b (_ BitVec 12))
(assert (not (= (bvadd (bvxor a b) (bvshl (bvand a b) (_ bv1 12))) (bvadd a b))))
(check-sat)
(reset)
(declare-const s String)
(assert (= (str.len s) 12))
(assert (str.in_re s (re.+ (re.union (str.to_re "ab") (str.to_re "cd")))))
(assert (str.contains s "bcdc"))
(check-sat)
(simplify (bvmul #x0003 #x0007))
(echo "done")
END
for problem in pigeons queens bits; do
    under z3 -smt2 "$problem.smt2"
done
