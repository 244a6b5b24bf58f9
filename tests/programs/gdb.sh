# does: debugs a program with symbols: breakpoints, a trace, types; then its Python
# needs: gdb gcc

set -euo pipefail

cat >program.c <<'END'
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    char name[24];
};

static struct node *push(struct node *list, int n)
{
    struct node *node = malloc(sizeof *node);
    node->next = list;
    memset(node->name, 'a' + n, sizeof node->name - 1);
    node->name[sizeof node->name - 1] = 0;
    return node;
}

int main(void)
{
    struct node *list = NULL;
    for (int n = 0; n < 5; n++)
        list = push(list, n);
    return list->name[0] - 'e';
}
END
gcc -g -O0 program.c -o program
# The debugger is the subject: what it debugs starts without the library.
under gdb -q -nx -batch -iex 'set debuginfod enabled off' -ex 'set startup-with-shell off' \
    -ex 'unset environment LD_PRELOAD' -ex 'break push if n == 3' -ex run -ex backtrace \
    -ex 'print *list' -ex finish -ex 'ptype struct node' -ex 'info breakpoints' -ex delete \
    -ex continue -ex 'disassemble push' -ex 'info functions push' \
    -ex 'python print(sum(len(str(n)) for n in range(100000)))' program 2>&1 |
    sed -E 's/0x[0-9a-f]+/0x…/g; s/process [0-9]+/process …/; s/\[Inferior.*\(/(/'
