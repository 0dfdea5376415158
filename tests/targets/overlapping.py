"""Holds a tuple that no Python makes: overlapping.py COUNT

It is the first of COUNT that lie one upon the other: each claims all the memory behind its head for its items, which has the heads of
all the others. Prints `ready PID` and waits until stdin closes; then it leaves without looking at them.
"""

import ctypes
import gc
import os
import sys

count = int(sys.argv[1])
gc.disable()
# A reference count that nothing brings down, the type, the size, and what else a tuple has before its items; then one item.
head = tuple.__basicsize__ // 8
words = (ctypes.c_uint64 * (count * (head + 1)))()
start = ctypes.addressof(words)
for number in range(count):
    at = number * (head + 1)
    words[at] = 1 << 20
    words[at + 1] = id(tuple)
    words[at + 2] = len(words) - at - head
    behind = (at + head + 1) % len(words)
    words[at + head] = start + 8 * behind
held = ctypes.cast(ctypes.pointer(ctypes.c_uint64(start)), ctypes.POINTER(ctypes.py_object)).contents.value
os.write(1, b"ready %d\n" % os.getpid())
sys.stdin.read()
os._exit(0)
