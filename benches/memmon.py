#!/usr/bin/env python3
"""What watching costs: processor time per sample of memmon and of its rivals, in the same run.

    cargo build --release && python3 benches/memmon.py [--quick] [--only NAME]

Watches one process of 50 MiB and a tree of 201 processes (a root of 50 MiB and 200 forked children that share it and
touch 15 MiB each), at intervals of 1 s and 0.1 s. A watcher's processor time is what the kernel accounts to its threads from 8 s
after its start on (memmon reads everything once at first, which takes it some seconds of its budget), divided by the samples that were due
(a rival that falls behind looks cheaper by that). Every figure is the median of two runs, the watchers taking turns, so that
a machine whose speed drifts spoils all alike. The floor is a loop that only reads `statm` of each process from descriptors kept open.

Rivals are installed from PyPI into target/bench-venv; pidstat is used if it is there (Debian: sysstat).
"""

import argparse
import os
import pathlib
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "target" / "bench-venv"
MEMMON = ROOT / "target" / "release" / "memmon"
RIVALS = ["psutil", "psrecord", "memory_profiler", "setuptools"]

TARGET = """
import os, sys, time, ctypes
ctypes.CDLL(None).prctl(1, 9)
held = b"x" * (50 << 20)
children = int(sys.argv[1])
for _ in range(children):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, 9)
        own = bytearray(15 << 20)
        for i in range(0, len(own), 4096):
            own[i] = 1
        while True:
            time.sleep(1000)
print("ready", flush=True)
while True:
    time.sleep(1000)
"""

PSUTIL_LOOP = """
import psutil, sys, time
root, interval, count, full = psutil.Process(int(sys.argv[1])), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] == ["full"]
start = time.monotonic()
with open("/dev/null", "w") as out:
    for n in range(count):
        time.sleep(max(0, start + n * interval - time.monotonic()))
        total = 0
        for process in [root, *root.children(recursive=True)]:
            try:
                memory = process.memory_full_info() if full else process.memory_info()
                total += memory.rss
            except psutil.Error:
                pass
        print(time.time(), total, file=out, flush=True)
"""


FLOOR = """
import os, sys, time
root, interval, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
pids = [root, *open(f"/proc/{root}/task/{root}/children").read().split()]
kept = [os.open(f"/proc/{pid}/statm", os.O_RDONLY) for pid in pids]
start = time.monotonic()
for n in range(count):
    time.sleep(max(0, start + n * interval - time.monotonic()))
    for descriptor in kept:
        os.pread(descriptor, 128, 0)
"""


def venv():
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    have = subprocess.run([python, "-c", "import psutil, psrecord, memory_profiler"], capture_output=True)
    if have.returncode != 0:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *RIVALS], check=True)
    return python


def watchers(python, folder):
    """Name → command for (pid, interval, seconds); `None` where a rival cannot do that."""

    def memmon(*more):
        return lambda pid, i, s: [MEMMON, "-p", pid, "-i", i, "--duration", s, *more]

    loop = folder / "loop.py"
    loop.write_text(PSUTIL_LOOP)
    floor = folder / "floor.py"
    floor.write_text(FLOOR)
    bin = VENV / "bin"
    found = {
        "memmon --pss never": memmon("--pss", "never"),
        "memmon": memmon(),
        "memmon, sysinfo source": memmon("--source", "sysinfo", "--pss", "never"),
        "the floor: statm, kept open": lambda pid, i, s: [python, floor, pid, i, int(s / i)],
        "psutil loop, RSS": lambda pid, i, s: [python, loop, pid, i, int(s / i)],
        "psutil loop, PSS": lambda pid, i, s: [python, loop, pid, i, int(s / i), "full"],
        "psrecord": lambda pid, i, s: [bin / "psrecord", pid, "--interval", i, "--duration", s, "--include-children",
                                       "--log", folder / "psrecord.txt"],
        "mprof attach -C": lambda pid, i, s: [bin / "mprof", "attach", "--include-children", "--interval", i,
                                              "--timeout", s, "--output", folder / "mprof.dat", pid],
    }
    if shutil.which("pidstat"):
        found["pidstat -r"] = lambda pid, i, s: ["pidstat", "-r", "-p", pids(pid), int(i), int(s / i)] if i >= 1 else None
    return found


def pids(root):
    """The root and its children, as pidstat wants them: it follows no tree by itself."""
    text = pathlib.Path(f"/proc/{root}/task/{root}/children").read_text()
    return ",".join([str(root), *text.split()])


WARM_UP = 8


def accounted(pid):
    """Nanoseconds of processor time of all threads (proc_pid_schedstat), and the largest resident size in KiB."""
    spent = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        spent += int((task / "schedstat").read_text().split()[0])
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return spent, int(status.split("VmHWM:")[1].split()[0])


def measure(command, pid, interval, seconds, folder):
    """Milliseconds of processor time per sample that was due, and the largest resident size in MiB."""
    command = [str(part) for part in command(pid, interval, WARM_UP + seconds + 3)]
    with open(folder / "out", "wb") as out, open(folder / "err", "wb") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=folder)
    try:
        time.sleep(WARM_UP)
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}: {(folder / 'err').read_text()[-300:]}")
        before, _ = accounted(process.pid)
        time.sleep(seconds)
        after, peak = accounted(process.pid)
    finally:
        process.kill()
        process.wait()
    return (after - before) / 1e6 / (seconds / interval), peak / 1024


def target(children, folder):
    script = folder / "target.py"
    script.write_text(TARGET)
    process = subprocess.Popen([sys.executable, script, str(children)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="one short run of each instead of two")
    arguments.add_argument("--only", help="only watchers whose name contains this")
    options = arguments.parse_args()
    if not MEMMON.exists():
        sys.exit("build it first: cargo build --release")
    if not shutil.which("pidstat"):
        print("SKIPPED: pidstat is not installed (Debian: sysstat)", file=sys.stderr)
    python = venv()
    runs = 1 if options.quick else 2
    print(f"kernel {os.uname().release}, {os.cpu_count()} processors, {len([p for p in os.listdir('/proc') if p.isdigit()])} "
          f"processes before the targets; median of {runs} runs, ms of processor time per sample\n")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        columns = {}
        rows = {}
        for children in (0, 200):
            process = target(children, folder)
            try:
                for interval in (1.0, 0.1):
                    seconds = (5 if options.quick else 10) if interval == 1.0 else (3 if options.quick else 6)
                    column = f"{'tree of 201' if children else 'one process'}, {interval:g} s"
                    columns[column] = None
                    taken = {}
                    for _ in range(runs):
                        for watcher, command in watchers(python, folder).items():
                            if options.only and options.only not in watcher:
                                continue
                            if command(process.pid, interval, 1) is None:
                                continue
                            try:
                                figures = measure(command, process.pid, interval, seconds, folder)
                                taken.setdefault(watcher, []).append(figures)
                            except RuntimeError as error:
                                print(f"SKIPPED: {watcher}: {error}", file=sys.stderr)
                    for watcher, figures in taken.items():
                        row = rows.setdefault(watcher, {})
                        row[column] = statistics.median(f[0] for f in figures)
                        row["own RSS, MiB"] = max(row.get("own RSS, MiB", 0), *(f[1] for f in figures))
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
        columns["own RSS, MiB"] = None
        print("| watcher | " + " | ".join(columns) + " |")
        print("|---" * (len(columns) + 1) + "|")
        for watcher, figures in rows.items():
            cells = [f"{figures[c]:.3f}" if c in figures and "RSS" not in c else f"{figures[c]:.1f}" if c in figures else "–" for c in columns]
            print(f"| {watcher} | " + " | ".join(cells) + " |")
        ours = rows.get("memmon --pss never", {})
        print("\nTimes the cost of `memmon --pss never`:\n")
        print("| watcher | " + " | ".join(c for c in columns if "RSS" not in c) + " |")
        print("|---" * len(columns) + "|")
        for watcher, figures in rows.items():
            cells = [f"{figures[c] / ours[c]:.1f}" if figures.get(c) and ours.get(c) else "–" for c in columns if "RSS" not in c]
            print(f"| {watcher} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
