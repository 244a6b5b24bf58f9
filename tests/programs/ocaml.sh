# does: OCaml's compilers, to bytecode and to machine code; threads, big arrays, marshalling
# needs: ocamlopt ocamlc ocaml
# limit: 120
# long: yes

set -euo pipefail

cp "$TESTS_DIR/churn.ml" .
under ocamlopt -O3 -I +threads unix.cmxa threads.cmxa churn.ml -o native
under ocamlc -I +threads unix.cma threads.cma churn.ml -o bytecode
sha256sum churn.cmi churn.cmo
for program in native bytecode; do
    under "./$program"
    OCAMLRUNPARAM=s=4k,o=10 under "./$program"
done
under ocaml -I +threads unix.cma threads.cma churn.ml
