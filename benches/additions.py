#!/usr/bin/env python3
"""What watching additions costs the watched program: the time of one addition while memobj watches, beside one that it does not.

    cargo build --release --bin memobj && python3 benches/additions.py [--memobj PATH]

The target sets a key of a dict every two milliseconds and measures each time with its own clock. `memobj --leaks` takes its censuses, and
then watches the dict. Additions during a pause of a census are thousands of times slower than others, so only those after the last census
count: the ones that memobj reports as seen.

Then a service handles requests without a pause, each with some work and one key set, while `memobj --watch-adds` watches it for some seconds,
three times. The requests a second with and without the watch are of the same run, so that other programs disturb both alike.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

TARGET = """
import sys, time
LEAK, TIMES = {}, []
clock = time.perf_counter_ns
def add(n):
    begun = clock()
    LEAK[n] = [n]
    TIMES.append((time.time(), clock() - begun))
n = 0
end = time.time() + float(sys.argv[1])
print("ready", flush=True)
while time.time() < end:
    n += 1
    add(n)
    time.sleep(0.002)
import json
json.dump(TIMES, open(sys.argv[2], "w"))
"""

SERVICE = """
import json, sys, time
SESSIONS, TIMES = {}, []
def work(n):
    return sum(number * number for number in range(int(sys.argv[3])))
def handle(n):
    SESSIONS[n % 20000, n] = work(n)
    if len(SESSIONS) > 20000:
        SESSIONS.pop(next(iter(SESSIONS)))
n, end, shown = 0, time.time() + float(sys.argv[1]), 0
print("ready", flush=True)
while (now := time.time()) < end:
    n += 1
    handle(n)
    if now - shown > 0.02:
        TIMES.append((now, n))
        shown = now
json.dump(TIMES, open(sys.argv[2], "w"))
"""


def rate(times, begin, end):
    """Requests a second between two moments."""
    inside = [(at, n) for at, n in times if begin <= at <= end]
    (first, n), (last, m) = inside[0], inside[-1]
    return (m - n) / (last - first)


def service(arguments, work):
    """Measures a service with and without the watch: requests a second of each, and the writes that were seen."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as out:
        command = [arguments.python, "-c", SERVICE, "22", out.name, str(work)]
        target = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        target.stdout.readline()
        windows, free, writes = [], [], 0
        for _ in range(3):
            begin = time.time()
            time.sleep(3)
            free.append((begin, time.time()))
            command = [arguments.memobj, "--watch-adds", "SESSIONS", "--for", "3s", "-p", str(target.pid)]
            found = subprocess.run([*command, "--format", "jsonl"], stdout=subprocess.PIPE, text=True)
            end, record = time.time(), json.loads(found.stdout.splitlines()[-1])
            windows.append((end - record["watched_seconds"], end))
            writes += record["writes"]
        target.wait()
        times = json.load(out)
    watched = statistics.median(rate(times, *window) for window in windows)
    alone = statistics.median(rate(times, *window) for window in free)
    return alone, watched, writes / sum(end - begin for begin, end in windows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memobj", default=ROOT / "target" / "release" / "memobj")
    parser.add_argument("--python", default=sys.executable)
    arguments = parser.parse_args()
    with tempfile.NamedTemporaryFile("r", suffix=".json") as out:
        target = subprocess.Popen(
            [arguments.python, "-c", TARGET, "8", out.name], stdout=subprocess.PIPE, text=True
        )
        target.stdout.readline()
        command = [arguments.memobj, "--leaks", "--for", "3s", "-i", "0.5", "-p", str(target.pid), "--format", "jsonl"]
        record = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
        target.wait()
        times = json.load(out)
    leaks = [leak for leak in record["leaks"] if leak["additions"]]
    seen = max((leak["additions"]["seen"] for leak in leaks), default=0)
    if not seen:
        sys.exit(f"nothing was watched: {record['leaks']}")
    usual = statistics.median(took for _, took in times)
    # The slowest additions at the end of the search, as many as there were hits.
    end = max(at for at, took in times if took > usual * 4)
    hits = sorted((took for at, took in times if end - 1 < at), reverse=True)[:seen]
    print(f"an addition: {usual / 1000:.2f} µs; with a hit: {statistics.median(hits) / 1000:.2f} µs; hits: {seen}")
    print(f"a hit costs the program {(statistics.median(hits) - usual) / 1000:.1f} µs")
    for work in (10, 100, 1000, 10000):
        alone, watched, writes = service(arguments, work)
        print(
            f"service: {alone:.0f} requests/s, {watched:.0f} while watched: ratio {watched / alone:.3f}; "
            f"{writes:.0f} writes/s seen"
        )


main()
