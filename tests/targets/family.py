"""Shares memory among children and threads: family.py CHILDREN MIB THREADS

Touches MIB of memory of its own and a quarter as much of shared memory, then forks CHILDREN, which share all of it, and
runs THREADS threads besides the first one in each process. Prints `ready PID` when all are there; from then on nothing
moves. All end when the first one's stdin closes.
"""

import mmap
import os
import sys
import threading


def main(children, mib, threads):
    own = bytearray(b"\1") * (mib << 20)
    shared = mmap.mmap(-1, max(mib << 18, 1))
    shared[:] = b"\1" * len(shared)
    life, keep_alive = os.pipe()
    ready, tell_ready = os.pipe()
    first = True
    for _ in range(children):
        if os.fork() == 0:
            os.close(keep_alive)
            os.close(0)
            first = False
            break
    # A fork leaves it to the child to map what is shared.
    shared[:: mmap.PAGESIZE]
    for _ in range(threads):
        # Held up by a lock that nobody lets go of.
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    if first:
        left = children
        while left > 0:
            left -= len(os.read(ready, 65536))
        print("ready", os.getpid(), flush=True)
        while os.read(0, 65536):
            pass
        os.close(keep_alive)
        for _ in range(children):
            os.wait()
    else:
        os.write(tell_ready, b".")
        os.read(life, 1)
    # At once: an orderly end would write to the pages that are shared.
    os._exit(int(len(own) != mib << 20))


main(*map(int, sys.argv[1:]))
