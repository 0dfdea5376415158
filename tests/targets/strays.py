"""Leaves objects that the program cannot reach, of each kind: garbage in circles, uncollectable ones, some that native code holds, some
to which a reference was given up without being counted down, as a faulty extension does.

`N` objects of a class for each. Prints `ready PID`, and waits for the end of its input.
"""
import ctypes
import gc
import os
import sys

N = 40
gc.disable()
keep = ctypes.pythonapi.Py_IncRef
keep.argtypes, keep.restype = [ctypes.py_object], None


class Circle:
    def __init__(self):
        self.me = self


class Saved(Circle):
    pass


class Child:
    pass


class Leaked:
    def __init__(self):
        self.child = Child()


class Pinned(Circle):
    pass


class Held(Circle):
    pass


def saved():
    """In a function of its own: what runs leaves what it last had on its stack."""
    return list(filter(lambda each: isinstance(each, Saved), gc.garbage))


gc.set_debug(gc.DEBUG_SAVEALL)
for number in range(N):
    Saved()
gc.collect()
gc.set_debug(0)
gc.garbage[:] = saved()
for number in range(N):
    Circle()
    keep(Leaked())
    keep(Pinned())
held = [Held() for number in range(N)]
for each in held:
    keep(each)
del each
print("ready", os.getpid(), flush=True)
sys.stdin.read()
