#!/usr/bin/env python3
"""How soon memobj ends after Ctrl-C, at a random moment of a census with the graph of all references.

    cargo build --release --bin memobj && python3 benches/interrupting.py [--tries 50] [--memobj FILE] [--python INTERPRETER] [-- OPTION…]

The target has 1.5 million instances with a dict or their own values, a string and a list each. The time is from the signal to the end of memobj
as its parent sees it: the kernel has released all memory of it by then. Prints the median, the 90th percentile and the longest in ms.
"""

import argparse
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import time

TARGET = """
import time
class Item:
    def __init__(self, n):
        self.number, self.text, self.numbers = n, str(n), [n]
items = [Item(n) for n in range(1_500_000)]
print("ready", flush=True)
while True:
    time.sleep(0.5)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--memobj", type=pathlib.Path, default=pathlib.Path("target/release/memobj"))
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("options", nargs="*", help="options of memobj")
    arguments = parser.parse_args()

    target = subprocess.Popen([arguments.python, "-c", TARGET], stdout=subprocess.PIPE)
    try:
        target.stdout.readline()
        command = [arguments.memobj, "--holders", "--retained", "-i", "10", "-p", str(target.pid), *arguments.options]
        took = []
        for _ in range(arguments.tries):
            memobj = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.uniform(0.05, 6))
            begun = time.monotonic()
            memobj.send_signal(signal.SIGINT)
            memobj.wait()
            took.append(1000 * (time.monotonic() - begun))
    finally:
        target.kill()
    took.sort()
    load = pathlib.Path("/proc/loadavg").read_text().split()[0]
    print(f"{len(took)} tries: median {statistics.median(took):.0f}, p90 {took[len(took) * 9 // 10]:.0f}, longest {took[-1]:.0f} ms; load {load}")


if __name__ == "__main__":
    main()
