#!/usr/bin/env python3
"""Whether memmon itself grows: its resident size over 100,000 samples of a tree whose children come and go.

    cargo build --release && python3 benches/flat.py [SAMPLES]

At the shortest interval of 10 ms, 100,000 samples take 17 minutes. The target starts five short-lived children and one of a second
each second, so that everything memmon keeps for a process is made and freed thousands of times. Prints the resident size in
KiB of memmon at tenths of the way, and fails if it grew by more than 256 KiB after the first tenth.
"""

import pathlib
import subprocess
import sys
import time

MEMMON = pathlib.Path(__file__).resolve().parent.parent / "target" / "release" / "memmon"
TARGET = "while :; do sleep 1 & for i in 1 2 3 4 5; do /bin/true; sleep 0.18; done; done"


def main():
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    target = subprocess.Popen(["sh", "-c", TARGET])
    watcher = subprocess.Popen(
        [MEMMON, "-p", str(target.pid), "-i", "10ms", "--count", str(samples)], stdout=subprocess.PIPE)
    sizes = []
    try:
        taken = 0
        for line in watcher.stdout:
            if not line.startswith(b'{"type":"process",'):
                continue
            taken += 1
            if taken % (samples // 10) == 0 and taken < samples:
                status = pathlib.Path(f"/proc/{watcher.pid}/status").read_text()
                sizes.append(int(status.split("VmRSS:")[1].split()[0]))
                print(f"{time.strftime('%H:%M:%S')}  {taken:>7} samples  {sizes[-1]} KiB", flush=True)
    finally:
        watcher.kill()
        target.kill()
    if max(sizes) - sizes[0] > 256:
        sys.exit(f"it grew by {max(sizes) - sizes[0]} KiB")
    print(f"flat: from {sizes[0]} to {max(sizes)} KiB over {samples} samples")


if __name__ == "__main__":
    main()
