"""Structures built and dropped in one thread, in many, and in child processes of every kind."""

import array
import asyncio
import bz2
import concurrent.futures
import ctypes
import gc
import hashlib
import json
import lzma
import multiprocessing
import os
import pickle
import queue
import random
import re
import subprocess
import sys
import threading
import zlib
from collections import Counter, OrderedDict, deque
from decimal import Decimal, getcontext
from xml.etree import ElementTree


def digest(data):
    if isinstance(data, str):
        data = data.encode()
    return hashlib.sha256(data).hexdigest()[:16]


def document(seed, size):
    rng = random.Random(seed)
    return {
        f"key{i}": {
            "id": rng.randrange(10**12),
            "ratio": rng.random(),
            "tags": ["".join(rng.choices("abcdefgh", k=rng.randrange(40))) for _ in range(8)],
            "nested": [[j] * rng.randrange(6) for j in range(rng.randrange(8))],
        }
        for i in range(size)
    }


def churn(seed, steps):
    """Keeps a random set of lists, dicts, bytes and strings alive; returns what is left."""
    rng = random.Random(seed)
    live = {}
    for step in range(steps):
        key = rng.randrange(3000)
        kind = rng.randrange(6)
        if key in live and kind != 0:
            del live[key]
        elif kind <= 1:
            live[key] = list(range(rng.randrange(200)))
        elif kind == 2:
            live[key] = {n: str(n) for n in range(rng.randrange(60))}
        elif kind == 3:
            live[key] = bytearray(rng.randrange(5000))
            live[key].extend(b"x" * rng.randrange(5000))
        elif kind == 4:
            live[key] = "é" * rng.randrange(3000)
        else:
            live[key] = bytes(rng.randrange(1 << rng.randrange(20)))
    return sum((key + 1) * len(value) for key, value in live.items())


def formats():
    text = json.dumps(document(1, 3000), indent=1)
    again = json.loads(text)
    print("json", len(text), digest(text), again == document(1, 3000))
    print("pickle", digest(pickle.dumps(again, 4)), pickle.loads(pickle.dumps(again)) == again)
    for codec in (zlib, bz2, lzma):
        packed = codec.compress(text.encode())
        print(codec.__name__, digest(packed), codec.decompress(packed).decode() == text)
    root = ElementTree.Element("root")
    for key, value in again.items():
        ElementTree.SubElement(root, key, {"id": str(value["id"])}).text = " ".join(value["tags"])
    xml = ElementTree.tostring(root)
    print("xml", digest(xml), len(ElementTree.fromstring(xml)))
    words = re.findall(r'"([a-h]{3,})"', text)
    print("re", len(words), Counter(re.sub(r"[^a-c]", "", word) for word in words).most_common(5))
    getcontext().prec = 3000
    print("decimal", digest(str(Decimal(2).sqrt())), digest(hex(7**20000)))


def cycles():
    class Node:
        def __init__(self, other):
            self.other, self.payload = other, [0] * 10

    for _ in range(20):
        first = last = Node(None)
        for _ in range(2000):
            last = Node(last)
        first.other = last
    del first, last
    gc.collect()
    print("cycles", sum(isinstance(thing, Node) for thing in gc.get_objects()))


def containers():
    window, recent = deque(maxlen=1000), OrderedDict()
    for i in range(100_000):
        window.append(str(i))
        recent[i % 3001] = (i, window[0])
        recent.move_to_end(i % 3001)
        if len(recent) > 2000:
            recent.popitem(last=False)
    numbers = array.array("q", range(100_000))
    for i in range(20):
        numbers.extend(numbers[: 1000 * i])
        del numbers[::7]
    print("containers", len(window), sum(v[0] for v in recent.values()), len(numbers), sum(numbers))


def threads():
    """Blocks made by one thread die in another."""
    channel, results = queue.Queue(maxsize=50), []

    def produce(seed):
        rng = random.Random(seed)
        for _ in range(2000):
            channel.put([bytes([seed]) * rng.randrange(3000) for _ in range(rng.randrange(10))])
        channel.put(None)

    def consume():
        total = 0
        while (item := channel.get()) is not None:
            total += sum(len(part) * (part[0] if part else 0) for part in item)
        results.append(total)

    workers = [threading.Thread(target=produce, args=(n + 1,)) for n in range(4)]
    workers += [threading.Thread(target=consume) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("threads", sum(results))
    for _ in range(20):
        crowd = [threading.Thread(target=churn, args=(n, 50)) for n in range(20)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        print("pool", list(pool.map(churn, range(8), [20_000] * 8)))


def processes():
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            print(method, pool.starmap(churn, [(n, 5000) for n in range(6)]))
    stop = threading.Event()
    busy = [threading.Thread(target=lambda: [churn(1, 200) for _ in iter(stop.is_set, True)])
            for _ in range(2)]
    for thread in busy:
        thread.start()
    statuses = []
    for n in range(30):  # forks while other threads allocate
        child = os.fork()
        if child == 0:
            os._exit(churn(n, 500) % 200)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    for thread in busy:
        thread.join()
    print("fork from threads", statuses)
    code = "import sys; print(len([str(n) * 10 for n in range(int(sys.argv[1]))]))"
    outputs = [
        subprocess.run([sys.executable, "-c", code, str(n * 1000)], capture_output=True, text=True)
        for n in range(5)
    ]
    print("subprocess", [(done.returncode, done.stdout, done.stderr) for done in outputs])
    big = subprocess.run(["cat"], input=b"line\n" * 500_000, capture_output=True)
    print("cat", digest(big.stdout))


def native():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = libc.realloc.restype = libc.strdup.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    total = 0
    for size in (0, 1, 15, 16, 17, 1000, 40_000, 300_000, 5_000_000):
        block = libc.malloc(size)
        ctypes.memset(block, 0x5A, size)
        block = libc.realloc(block, 2 * size + 1)
        total += sum(ctypes.string_at(block, size))
        libc.free(block)
    copy = libc.strdup(b"from libc's heap")
    print("ctypes", total, ctypes.string_at(copy))
    libc.free(copy)
    compare = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
    )(lambda a, b: a[0] - b[0])
    numbers = (ctypes.c_int * 1000)(*random.Random(5).sample(range(10**6), 1000))
    libc.qsort(numbers, len(numbers), ctypes.sizeof(ctypes.c_int), compare)
    print("qsort", list(numbers) == sorted(numbers))


async def talk():
    async def serve(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    async def ask(port, n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for i in range(50):
            writer.write(b"%d %s\n" % (i, b"abc" * n))
        writer.write_eof()
        return digest(await reader.read())

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print("asyncio", await asyncio.gather(*(ask(port, n) for n in range(20))))
    server.close()


if __name__ == "__main__":
    formats()
    cycles()
    containers()
    print("churn", [churn(seed, 40_000) for seed in range(3)])
    sys.stdout.flush()
    threads()
    processes()
    native()
    asyncio.run(talk())
