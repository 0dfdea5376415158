#!/usr/bin/env python3
"""Verdicts on real programs: false alarms on those that do not leak, detections on those that do.

    cargo build --release && python3 benches/verdicts.py [--seconds 75] [--at-once 16] [--only NAME] [--keep DIR] [--markdown]

Starts each program below with the interpreter that runs this script, records it with memmon every 200 ms, and runs memdiff --trend on
the log. A program has an alarm if any process of its tree, or the whole tree, is growing. Ends with 0 if no program without a leak has an
alarm and at most one with a leak has none.

Each program works in ticks of 50 ms and sleeps for the rest of each, so that several can run at once.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "target" / "release"

# The start of each program: a fixed random seed, and `ticks(work)`, which calls work(n) 20 times a second.
PRELUDE = """
import random, sys, time
random.seed(7)
def ticks(work):
    n = 0
    due = time.monotonic()
    while True:
        work(n)
        n += 1
        due += 0.05
        time.sleep(max(0.0, due - time.monotonic()))
"""

STEADY = {
    "idle": "time.sleep(3600)",
    "warm-up: imports and tables": """
import importlib
names = "json csv decimal fractions sqlite3 email.message http.client xml.dom.minidom unittest.mock asyncio ctypes logging.config".split()
tables = []
def work(n):
    if n < 240:
        if n % 20 == 0: importlib.import_module(names[n // 20])
        tables.append([str(i) for i in range(2000)])
    sum(len(t) for t in random.sample(tables, min(3, len(tables))))
ticks(work)
""",
    "lru_cache that fills to its maxsize": """
import functools
@functools.lru_cache(maxsize=4000)
def page(key): return [str(key)] * 400
def work(n):
    for _ in range(12): page(random.randrange(10**9))
ticks(work)
""",
    "lru_cache of keys that repeat": """
import functools
@functools.lru_cache(maxsize=None)
def page(key): return [str(key)] * 400
def work(n):
    for _ in range(12): page(int(random.triangular(0, 1500, 0)))
ticks(work)
""",
    "cycles for the collector": """
import gc
gc.set_threshold(20000, 2, 2)
class Node:
    def __init__(self): self.me, self.load = self, "x" * 300
def work(n):
    for _ in range(120): Node()
ticks(work)
""",
    "list emptied when it is full": """
rows, full = [], 40000
def work(n):
    global full
    rows.extend({"row": n, "i": i} for i in range(300))
    if len(rows) > full:
        rows.clear()
        full = random.randrange(20000, 60000)
ticks(work)
""",
    "churn of lists": """
held = []
def work(n):
    held.append([random.random() for _ in range(random.randrange(100, 3000))])
    while len(held) > 150: held.pop(random.randrange(len(held)))
ticks(work)
""",
    "churn of a thread pool": """
from concurrent.futures import ThreadPoolExecutor
def job(n): return len("".join(str(i) for i in range(n)))
def work(n):
    if n % 4 == 0:
        with ThreadPoolExecutor(max_workers=random.randrange(2, 9)) as pool: list(pool.map(job, [2000] * 8))
ticks(work)
""",
    "dict that grows and shrinks": """
table = {}
def work(n):
    if n % 160 < 80:
        for i in range(400): table[(n, i)] = float(i)
    else:
        for key in list(table)[:400]: del table[key]
ticks(work)
""",
    "large buffers, as arrays have them": """
held = []
def work(n):
    held.append(bytearray(random.randrange(100_000, 4_000_000)))
    if len(held) > random.randrange(3, 12): del held[: len(held) // 2]
ticks(work)
""",
    "reader of files": """
import tempfile
with tempfile.NamedTemporaryFile("w+") as file:
    file.writelines(f"line {i} of a file that is read again and again\\n" for i in range(20000))
    file.flush()
    def work(n):
        with open(file.name) as again: sum(len(line) for line in (again if n % 10 else again.readlines()))
    ticks(work)
""",
    "parser of JSON": """
import json
def work(n):
    text = json.dumps([{"id": i, "name": f"name {i}", "tags": list("abc")} for i in range(random.randrange(10, 1500))])
    json.loads(text)
ticks(work)
""",
    "ring of the last 2000": """
import collections
class Request:
    def __init__(self, n): self.path = "s" * 500 + str(n)
ring = collections.deque(maxlen=2000)
def work(n):
    for i in range(10): ring.append(Request(n * 10 + i))
ticks(work)
""",
    "table in SQLite that is pruned": """
import sqlite3
base = sqlite3.connect(":memory:")
base.execute("create table rows (n integer primary key, text text)")
def work(n):
    base.executemany("insert into rows (text) values (?)", [("t" * random.randrange(50, 800),) for _ in range(20)])
    base.execute("delete from rows where n < (select max(n) from rows) - 3000")
    base.commit()
ticks(work)
""",
    "asyncio tasks that end": """
import asyncio
async def answer(): await asyncio.sleep(random.random() * 2); return "a" * 2000
async def main():
    while True:
        tasks = [asyncio.ensure_future(answer()) for _ in range(random.randrange(1, 200))]
        await asyncio.gather(*tasks)
asyncio.run(main())
""",
    "short-lived children": """
import subprocess
def work(n):
    if n % 40 == 0: subprocess.run([sys.executable, "-c", "x = bytearray(5_000_000); import time; time.sleep(0.5)"])
ticks(work)
""",
    "bursts of work": """
held = []
def work(n):
    if random.random() < 0.03: held.extend("b" * 1000 + str(i) for i in range(random.randrange(500, 6000)))
    del held[: len(held) // 20 + 1]
ticks(work)
""",
    "pages of templates, with caches of regular expressions": """
import re, string
def work(n):
    pattern = "".join(random.choices(string.ascii_lowercase, k=3))
    re.findall(pattern, "lorem ipsum dolor sit amet " * 200)
    string.Template("$a " * 500).substitute(a=n)
ticks(work)
""",
}

LEAKING = {
    "sessions in a dict of the module": """
sessions = {}
def work(n):
    for i in range(8): sessions[n * 8 + i] = {"id": n, "text": "s" * 200}
ticks(work)
""",
    "lru_cache without bound": """
import functools
@functools.lru_cache(maxsize=None)
def prompt(n): return {"prompt": "p" * 100 + str(n), "tokens": [n, n + 1]}
def work(n):
    for i in range(8): prompt(n * 8 + i)
ticks(work)
""",
    "instances in a class": """
class Plugin:
    instances = []
    def __init__(self): self.options = dict.fromkeys("abcdef"); Plugin.instances.append(self)
def work(n):
    for _ in range(10): Plugin()
ticks(work)
""",
    "asyncio tasks that never end": """
import asyncio
tasks = []
async def wait(): await asyncio.Event().wait()
async def main():
    while True:
        tasks.extend(asyncio.ensure_future(wait()) for _ in range(10))
        await asyncio.sleep(0.05)
asyncio.run(main())
""",
    "list of a thread": """
import threading
local = threading.local()
def run():
    local.held = []
    ticks(lambda n: local.held.append(bytearray(3000)))
threading.Thread(target=run).start()
""",
    "generators that wait": """
streams = []
def stream(n):
    yield n
    yield n + 1
def work(n):
    for _ in range(15):
        streams.append(stream(n)); next(streams[-1])
ticks(work)
""",
    "list in a frame": """
def main():
    rows = []
    ticks(lambda n: rows.extend([str(n) * 20] for _ in range(15)))
main()
""",
    "cycles with the collector off": """
import gc
gc.disable()
class Node:
    def __init__(self): self.me, self.load = self, "x" * 200
def work(n):
    for i in range(8): Node()
ticks(work)
""",
    "malloc without free": """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
ticks(lambda n: libc.memset(libc.malloc(4000), 1, 4000))
""",
    "arenas pinned by a few blocks": """
pins = []
def work(n):
    if n % 20 == 0:
        blocks = [b"x" * 400 + str(i).encode() for i in range(5000)]
        pins.extend(blocks[::100])
ticks(work)
""",
    "leak in a child": """
import multiprocessing
def run():
    store = []
    ticks(lambda n: store.append("c" * 3000 + str(n)))
child = multiprocessing.get_context("fork").Process(target=run)
child.start()
child.join()
""",
    "leak beneath a list that is emptied": """
rows, lost = [], []
def work(n):
    rows.extend({"row": n, "i": i} for i in range(150))
    if len(rows) > random.randrange(8000, 16000): rows.clear()
    lost.append(bytearray(5000))
ticks(work)
""",
    "leak beneath churn": """
held, lost = [], []
def work(n):
    held.append(bytearray(random.randrange(1000, 40000)))
    while len(held) > 100: held.pop(random.randrange(len(held)))
    lost.append("l" * 4000 + str(n))
ticks(work)
""",
    "leak after warm-up": """
tables, lost = [], []
def work(n):
    if n < 200: tables.append([str(i) for i in range(2000)])
    lost.append("l" * 20000 + str(n))
ticks(work)
""",
    "slow leak in a large process": """
ballast = [str(i) for i in range(1_000_000)]
lost = []
def work(n):
    lost.append(bytearray(4000))
    [random.random() for _ in range(random.randrange(1000, 20000))]
ticks(work)
""",
    "log of every request": """
import io, logging
stream = io.StringIO()
logging.basicConfig(stream=stream, level=logging.INFO)
def work(n):
    for i in range(20): logging.info("request %d of %d answered in %f", i, n, random.random())
ticks(work)
""",
}


def record(programs, seconds, folder):
    """Records all programs of {name: source} at once for this time; returns {name: log}."""
    running, logs = [], {}
    try:
        for number, (name, source) in enumerate(programs.items()):
            logs[name] = folder / (f"{number:02}-" + "".join(c if c.isalnum() else "-" for c in name) + ".jsonl")
            program = subprocess.Popen([sys.executable, "-c", PRELUDE + source], stdin=subprocess.DEVNULL, start_new_session=True)
            # From its start: the warm-up is part of the log.
            command = [BIN / "memmon", "-p", str(program.pid), "-i", "200ms", "--duration", f"{seconds}s", "--format", "jsonl"]
            with open(logs[name], "wb") as log:
                running.append((name, program, subprocess.Popen(command, stdout=log)))
            time.sleep(0.1)
        for name, program, memmon in running:
            memmon.wait()
            if program.poll() is not None:
                sys.exit(f"{name}: it ended with {program.returncode} while it was watched")
    finally:
        for _, program, memmon in running:
            # With its children: it leads their group.
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            memmon.kill()
            program.wait()
            memmon.wait()
    return logs


def verdicts(log):
    """The verdicts of memdiff on all series of the log."""
    run = subprocess.run([BIN / "memdiff", "--trend", "--format", "jsonl", log], stdout=subprocess.PIPE, check=False)
    if run.returncode not in (0, 1):
        sys.exit(f"memdiff ended with {run.returncode} on {log}")
    records = [json.loads(line) for line in run.stdout.splitlines()]
    return [v for record in records if record["type"] == "diff" for v in record["verdicts"]]


def series_kind(verdict):
    """The kind of series of a verdict, without the command line of a child."""
    return verdict["kind"] if verdict["role"] == "root" else f"{verdict['kind']} of a child"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=75)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--only", help="programs whose name contains this")
    parser.add_argument("--keep", type=pathlib.Path, help="keep the logs in this folder")
    parser.add_argument("--markdown", action="store_true", help="a table for docs/benchmarks.md")
    args = parser.parse_args()

    programs = [(leaks, n, s) for leaks, group in ((False, STEADY), (True, LEAKING)) for n, s in group.items()]
    programs = [p for p in programs if not args.only or args.only in p[1]]
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for begin in range(0, len(programs), args.at_once):
            some = programs[begin : begin + args.at_once]
            part = folder / f"{begin:02}"
            part.mkdir(exist_ok=True)
            logs = record({name: source for _, name, source in some}, args.seconds, part)
            rows += [(leaks, name, verdicts(logs[name])) for leaks, name, _ in some]

    if args.markdown:
        print("| program | leaks | whole tree | sure | per hour | growing |\n|---|---|---|--:|--:|---|")
    wrong = {False: 0, True: 0}
    for leaks, name, found in rows:
        growing = [v for v in found if v["trend"] == "growing"]
        # A process without children has no verdict of a tree.
        by_kind = {v["kind"]: v for v in reversed(found) if v["role"] == "root"}
        whole = by_kind.get("total_rss") or by_kind["rss"]
        wrong[leaks] += bool(growing) != leaks
        rate = whole["bytes_per_hour"]
        cells = [name, "yes" if leaks else "no", whole["trend"].replace("_", "-"), f"{whole['confidence_ratio']:.3f}"]
        cells += ["–" if rate is None else f"{rate / 2**20:+.1f} MiB", ", ".join(series_kind(v) for v in growing)]
        print("| " + " | ".join(cells) + " |" if args.markdown else "  ".join(f"{cell:<28}" for cell in cells))
    counts = {leaks: sum(1 for row in rows if row[0] == leaks) for leaks in (False, True)}
    print(f"\nfalse alarms: {wrong[False]} of {counts[False]}; detected: {counts[True] - wrong[True]} of {counts[True]}")
    return 0 if wrong[False] == 0 and wrong[True] <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
