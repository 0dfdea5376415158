"""Tells what it knows of its threads, its collector and its allocator, then holds still.

Its line begins with `ready`, and goes on with JSON. Then it has its allocator print statistics to stderr, says `still` and sleeps.
"""

import _thread
import gc
import json
import os
import sys
import threading
import time

lock = threading.Lock()
lock.acquire()
started = []


def plain():
    started.append(1)
    lock.acquire()


def spread():
    started.append(1)
    values = [
        1,
        lock.acquire(
            True
        ),
        3,
    ]
    return values


def looping():
    for turn in range(3):
        if turn == 2:
            started.append(1)
            while True:
                lock.acquire()


def nested():
    class Holder:
        def method(self):
            started.append(1)
            return [lock.acquire() for _ in range(2)]

    return Holder().method()


def generating():
    def numbers():
        yield 1
        started.append(1)
        yield lock.acquire()

    return list(numbers())


async def waiting():
    started.append(1)
    lock.acquire()


def coroutine():
    try:
        waiting().send(None)
    except StopIteration:
        pass


short = lambda: (started.append(1), lock.acquire())


def deep(left):
    if left:
        return deep(left - 1)
    started.append(1)
    lock.acquire()


def deepest():
    deep(100)


def padded():
    started.append(1)




    # A step over many lines.


























































































































    lock.acquire()


def hold():
    time.sleep(1000)


def tell():
    frames = sys._current_frames()
    main = threading.main_thread()
    known = []
    for thread in threading.enumerate():
        frame = frames[thread.ident]
        code = frame.f_code
        is_main = thread is main
        known.append(
            {
                "name": thread.name,
                "ident": thread.ident,
                "native_id": thread.native_id,
                "daemon": thread.daemon,
                "main": is_main,
                "function": "hold" if is_main else getattr(code, "co_qualname", code.co_name),
                "file": code.co_filename,
                "line": hold.__code__.co_firstlineno + 1 if is_main else frame.f_lineno,
            }
        )
    return known


gc.disable()
gc.collect()
if hasattr(gc, "freeze"):
    gc.freeze()
gc.set_threshold(601, 12, 13)
gc.collect(0)
gc.collect(0)
gc.collect(1)
gc.garbage.extend([[], [], []])
works = [plain, spread, looping, nested, generating, coroutine, short, deepest, padded]
for number, work in enumerate(works):
    name = "wörker-%d-\U0001f40d" % number if number % 3 else "worker-%d" % number
    threading.Thread(target=work, name=name, daemon=number % 2 == 0).start()
_thread.start_new_thread(plain, ())
while len(started) < len(works) + 1:
    time.sleep(0.001)
time.sleep(0.1)
told = {
    "threads": tell(),
    "unnamed": [ident for ident in sys._current_frames() if ident not in threading._active],
    "enabled": gc.isenabled(),
    "thresholds": gc.get_threshold(),
    "counts": gc.get_count(),
    "stats": gc.get_stats(),
    "frozen": gc.get_freeze_count(),
    "garbage": len(gc.garbage),
    "blocks": sys.getallocatedblocks(),
}
os.write(1, ("ready " + json.dumps(told) + "\n").encode())
del told
sys._debugmallocstats()
os.write(1, b"still\n")
hold()
