# does: Erlang's compiler, its processes, tables, binaries and ports, with its allocators and without
# needs: erl erlc
# long: partly
# limit: 120
# binds: /usr/lib/erlang/erts-*/bin/beam.smp

set -euo pipefail

cp "$TESTS_DIR/churn.erl" .
under erlc +deterministic +debug_info churn.erl
sha256sum churn.beam
# +Mea min: every block is malloc's.
for allocators in ${WHOLE:+max} min; do
    ERL_EPMD_PORT=1 under erl +Mea $allocators +S 2:2 +A 4 -noinput -run churn main
done
