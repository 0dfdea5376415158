"""Grows, shrinks and moves its objects, one step for each line of stdin: buffers, arrays, dicts, and dicts in memory that was free."""

import sys

try:
    import numpy
except ImportError:
    numpy = None

kept = {}


def buffers(count, size):
    made = [bytearray(b"x" * size) for _ in range(count)] + [bytes(size) for _ in range(count)]
    return made + ([numpy.arange(size // 8) for _ in range(count)] if numpy else [])


def begin():
    kept["dicts"] = [{"number": number, "text": str(number)} for number in range(10_000)]
    kept["buffers"] = buffers(20, 500_000)
    kept["large"] = bytearray(b"y" * 30_000_000)


def grow():
    kept["dicts"] += [{"number": number, "more": [number, -number]} for number in range(10_000)]
    kept["buffers"] += buffers(10, 700_000)
    kept["large"] += b"z" * 5_000_000


def leave_holes():
    many = [[number] for number in range(60_000)]
    kept["pins"] = many[::2000]


def fill_holes():
    kept["lists"] = [[number, number] for number in range(40_000)]


def replace_buffers():
    kept["large"] = None
    kept["buffers"] = kept["buffers"][::3]
    kept["sets"] = [{number, str(number)} for number in range(10_000)]


def shrink():
    kept["lists"] = kept["dicts"] = None
    kept["buffers"] += buffers(5, 900_000)


begin()
print("ready", flush=True)
for step in (grow, leave_holes, fill_holes, replace_buffers, shrink):
    if not sys.stdin.readline():
        break
    step()
    print("done", step.__name__, flush=True)
sys.stdin.readline()
