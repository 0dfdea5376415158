#!/usr/bin/env python3
"""What watching additions costs the watched program: the time of one addition while memobj watches, beside one that it does not.

    cargo build --release --bin memobj && python3 benches/additions.py [--memobj PATH]

The target sets a key of a dict every two milliseconds and measures each time with its own clock. `memobj --leaks` takes its censuses, and
then watches the dict. Additions during a pause of a census are thousands of times slower than others, so only those after the last census
count: the ones that memobj reports as seen.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

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


main()
