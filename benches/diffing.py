#!/usr/bin/env python3
"""How fast memdiff compares and judges, and in how much memory: memdiff and Python's json on the same logs, in the same run.

    cargo build --release --bin memmon --bin memdiff && python3 benches/reading.py && python3 benches/diffing.py [--runs 3]

The log of monitoring is target/reading.jsonl, which benches/reading.py makes; the log of censuses, 12,000 types in each of 300
moments, is made here, in target/diffing.jsonl. Figures are the median of the runs.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEMDIFF = ROOT / "target" / "release" / "memdiff"
TREES = ROOT / "target" / "reading.jsonl"
CENSUSES = ROOT / "target" / "diffing.jsonl"

PYTHON = """
import json, sys
first = last = None
for line in open(sys.argv[1]):
    record = json.loads(line)
    if record["type"] == "process":
        first = first or record
        last = record
print(last["rss_bytes"] - first["rss_bytes"])
"""


def make_censuses():
    """One type in a hundred grows, the others come and go a little."""
    random.seed(4)
    names = ["package.module%05d.Type" % n for n in range(12_000)]
    sizes = [1000 + 10 * n for n in range(12_000)]
    with open(CENSUSES, "w") as log:
        for moment in range(300):
            second = moment * 10
            stamp = "2026-11-24T%02d:%02d:%02d.000+00:00" % (12 + second // 3600, second // 60 % 60, second % 60)
            types = []
            for n, (name, size) in enumerate(zip(names, sizes)):
                growth = moment * size // 50 if n % 100 == 99 else 0
                types.append({"type": name, "count": 1, "size_bytes": size + growth + random.randrange(100)})
            total = sum(kind["size_bytes"] for kind in types)
            record = {
                "type": "census", "schema": 2, "timestamp": stamp, "host": "h", "run": "00c0ffee00c0ffee",
                "iteration": moment + 1, "pid": 1, "start_ticks": 10, "name": "python3", "cmdline": ["python3", "bot.py"],
                "total_objects": len(types), "total_size_bytes": total, "types": types, "modules": [], "rss_bytes": total * 2,
            }
            log.write(json.dumps(record, separators=(",", ":")) + "\n")


def measure(command, stdin=None):
    """Seconds, processor seconds and peak MiB of one run."""
    with open(stdin or os.devnull, "rb") as source:
        start = time.monotonic()
        child = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL)
        peak = 0
        # Read while it runs: the peak of wait4 includes the memory of this program, from which it was forked.
        while not (ended := os.wait4(child.pid, os.WNOHANG))[0]:
            try:
                status = pathlib.Path("/proc/%d/status" % child.pid).read_text()
            except OSError:
                continue
            peak = max([peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
            time.sleep(0.01)
        seconds = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(ended[1])
    if child.returncode not in (0, 1):
        sys.exit("%s: exit %d" % (command, child.returncode))
    return seconds, ended[2].ru_utime + ended[2].ru_stime, peak / 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=3)
    runs = arguments.parse_args().runs
    if not TREES.exists():
        sys.exit("%s is not there: run benches/reading.py first" % TREES)
    if not CENSUSES.exists():
        make_censuses()
    memdiff = str(MEMDIFF)
    cases = [
        ("memdiff, first with last", [memdiff, str(TREES)], None, TREES),
        ("memdiff, every 100th record of a pipe", [memdiff, "--every", "100"], TREES, TREES),
        ("memdiff --trend, 42 series", [memdiff, "--trend", str(TREES)], None, TREES),
        ("memdiff --trend, 10,000 series of 12,000", [memdiff, "--trend", str(CENSUSES)], None, CENSUSES),
        ("Python json, first with last", [sys.executable, "-c", PYTHON, str(TREES)], None, TREES),
    ]
    results = {name: [] for name, *_ in cases}
    for _ in range(runs):
        for name, command, stdin, _ in cases:
            results[name].append(measure(command, stdin))
    print("| what | MB | MB/s | seconds | processor seconds | peak RSS, MiB |\n|---|---|---|---|---|---|")
    for name, _, _, path in cases:
        seconds, processor, peak = (statistics.median(column) for column in zip(*results[name]))
        size = path.stat().st_size / 1e6
        print("| %s | %.0f | %.0f | %.2f | %.2f | %.0f |" % (name, size, size / seconds, seconds, processor, peak))


main()
