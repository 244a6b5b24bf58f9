# Objects of short life: a priority queue, text, big numbers, fractions, closures.
import heapq
from collections import Counter
from fractions import Fraction

state = 42


def random(n):
    global state
    state = (state * 1103515245 + 12345) % 2147483648
    return state // 65536 % n


queue = []
for i in range(150_000):
    heapq.heappush(queue, (random(1000), i, [i]))
    if i % 3 == 0:
        heapq.heappop(queue)

words = Counter()
for i in range(8_000):
    line = " ".join("w" * random(8) + str(random(500)) for _ in range(12))
    words.update(part.upper() for part in line.split())
text = ",".join(f"{word}={count}" for word, count in sorted(words.items()))

harmonic = sum((Fraction(1, n) for n in range(1, 1_500)), Fraction())
power = str(3**9_000)
calls = [lambda x, n=n: [x + n] * (n % 9) for n in range(150_000)]
total = sum(len(call(i)) for i, call in enumerate(calls))
assert queue and text and harmonic > 7 and power and total > 0
