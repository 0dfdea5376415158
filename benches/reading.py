#!/usr/bin/env python3
"""How fast logs are read: our reader and its rivals, in the same run, on the same log.

    cargo build --release --bin memmon && python3 benches/reading.py [--megabytes 500] [--runs 3]

The log is made once, in target/reading.jsonl: memmon watches a root and 19 children at 0.1 s for a while, and what it wrote is repeated
with other moments and other sizes until the file is large enough. The readers take turns; speed is that of the fastest run, as whatever
else the machine does can only make a run slower, and processor time the median. All of them find every process of every sample and
add up the resident sizes; they must come to the same sum.
"""

import argparse
import datetime
import gzip
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEMMON = ROOT / "target" / "release" / "memmon"
READER = ROOT / "target" / "release" / "examples" / "reading"
LOG = ROOT / "target" / "reading.jsonl"
ARCHIVE = LOG.with_suffix(".jsonl.gz")

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
            record["children_rss_bytes"] = sum(child["rss_bytes"] for child in record["children"])
            record["total_rss_bytes"] = record["children_rss_bytes"] + record["rss_bytes"]
            line = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
            written += log.write(line)


def measure(command):
    """Seconds, processor seconds, peak resident MiB, and what it printed."""
    begin = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    # The maximum that wait4 tells would be that of this program, which the child was before it became another.
    while (ended := os.wait4(child.pid, os.WNOHANG))[0] == 0:
        status = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        peak = max([peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        time.sleep(0.005)
    seconds = time.monotonic() - begin
    child.returncode = os.waitstatus_to_exitcode(ended[1])
    if child.returncode != 0:
        sys.exit(f"{command[0]} failed")
    return seconds, ended[2].ru_utime + ended[2].ru_stime, peak / 1024, child.stdout.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    size = options.megabytes * 1_000_000
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "common", "--example", "reading"], check=True, cwd=ROOT)
    if not LOG.exists() or not size <= LOG.stat().st_size < size + 1_000_000:
        make_log(size)
        ARCHIVE.unlink(missing_ok=True)
    if not ARCHIVE.exists():
        with open(LOG, "rb") as log, gzip.open(ARCHIVE, "wb", compresslevel=6) as archive:
            shutil.copyfileobj(log, archive)
    readers = {
        "memtools, two threads": [READER, LOG],
        "memtools, one thread": [READER, "--workers", "1", LOG],
        "memtools by serde alone, two threads": [READER, "--serde", LOG],
        "memtools, the log as a gzip archive": [READER, ARCHIVE],
        "Python json": [sys.executable, "-c", PYTHON, LOG],
    }
    results = {name: [] for name in readers}
    for _ in range(options.runs):
        for name, command in readers.items():
            results[name].append(measure(command))
    sums = {printed.split(", ")[-1] for runs in results.values() for *_, printed in runs}
    if len(sums) != 1:
        sys.exit(f"the readers do not agree: {sums}")
    length = LOG.stat().st_size
    print(f"log: {length / 1e6:.0f} MB, " + results["memtools, two threads"][0][-1].strip())
    print("| reader | MB/s | seconds | processor seconds | peak RSS, MiB |\n|---|---|---|---|---|")
    for name, runs in results.items():
        seconds = min(run[0] for run in runs)
        processor, peak = (statistics.median(run[column] for run in runs) for column in (1, 2))
        print(f"| {name} | {length / 1e6 / seconds:.0f} | {seconds:.2f} | {processor:.2f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
