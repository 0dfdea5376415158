#!/usr/bin/env python3
"""What a census costs: time, pause and memory of memobj and of its rivals, on the same heaps in the same run.

    cargo build --release --bin memobj && python3 benches/memobj.py [--quick] [--only NAME] [--python INTERPRETER]

Heaps of 0.1, 0.6, 2 and 10 million objects (`heap` below makes them: instances, dicts, lists, tuples, strings, ints, floats, bytes), each in a process of its
own for each tool. memobj looks from outside; the rivals run inside, where they have to, in the main thread, and have been imported before the clock starts:
their time ends when the table they print is there as text. memobj's is that of the whole command, from its start to its end.

Meanwhile another thread of the target notes the longest time between two of its own turns, 0.5 ms apart: its gap.

The floor is what a plain stop and copy takes: every thread seized and interrupted by ptrace, all pages that memobj copies, too, read through /proc/PID/mem in
pieces of 1 MiB into memory that was touched before, and let go. It takes turns with memobj on the same process.

Rivals are installed from PyPI, in pinned versions, into target/bench-memobj-venv. Figures are medians; how many runs they are of stands in the table.
"""

import argparse
import array
import ctypes
import json
import mmap
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "target" / "bench-memobj-venv"
MEMOBJ = ROOT / "target" / "release" / "memobj"
RIVALS = {"pympler": "pympler==1.1", "guppy": "guppy3==3.1.7", "objgraph": "objgraph==3.7.0"}

TARGET = r"""
import gc, os, resource, sys, threading, time

class Session:
    def __init__(self, i):
        self.name = "session-%d" % i
        self.number = 1000 + i
        self.tags = ["tag-%d" % i, "other-%d" % i]

class Slotted:
    __slots__ = ("payload", "ratio")
    def __init__(self, i):
        self.payload = b"%d" % i
        self.ratio = i / 7

def heap(objects):
    # A unit is 6 + 5 + 3 + 2 objects of its own, and a part of the list's.
    return [
        (Session(i), {"key-%d" % i: i + 100000, "score": i / 3, "parts": [i]}, Slotted(i), (str(i), i + 200000))
        for i in range(objects // 17)
    ]

held = heap(int(sys.argv[1]))
gap = 0.0

def tick():
    global gap
    last = time.perf_counter()
    while True:
        time.sleep(0.0005)
        now = time.perf_counter()
        gap = max(gap, now - last)
        last = now

def pympler():
    from pympler import muppy, summary
    def table():
        rows = summary.summarize(muppy.get_objects())
        return "\n".join(summary.format_(rows, limit=20)), sum(row[1] for row in rows)
    return table

def guppy():
    from guppy import hpy
    def table():
        found = hpy().heap()
        return str(found), found.count
    return table

def dominos():
    # For benches/held.py: what would be freed without the objects of each of the ten types that weigh most.
    from guppy import hpy
    def table():
        found = hpy().heap()
        rows = [(str(part.kind), part.domisize) for part in found.bytype.parts[:10]]
        return "\n".join("%s %d" % row for row in rows), found.count
    return table

def objgraph():
    import objgraph
    def table():
        rows = objgraph.most_common_types(limit=1 << 30, shortnames=False)
        return "\n".join("%s %d" % row for row in rows[:20]), sum(row[1] for row in rows)
    return table

def loop():
    # What one writes oneself: tracked objects and sys.getsizeof by type.
    def table():
        rows = {}
        for found in gc.get_objects():
            kind = type(found)
            row = rows.setdefault(kind.__module__ + "." + kind.__qualname__, [0, 0])
            row[0] += 1
            row[1] += sys.getsizeof(found)
        rows = sorted(rows.items(), key=lambda row: -row[1][1])
        return "\n".join("%s %d %d" % (name, *row) for name, row in rows[:20]), sum(row[1][0] for row in rows)
    return table

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

table = globals()[sys.argv[2]]() if sys.argv[2] != "-" else None
threading.Thread(target=tick, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    if line == "table\n":
        before, gap = resident(), 0.0
        # The largest resident set from here on (proc_pid_clear_refs(5)).
        open("/proc/self/clear_refs", "w").write("5")
        start, spent = time.perf_counter(), time.process_time()
        text, found = table()
        took, spent = time.perf_counter() - start, time.process_time() - spent
        peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
        assert len(text.splitlines()) > 5, text
        time.sleep(0.002)
        print(took, spent, found, peak - before, gap, flush=True)
        del text
    elif line == "reset\n":
        gap = 0.0
        print(flush=True)
    elif line == "gap\n":
        print(gap, flush=True)
"""


class Target:
    """A process with a heap."""

    def __init__(self, python, objects, tool="-"):
        command = [python, "-B", "-c", TARGET, str(objects), tool]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        if self.process.stdout.readline() != "ready\n":
            self.close()
            raise RuntimeError(f"the target for {tool} ended with {self.process.returncode}")

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the target ended at {what}")
        return [float(word) for word in answer.split()]

    def memory(self):
        """Resident and proportional set, in bytes."""
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return [int(text.split(name)[1].split()[0]) * 1024 for name in ("Rss:", "\nPss:")]

    def close(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
PAGE = 4096
PIECE = 1 << 20


class Floor:
    """A plain stop and copy of the memory of a process that no file has: what memobj copies."""

    def __init__(self, pid):
        self.pid = pid
        self.buffer = None

    def runs(self):
        """What no file has: present or swapped pages of private mappings that are anonymous (proc_pid_pagemap(5)), in pieces."""
        with open(f"/proc/{self.pid}/pagemap", "rb", buffering=0) as pagemap:
            for line in pathlib.Path(f"/proc/{self.pid}/maps").read_text().splitlines():
                fields = line.split()
                if not fields[1].endswith("p") or not fields[1].startswith("r") or fields[-1].startswith("[v"):
                    continue
                low, high = (int(part, 16) for part in fields[0].split("-"))
                words = array.array("Q", os.pread(pagemap.fileno(), (high - low) // PAGE * 8, low // PAGE * 8))
                start = None
                for number, word in enumerate(words):
                    # Bits 63 and 62: present, swapped; 61: of a file or shared.
                    if word >> 62 and not word >> 61 & 1:
                        if start is None:
                            start = number
                        if number + 1 - start == PIECE // PAGE:
                            yield low + start * PAGE, PIECE
                            start = None
                    elif start is not None:
                        yield low + start * PAGE, (number - start) * PAGE
                        start = None
                if start is not None:
                    yield low + start * PAGE, (len(words) - start) * PAGE

    def take(self):
        """Seconds that the target stood still, and bytes copied."""
        runs = list(self.runs())
        wanted = sum(length for _, length in runs)
        if self.buffer is None or len(self.buffer) < wanted:
            self.buffer = mmap.mmap(-1, wanted + (wanted >> 3), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self.buffer.madvise(mmap.MADV_HUGEPAGE)
            for at in range(0, len(self.buffer), PAGE):
                self.buffer[at] = 1
        view = memoryview(self.buffer)
        memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY)
        tasks = [int(task) for task in os.listdir(f"/proc/{self.pid}/task")]
        for task in tasks:
            self.ptrace(PTRACE_SEIZE, task)
        held_back = {}
        start = time.perf_counter()
        for task in tasks:
            self.ptrace(PTRACE_INTERRUPT, task)
        for task in tasks:
            _, status = os.waitpid(task, WALL)
            # A signal that was on its way is handed on, not swallowed.
            held_back[task] = os.WSTOPSIG(status) if status >> 16 == 0 else 0
        copied = 0
        for low, length in runs:
            copied += os.preadv(memory, [view[copied : copied + length]], low)
        for task in tasks:
            self.ptrace(PTRACE_DETACH, task, held_back[task])
        took = time.perf_counter() - start
        os.close(memory)
        return took, copied

    def ptrace(self, request, task, data=0):
        if libc.ptrace(request, task, 0, data) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {task}")


def census(pid, *options):
    """Seconds of the whole command, its processor time, its largest resident set, and its record."""
    start = time.perf_counter()
    process = subprocess.Popen([MEMOBJ, "-p", str(pid), "--count", "1", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out = process.stdout.read()
    err = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"memobj ended with {process.returncode}: {err.decode()[-500:]}")
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, json.loads(out.splitlines()[-1])


def venv(interpreter):
    """The interpreter of an environment with the rivals, and the rivals that work in it."""
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([interpreter, "-m", "venv", VENV], check=True)
    works = []
    for name, package in RIVALS.items():
        imported = [python, "-c", f"import {name}"]
        if subprocess.run(imported, capture_output=True).returncode != 0:
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
            made = subprocess.run(pip, capture_output=True, text=True)
            if made.returncode != 0 or subprocess.run(imported, capture_output=True).returncode != 0:
                last = (made.stderr.strip().splitlines() or ["it cannot be imported"])[-1]
                print(f"SKIPPED: {package} does not install: {last}", file=sys.stderr)
                continue
        works.append(name)
    return python, works


def ours(python, objects, runs):
    """memobj and the floor, in turns on one process."""
    figures = []
    with Target(python, objects) as target:
        floor = Floor(target.pid)
        # Once each unmeasured: the floor's memory is made, and files are read into the kernel's cache.
        floor.take()
        census(target.pid)
        before = target.memory()
        for _ in range(runs):
            took, copied = floor.take()
            target.ask("reset")
            whole, spent, peak, record = census(target.pid)
            # Its other thread has had a turn since.
            time.sleep(0.02)
            (gap,) = target.ask("gap")
            if record["method"] != "stopped":
                raise RuntimeError(f"memobj did not stop the target: {record['live_reason']}")
            figures.append({
                "floor": took * 1e3 / (copied / 1e6),
                "seconds": whole,
                "spent": spent,
                "peak": max(peak, record["memobj_peak_bytes"]),
                "gap": gap,
                "pause": record["pause_seconds"],
                "copied": copied,
                "objects": record["total_objects"],
                "tries": record["attempts"],
            })
        after = target.memory()
    medians = {name: statistics.median(f[name] for f in figures) for name in figures[0]}
    medians["changed"] = [b - a for a, b in zip(before, after)]
    return medians


def accounts(python, sizes):
    """A census without an account of the resident set and one with it, in turns on one process."""
    row(["heap", "resident MB", "pause, ms", "with --memory", "times", "seconds", "with --memory", "times", "own peak RSS, MB", "with --memory", "explained, %"])
    row(["---"] * 11)
    for objects in sizes:
        figures = []
        with Target(python, objects) as target:
            census(target.pid)
            for _ in range(5 if objects <= 2_000_000 else 3):
                taken = [census(target.pid), census(target.pid, "--memory")]
                memory = taken[1][3]["memory"]
                figures.append((
                    [record["pause_seconds"] * 1e3 for *_, record in taken],
                    [seconds for seconds, *_ in taken],
                    [peak / 1e6 for *_, peak, _ in taken],
                    memory["rss_bytes"] / 1e6,
                    memory["explained_ratio"] * 100,
                ))
        median = lambda of: statistics.median(of(f) for f in figures)
        cells = [f"{objects:,}", f"{median(lambda f: f[3]):.0f}"]
        for which, digits in [(0, 1), (1, 3)]:
            plain, whole = (median(lambda f: f[which][side]) for side in (0, 1))
            cells += [f"{plain:.{digits}f}", f"{whole:.{digits}f}", f"{whole / plain:.2f}"]
        cells += [f"{median(lambda f: f[2][side]):.0f}" for side in (0, 1)]
        row([*cells, f"{median(lambda f: f[4]):.2f}"])


def rival(python, objects, tool, runs):
    figures = []
    for _ in range(runs):
        # A new process each time: what one of them leaves behind is what the next would find.
        with Target(python, objects, tool) as target:
            figures.append(target.ask("table"))
    return [statistics.median(column) for column in zip(*figures)]


def row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="the two small heaps alone")
    arguments.add_argument("--only", help="only tools whose name contains this")
    arguments.add_argument("--memory", action="store_true", help="only what the account of the resident set costs")
    arguments.add_argument("--python", default=sys.executable, help="the interpreter to look at")
    options = arguments.parse_args()
    python, rivals = venv(options.python)
    version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    tools = [tool for tool in ["memobj", *rivals, "loop"] if not options.only or options.only in tool]
    if "memobj" in tools and not MEMOBJ.exists():
        sys.exit("build it first: cargo build --release --bin memobj")
    sizes = [100_000, 600_000] if options.quick else [100_000, 600_000, 2_000_000, 10_000_000]
    print(f"{version}, kernel {os.uname().release}, {os.cpu_count()} processors\n")
    if options.memory:
        accounts(python, sizes)
        return
    found, rows = {}, []
    for objects in sizes:
        runs = 5 if objects <= 2_000_000 else 3
        if "memobj" in tools:
            found[objects] = figures = ours(python, objects, runs)
            rows.append((objects, "memobj", runs, figures["seconds"], figures["spent"], figures["objects"], 0, figures["gap"]))
        for tool in tools:
            if tool == "memobj":
                continue
            runs = 3 if objects <= 600_000 else 1
            try:
                seconds, spent, count, grown, gap = rival(python, objects, tool, runs)
                rows.append((objects, tool, runs, seconds, spent, count, grown, gap))
            except RuntimeError as error:
                print(f"SKIPPED: {tool} at {objects}: {error}", file=sys.stderr)
    names = {"pympler": "pympler: muppy + summary", "guppy": "guppy3: hpy().heap()", "objgraph": "objgraph: most_common_types", "loop": "loop over gc.get_objects and getsizeof"}
    row(["heap", "tool", "n", "seconds until the table", "times memobj's", "processor seconds", "times memobj's", "objects in it", "target's gap, ms", "added to the target's peak RSS, MB"])
    row(["---"] * 10)
    for objects, tool, runs, seconds, spent, count, grown, gap in rows:
        base = found.get(objects)
        times = f"{seconds / base['seconds']:.1f}" if base else "–"
        times_spent = f"{spent / base['spent']:.1f}" if base else "–"
        row([f"{objects:,}", names.get(tool, tool), str(runs), f"{seconds:.3f}", times, f"{spent:.3f}", times_spent, f"{count:,.0f}", f"{gap * 1e3:.1f}", f"{grown / 1e6:.1f}"])
    if found:
        print()
        row(["heap", "objects", "MB copied", "pause, ms", "ms per MB", "floor, ms per MB", "times the floor", "whole, ns per object", "processor, ns per object",
             "own peak RSS, MB", "copied + 24 B per object, MB", "target's RSS, PSS changed, KB"])
        row(["---"] * 12)
        for objects, f in found.items():
            per_mb = f["pause"] * 1e3 / (f["copied"] / 1e6)
            row([f"{objects:,}", f"{f['objects']:,.0f}", f"{f['copied'] / 1e6:.1f}", f"{f['pause'] * 1e3:.1f}", f"{per_mb:.3f}", f"{f['floor']:.3f}",
                 f"{per_mb / f['floor']:.2f}", f"{f['seconds'] * 1e9 / f['objects']:.0f}", f"{f['spent'] * 1e9 / f['objects']:.0f}", f"{f['peak'] / 1e6:.1f}",
                 f"{(f['copied'] + 24 * f['objects']) / 1e6:.1f}", ", ".join(f"{c / 1e3:+.0f}" for c in f["changed"])])


if __name__ == "__main__":
    main()
