"""Grows: grow.py MIB_PER_SECOND [MIB_AT_MOST]

Prints `ready PID`, then takes memory at that rate in ten steps a second, and keeps it, until it has the most or stdin closes.
Prints `grown` when it has the most, and stays as it is until stdin closes.
"""

import os
import select
import sys
import time


def main(rate, most):
    print("ready", os.getpid(), flush=True)
    kept = []
    taken = 0
    start = time.monotonic()
    full = False
    while not full or os.read(0, 1):
        due = min((time.monotonic() - start) * rate, most)
        if due - taken >= rate / 10 or due == most:
            kept.append(bytearray(b"\1") * int((due - taken) * (1 << 20)))
            taken = due
        if taken == most and not full:
            full = True
            print("grown", flush=True)
        if not full and select.select([0], [], [], 0.02)[0] and not os.read(0, 1):
            return


main(float(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else float("inf"))
