"""cpython.py - the workloads in Python, for CPython's own counts and collector.

    cpython.py WORKLOAD [--scale F] [--live 0|1]

The same shapes, figures and checks as in WORKLOAD.c, which says what they are. Times are of what the
interpreter does on its own where possible, and so of one collection or release; new_ns and object_ns
have its byte code in them."""

import argparse
import gc
import os
import random
import re
import sys
import time
from pathlib import Path

MANY = 10_000_000


class Node:
    __slots__ = ("left", "right")


def node(left=None, right=None):
    made = Node()
    made.left = left
    made.right = right
    return made


def tree_new(count):
    if count == 0:
        return None
    return node(tree_new((count - 1) // 2), tree_new(count - 1 - (count - 1) // 2))


def tree_count(tree):
    return 0 if tree is None else 1 + tree_count(tree.left) + tree_count(tree.right)


def figure(key, value):
    print(key, f"{value:.12g}", flush=True)


def kib(path, name):
    """The sum of what the file has under names that begin with this."""
    return sum(int(n) for n in re.findall(rf"^{name}\w*:\s+(\d+) kB", Path(path).read_text(), re.M))


def taken(function):
    """Its result, and the ns that it took."""
    start = time.perf_counter_ns()
    result = function()
    return result, time.perf_counter_ns() - start


class Pauses:
    def __init__(self):
        self.ns, self.start = [], 0
        gc.callbacks.append(self._called)

    def _called(self, phase, _):
        now = time.perf_counter_ns()
        if phase == "start":
            self.start = now
        else:
            self.ns.append(now - self.start)


def nodes(count, _):
    before = kib("/proc/self/status", "VmHWM")
    tree, ns = taken(lambda: tree_new(count))
    figure("node_bytes", (kib("/proc/self/status", "VmHWM") - before) * 1024 / count)
    figure("new_ns", ns / count)
    assert tree_count(tree) == count


def chain(count, _):
    gc.disable()
    held = [None]
    for _ in range(count):
        held[0] = node(held[0])
    at, found = held[0], 0
    while at is not None:
        at, found = at.left, found + 1
    assert found == count
    figure("release_ns", taken(held.clear)[1] / count)


def graph(count, live):
    gc.disable()
    numbers = random.Random(1)
    made = [node() for _ in range(count)]
    ring = list(range(count))
    for i in range(count - 1, 0, -1):
        other = int(numbers.random() * i)
        ring[i], ring[other] = ring[other], ring[i]
    for i in range(count):
        made[i].left = made[ring[i]]
        made[i].right = made[int(numbers.random() * count)]
    assert all(made[i].left is made[ring[i]] for i in range(count))
    del ring
    if not live:
        del made
    found, ns = taken(gc.collect)
    figure("collect_ns", ns / count)
    assert found == (0 if live else count)


def full_pass(count, _):
    gc.disable()
    tree = tree_new(count)
    passes = [taken(gc.collect) for _ in range(5)]
    figure("first_ns", passes[0][1] / count)
    figure("again_ns", min(ns for _, ns in passes[1:]) / count)
    assert not any(found for found, _ in passes) and tree_count(tree) == count


def growth(count, _):
    pauses, spine, made, eighth_ns = Pauses(), None, 0, 0
    start = time.perf_counter_ns()
    while made < count:
        spine = node(spine, tree_new(1023))
        made += 1024
        if eighth_ns == 0 and made >= count // 8:
            eighth_ns = (time.perf_counter_ns() - start) / made
    total_ns = time.perf_counter_ns() - start
    figure("object_ns", total_ns / made)
    figure("eighth_ns", eighth_ns)
    figure("collector_share", sum(pauses.ns) / total_ns)
    found = 0
    while spine is not None:
        found += 1 + tree_count(spine.right)
        spine = spine.left
    assert found == made


def fork(count, _):
    tree = tree_new(count)
    gc.collect()
    child = os.fork()
    if child == 0:
        rollup = "/proc/self/smaps_rollup"
        kib(rollup, "Shared_")  # what it takes itself
        resident, shared = kib(rollup, "Rss"), kib(rollup, "Shared_")
        found, ns = taken(gc.collect)
        figure("dirtied_share", (shared - kib(rollup, "Shared_")) / resident)
        figure("collect_ns", ns / count)
        os._exit(found != 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert tree_count(tree) == count


def ring_new():
    first = last = node()
    for _ in range(3):
        last.left = node(None, first)
        last = last.left
    last.left = first
    return first


def pauses(scale_of_many, _):
    live, rings = max(1, scale_of_many // 5), max(1, scale_of_many // 2)
    numbers, tree, window = random.Random(1), tree_new(live), [None] * 1000
    watched = Pauses()
    start = time.perf_counter_ns()
    for _ in range(rings):
        at = int(numbers.random() * len(window))
        old = window[at]
        assert old is None or old.left.left.left.left is old
        window[at] = ring_new()
    total_ns = time.perf_counter_ns() - start
    figure("pauses", len(watched.ns))
    figure("longest_ns", max(watched.ns, default=0))
    figure("collector_share", sum(watched.ns) / total_ns)
    first, last = 10, 31
    octaves = [min(max(ns.bit_length() - 1, first), last) for ns in watched.ns]
    for octave in range(first, last + 1):
        figure(f"log2_ns_{octave}", octaves.count(octave))
    assert tree_count(tree) == live


def main():
    parser = argparse.ArgumentParser()
    workloads = {f.__name__: f for f in (nodes, chain, graph, full_pass, growth, fork, pauses)}
    parser.add_argument("workload", choices=workloads)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--live", type=int, default=0)
    options = parser.parse_args()
    gc.collect()  # what the modules have left
    workloads[options.workload](max(1, int(MANY * options.scale)), options.live)
    sys.stdout.flush()
    os._exit(0)  # not releasing what is left, as the others


main()
