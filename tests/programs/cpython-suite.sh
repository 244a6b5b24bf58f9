# does: CPython's own regression tests, also without its small-block allocator
# needs: python3 /usr/lib/python3.11/test/test_list.py
# long: yes
# limit: 400

set -euo pipefail

plain="array buffer bytes codecs collections context coroutines ctypes decimal deque descr dict
    exceptions finalization float fstring functools gc generators heapq int itertools json list
    long memoryio memoryview pickle pyexpat random re set sort struct thread tuple unicode weakref
    xml_etree zlib"
more="ast atexit datetime email hashlib inspect mmap os pickletools posix shutil tarfile zipfile"
slow="fork1 io multiprocessing_fork subprocess threading"

# Runs the modules, prints each test's result: the best one, as a test that fails is run again.
suite() {
    local allocator=$1
    shift
    echo "== $allocator"
    PYTHONMALLOC=$allocator under python3 -m test -w -j 2 --timeout 600 \
        --junit-xml results.xml "${@/#/test_}" >"$allocator.log" 2>&1 || {
        cat "$allocator.log" >&2
        return 1
    }
    python3 - results.xml <<'END'
import sys
from xml.etree import ElementTree

results = {}
for case in ElementTree.parse(sys.argv[1]).iter("testcase"):
    bad = sorted(child.tag for child in case if child.tag in ("error", "failure"))
    name = case.get("name")
    results[name] = min(results.get(name, "ok"), bad[0] if bad else case.get("result", "ok"))
    if not bad:
        results[name] = "ok"
for name, result in sorted(results.items()):
    print(name, result)
END
}

suite default $slow $more $plain
suite malloc $plain
