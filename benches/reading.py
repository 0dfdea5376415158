#!/usr/bin/env python3
"""How fast logs are read: our reader and its rivals, in the same run, on the same log.

    cargo build --release --bin memmon && python3 benches/reading.py [--megabytes 500] [--runs 3]

The log is made once, in target/reading.jsonl: memmon watches a root and 19 children at 0.1 s for a while, and what it wrote is repeated
with other moments and other sizes until the file is large enough. Every figure is the median of the runs, the readers taking
turns. All of them find every process of every sample and add up the resident sizes; they must come to the same sum.
"""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEMMON = ROOT / "target" / "release" / "memmon"
READER = ROOT / "target" / "release" / "examples" / "reading"
LOG = ROOT / "target" / "reading.jsonl"

TARGET = """
import ctypes, os, random, time
for _ in range(19):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, 9)
        held = []
        while True:
            held.append(bytearray(random.randrange(20000)))
            time.sleep(0.05)
time.sleep(25)
"""

PYTHON = """
import json, sys
processes = total = moments = 0
with open(sys.argv[1], encoding="utf-8") as log:
    for line in log:
        record = json.loads(line)
        moments += 1
        if record["type"] == "process":
            for process in [record, *record["children"]]:
                processes += 1
                total += process["rss_bytes"] or 0
print(f"{moments} moments, {processes} processes, {total} bytes in all")
"""


def make_log(size):
    """Repeats what memmon records of a real tree until there are `size` bytes."""
    with tempfile.TemporaryDirectory() as folder:
        target, recorded = pathlib.Path(folder, "server.py"), pathlib.Path(folder, "log.jsonl")
        target.write_text(TARGET)
        command = [MEMMON, "-i", "0.1", "-o", recorded, "--", sys.executable, target, "--workers", "19"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        records = [json.loads(line) for line in open(recorded, encoding="utf-8")]
    samples = [record for record in records if record["type"] == "process" and record["children_count"] == 19]
    begin = datetime.datetime.fromisoformat(samples[0]["timestamp"])
    written = number = 0
    with open(LOG, "wb") as log:
        while written < size:
            record = samples[number % len(samples)]
            number += 1
            moment = begin + datetime.timedelta(seconds=number / 10)
            record |= {
                "timestamp": moment.isoformat(timespec="milliseconds"),
                "iteration": number,
                "elapsed_seconds": number / 10 + 0.000123,
            }
            for index, process in enumerate([record, *record["children"]]):
                process["rss_bytes"] += 4096 * (index * 7 + number) % 65536
            line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
            written += log.write(line)


def measure(command):
    """Seconds, peak resident MiB of the process, and what it printed."""
    begin = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    # The kernel's own maximum would be that of this program, which the child was before it became another.
    while child.poll() is None:
        status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        peak = max([peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        time.sleep(0.005)
    seconds = time.monotonic() - begin
    if child.returncode != 0:
        sys.exit(f"{command[0]} failed")
    return seconds, peak / 1024, child.stdout.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    size = options.megabytes * 1_000_000
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "common", "--example", "reading"], check=True, cwd=ROOT)
    if not LOG.exists() or not size <= LOG.stat().st_size < size + 1_000_000:
        make_log(size)
    readers = {
        "memtools, two threads": [READER, LOG],
        "memtools, one thread": [READER, "--workers", "1", LOG],
        "memtools by serde alone, two threads": [READER, "--serde", LOG],
        "Python json": [sys.executable, "-c", PYTHON, LOG],
    }
    results = {name: [] for name in readers}
    for _ in range(options.runs):
        for name, command in readers.items():
            results[name].append(measure(command))
    sums = {printed.split(", ")[-1] for runs in results.values() for _, _, printed in runs}
    if len(sums) != 1:
        sys.exit(f"the readers do not agree: {sums}")
    length = LOG.stat().st_size
    print(f"log: {length / 1e6:.0f} MB, " + results["memtools, two threads"][0][2].strip())
    print("| reader | MB/s | seconds | peak RSS, MiB |\n|---|---|---|---|")
    for name, runs in results.items():
        seconds = statistics.median(run[0] for run in runs)
        print(f"| {name} | {length / 1e6 / seconds:.0f} | {seconds:.2f} | {statistics.median(run[1] for run in runs):.0f} |")


if __name__ == "__main__":
    main()
