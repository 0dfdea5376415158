"""Freezes what it has, makes a few objects more, says how many there are of both, then waits.

Run as `python -I -S frozen.py FILE`; FILE gets no objects.
"""

import ctypes
import gc
import os
import sys


def main():
    with open(sys.argv[1], "w") as out:
        out.write("end\n")
    runtime = ctypes.addressof(ctypes.c_char.in_dll(ctypes.PyDLL(None), "_PyRuntime"))
    gc.collect()
    gc.disable()
    gc.freeze()
    kept = [[] for _ in range(1000)]
    # Numbers are not the collector's, and the list that is counted here is gone again.
    frozen, tracked = gc.get_freeze_count(), len(gc.get_objects())
    os.write(1, b"runtime %d\nhexversion %d\n" % (runtime, sys.hexversion))
    os.write(1, b"frozen %d\ntracked %d\nready\n" % (frozen, tracked))
    os.read(0, 1)
    return kept


main()
