#!/usr/bin/env python3
"""What it costs to know who holds the objects of a process: memobj, and guppy3 on the same heaps in the same run.

    cargo build --release --bin memobj && python3 benches/held.py [--quick] [--python INTERPRETER] [--keep SNAPSHOT]

The heaps are those of benches/memobj.py. memobj's times are of the whole command, from its start to its end: the plain census, then with --holders (the graph, the
ways, the owners), then with --retained (dominators and what is freed without each type and holder). guppy3's is from inside of the target: `hpy().heap()` and the
`domisize` of the ten types that weigh most. It is given the small heaps alone; it takes minutes for the others.

PyHeap publishes, for a heap of 1.4 million objects: 41 s to load it and 197 s to compute what is retained.

With --keep a snapshot of the last heap is left, for `cargo bench -p memobj --bench held -- SNAPSHOT`, which says where the time goes.
"""

import argparse
import statistics
import subprocess
import sys
import time

import memobj as counting

KINDS = [[], ["--holders"], ["--retained"]]


def taken(pid, arguments):
    """Seconds of the whole command, and its record."""
    start = time.perf_counter()
    command = [counting.MEMOBJ, "-p", str(pid), "--format", "jsonl", *arguments]
    run = subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start, counting.json.loads(run.stdout.splitlines()[-1])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="the two small heaps alone")
    arguments.add_argument("--python", default=sys.executable, help="the interpreter to look at")
    arguments.add_argument("--keep", help="where to leave a snapshot of the last heap")
    options = arguments.parse_args()
    if not counting.MEMOBJ.exists():
        sys.exit("build it first: cargo build --release --bin memobj")
    python, rivals = counting.venv(options.python)
    sizes = [100_000, 600_000] if options.quick else [100_000, 600_000, 2_000_000, 10_000_000]
    counting.row(["objects", "tool", "runs", "seconds", "ns/object", "own memory, bytes/object"])
    counting.row(["--:", "---", "--:", "--:", "--:", "--:"])
    for objects in sizes:
        runs = 5 if objects <= 600_000 else 3
        with counting.Target(python, objects) as target:
            for kind in KINDS:
                figures = [taken(target.pid, kind) for _ in range(runs)]
                seconds = statistics.median(seconds for seconds, _ in figures)
                record = figures[-1][1]
                found = record["total_objects"]
                own = record["memobj_peak_bytes"] / found
                name = " ".join(["memobj", *kind])
                counting.row([f"{found:,}", name, str(runs), f"{seconds:.2f}", f"{seconds * 1e9 / found:.0f}", f"{own:.0f}"])
            if options.keep and objects == sizes[-1]:
                taken(target.pid, ["--save-snapshot", options.keep])
        if "guppy" in rivals and objects <= 600_000:
            seconds, _, found, grown, _ = counting.rival(python, objects, "dominos", 1)
            figures = [f"{seconds:.2f}", f"{seconds * 1e9 / found:.0f}", f"{grown / found:.0f}"]
            counting.row([f"{int(found):,}", "guppy3: heap, domisize of ten types", "1", *figures])


if __name__ == "__main__":
    main()
