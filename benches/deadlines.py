#!/usr/bin/env python3
"""How long memobj holds a process at most: with a deadline, and when memobj itself is stopped, killed or debugged in the middle.

    cargo build --release --bin memobj && python3 benches/deadlines.py [--tries 1000] [--only CASE] [--quota 5] [--memobj FILE] [--python INTERPRETER]

The target is a Python with a thread that never sleeps, so that each census has to stop it. A watcher at real-time priority, outside of both, reads
the state of that thread every 0.2 ms. A pause is the time from the first look that finds it in a tracing stop to the first that does not.

Deadlines (`--max-pause 30ms`; the copy takes about as long): how long each pause was, in
    idle      nothing else runs
    busy      two programs that never sleep on each processor
    blocked   a thread of the target is in state D every other 100 ms: its vfork child sleeps
    threads   2,000 threads
    quota     memobj in a control group of 5 % of a processor, where one can be made, and without CAP_SYS_NICE: a real-time thread has no quota

Ends (`--max-pause 1m`; the copy takes some 20 ms): the time from the attack on memobj during a pause to the moment when the target runs on
    STOP, KILL    the signal
    debugger      PTRACE_ATTACH to each thread of memobj, as gdb does
    OOM           the kernel kills memobj, whose control group may have no more memory, where one can be made

Needs root. One line a case: tries, then the median, the 99th percentile and the longest time in ms, and the number above the limit.
"""

import argparse
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEADLINE_MS, ALLOWED_MS, FREE_MS = 30, 10, 250
LOOK = 0.0002
CGROUP = "/sys/fs/cgroup"
WITHOUT_NICE = ["setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice"]
MEMORY = (CGROUP, {"memory.max": "max"}), (f"{CGROUP}/memory", {"memory.limit_in_bytes": "-1"})
PTRACE_ATTACH, WALL = 16, 0x40000000

TARGET = r"""
import ctypes, sys, threading, time
megabytes, threads, library = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
# Small objects: the insides of large ones are not copied.
held = [b"x" * (400 + i % 2) for i in range(2300 * megabytes)]
threading.stack_size(128 << 10)
for _ in range(threads):
    threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
def block():
    wait = ctypes.CDLL(library).wait_in_state_d
    while True:
        wait(100)
        time.sleep(0.1)
if library:
    threading.Thread(target=block, daemon=True).start()
sys.setswitchinterval(0.001)
print("ready", flush=True)
while True:
    pass
"""

BLOCK = r"""
#include <unistd.h>
void wait_in_state_d(int milliseconds) { if (vfork() == 0) { usleep(milliseconds * 1000); _exit(0); } }
"""


class Target:
    """A Python that never sleeps, and the state of its main thread."""

    def __init__(self, python, megabytes, threads=0, library=""):
        command = [python, "-c", TARGET, str(megabytes), str(threads), library]
        # It must run, but it need not keep a shared machine from others. Its threads stop later for that.
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=lambda: os.nice(5))
        assert self.process.stdout.readline() == b"ready\n"
        self.pid = self.process.pid
        self.stat = os.open(f"/proc/{self.pid}/task/{self.pid}/stat", os.O_RDONLY)

    def is_held(self):
        return os.pread(self.stat, 200, 0).rpartition(b") ")[2][:1] == b"t"

    def end(self):
        os.close(self.stat)
        self.process.kill()
        self.process.wait()


def wait_until(condition, limit):
    """The moment at which it holds; `None` if it does not within `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if condition():
            return time.monotonic()
        time.sleep(LOOK)
    return None


def show(case, times, limit, note=""):
    times = sorted(1000 * t for t in times)
    if not times:
        print(f"| {case} | 0 | | | | {note} |", flush=True)
        return
    above = sum(t > limit for t in times)
    at = lambda part: times[min(len(times) - 1, int(part * len(times)))]
    print(f"| {case} | {len(times)} | {at(0.5):.1f} | {at(0.99):.1f} | {times[-1]:.1f} | {above} {note} |", flush=True)


def quota(percent):
    time = str(percent * 1000)
    return (CGROUP, {"cpu.max": f"{time} 100000"}), (f"{CGROUP}/cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": time})


def start(options, target, limit, before=None, starter=()):
    # Pauses do not depend on the priority of the analysis, but the time until the first one does.
    command = [*starter, options.memobj, "-p", str(target.pid), "-i", "10ms", "--nice", "0", "--max-pause", limit, "--format", "jsonl"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=before)


def deadlines(options, case):
    burners, group = [], None
    with tempfile.TemporaryDirectory() as folder:
        library, before = "", None
        if case == "blocked":
            source, library = pathlib.Path(folder, "block.c"), f"{folder}/block.so"
            source.write_text(BLOCK)
            subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
        if case == "busy":
            burner = [sys.executable, "-c", "while True: pass"]
            burners = [subprocess.Popen(burner) for _ in range(2 * os.cpu_count())]
        if case == "quota":
            group = control_group(quota(options.quota))
            if group is None:
                return show(case, [], 0, "no control group can be made here")
            before = lambda: (group / "cgroup.procs").write_text(str(os.getpid()))
        target = Target(options.python, options.megabytes, 2000 if case == "threads" else 0, library)
        memobj = start(options, target, f"{DEADLINE_MS}ms", before, WITHOUT_NICE if group else ())
        pauses, end = [], time.monotonic() + options.limit
        while len(pauses) < options.tries and time.monotonic() < end and memobj.poll() is None:
            begun = wait_until(target.is_held, 5)
            if begun is not None:
                pauses.append(wait_until(lambda: not target.is_held(), 60) - begun)
        note = f"(memobj ended with {memobj.returncode})" if memobj.poll() is not None else ""
        memobj.kill()
        memobj.wait()
        for process in burners:
            process.kill()
            process.wait()
        target.end()
    if group is not None:
        time.sleep(0.3)
        group.rmdir()
    show(case, pauses, DEADLINE_MS + ALLOWED_MS, note)


def control_group(choices):
    """A new control group below the first of these folders that has the files, with their contents; `None` if there is none."""
    for root, files in choices:
        group = pathlib.Path(root, "memobj-deadlines")
        try:
            group.mkdir(exist_ok=True)
            if not (group / "cgroup.procs").exists():
                raise OSError("no control group, only a folder")
            for name, value in files.items():
                (group / name).write_text(value)
            return group
        except OSError:
            if group.is_dir():
                group.rmdir()
    return None


class Memory:
    """A control group whose memory can be made to end."""

    def __init__(self):
        self.group = control_group(MEMORY)
        is_first = self.group is not None and (self.group / "memory.max").exists()
        self.limit, self.usage = ("memory.max", "memory.current") if is_first else ("memory.limit_in_bytes", "memory.usage_in_bytes")

    def enter(self):
        (self.group / self.limit).write_text("max" if self.limit == "memory.max" else "-1")
        (self.group / "cgroup.procs").write_text(str(os.getpid()))

    def end(self):
        """No page more than now. What frees some meanwhile makes the kernel refuse the limit: then once more."""
        for _ in range(100):
            try:
                (self.group / self.limit).write_text((self.group / self.usage).read_text())
                return
            except OSError:
                pass


def reap(pid, tids):
    """Kills a process whose threads we trace, and waits for all of them. The kernel keeps each until its tracer has waited for it, and the main
    thread until then. `Popen.kill` would take the report of a traced thread that stopped for the end of the process."""
    os.kill(pid, signal.SIGKILL)
    left = set(tids)
    while left:
        for tid in tuple(left):
            try:
                reported, status = os.waitpid(tid, WALL | os.WNOHANG)
            except ChildProcessError:
                left.remove(tid)
                continue
            if reported and not os.WIFSTOPPED(status):
                left.remove(tid)
        time.sleep(LOOK)


def ends(options, case):
    libc = ctypes.CDLL(None, use_errno=True)
    memory = Memory() if case == "OOM" else None
    if memory and memory.group is None:
        return show(case, [], 0, "no control group can be made here")
    target = Target(options.python, options.megabytes)
    times, missed, end = [], 0, time.monotonic() + options.limit
    while len(times) < options.tries and time.monotonic() < end:
        memobj = start(options, target, "1m", memory and memory.enter)
        begun = wait_until(target.is_held, 30)
        if begun is None:
            memobj.kill()
            memobj.wait()
            continue
        # The later the attack, the less memory memobj still needs.
        time.sleep(0 if memory else 0.001 * (len(times) % 10))
        was_held, at = target.is_held(), time.monotonic()
        if case == "debugger":
            tids = [int(tid) for tid in os.listdir(f"/proc/{memobj.pid}/task")]
            for tid in tids:
                libc.ptrace(PTRACE_ATTACH, tid, None, None)
        elif memory:
            memory.end()
        else:
            memobj.send_signal(getattr(signal, f"SIG{case}"))
        free = wait_until(lambda: not target.is_held(), 30)
        # It may have been let go a moment before the attack.
        was_killed = not memory or wait_until(lambda: memobj.poll() is not None, 0.1) is not None
        if was_held and free is not None and was_killed and (case == "KILL" or free - at > 0.001):
            times.append(free - at)
        elif free is None:
            times.append(30)
        else:
            missed += 1
        if case == "debugger":
            reap(memobj.pid, tids)
        else:
            memobj.kill()
        memobj.wait()
    target.end()
    if memory:
        time.sleep(0.3)
        memory.group.rmdir()
    show(case, times, FREE_MS, f"({missed} came too late)" if missed else "")


def main():
    cases = {case: deadlines for case in ("idle", "busy", "blocked", "threads", "quota")}
    cases |= {case: ends for case in ("STOP", "KILL", "debugger", "OOM")}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--limit", type=float, default=3600, help="seconds for each case")
    parser.add_argument("--megabytes", type=int, default=60)
    parser.add_argument("--quota", type=int, default=5, help="percent of a processor")
    parser.add_argument("--only", choices=cases, action="append")
    parser.add_argument("--memobj", default=ROOT / "target" / "release" / "memobj")
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    print("| case | tries | median | p99 | longest | above the limit |\n|---|--:|--:|--:|--:|--:|", flush=True)
    for case in options.only or cases:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(10))
        cases[case](options, case)


if __name__ == "__main__":
    main()
