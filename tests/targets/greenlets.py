"""Suspends code, and says what memobj is to find of it, by what it knows from inside.

    greenlets.py greenlet       in greenlets
    greenlets.py generator      in generators, which do the same
    greenlets.py leak           in more and more greenlets that only their own variables refer to
    greenlets.py gevent         the same in those of gevent
    greenlets.py strange        the same in greenlets whose structs are none that any greenlet has

Prints `as OWNER` for kinds of suspended code, `{"TYPE": [COUNT, BYTES], ...}` of what their variables have, then `ready PID`.
"""
import gc
import json
import os
import sys
import time

gc.disable()


class Payload(bytes):
    """So much that its holder is not left out for being too light."""


class Jar:
    pass


class Inner:
    pass


def work(number):
    jar, payload = Jar(), Payload(100000)
    inside(number)
    return jar, payload


def inside(number):
    inner, payload = Inner(), Payload(1000 + number)
    main.switch()
    return inner, payload


def alone():
    me, hoard, weight = greenlet.getcurrent(), [Jar() for _ in range(1000)], bytearray(100000)
    main.switch()
    return me, hoard, weight


def work_twin(number):
    jar, payload = Jar(), Payload(100000)
    yield from inside_twin(number)
    return jar, payload


def inside_twin(number):
    inner, payload = Inner(), Payload(1000 + number)
    yield
    return inner, payload


def say(frame, name):
    print(f"as greenlet __main__.{name}, waiting at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}", flush=True)


def count(frame, found):
    """Counts what the variables of a frame have."""
    for value in frame.f_locals.values():
        if type(value) in (Jar, Inner, Payload):
            found.setdefault(id(value), (type(value).__name__, sys.getsizeof(value)))


def suspend(kind):
    found = {}
    if kind == "generator":
        waiting = [work_twin(number) for number in range(40)]
        for each in waiting:
            next(each)
            count(each.gi_frame, found)
            count(each.gi_yieldfrom.gi_frame, found)
    else:
        waiting = [greenlet.greenlet(work) for number in range(40)]
        for number, each in enumerate(waiting):
            each.switch(number)
            frame = each.gr_frame
            while frame:
                count(frame, found)
                frame = frame.f_back
        say(waiting[0].gr_frame, "work")
        lonely = greenlet.greenlet(alone)
        lonely.switch()
        say(lonely.gr_frame, "alone")
        for value in lonely.gr_frame.f_locals["hoard"]:
            found[id(value)] = ("Jar", sys.getsizeof(value))
    truth = {}
    for name, size in found.values():
        number, total = truth.get(f"__main__.{name}", (0, 0))
        truth[f"__main__.{name}"] = (number + 1, total + size)
    print(json.dumps(truth), flush=True)
    return waiting


def forgotten():
    me, payload = greenlet.getcurrent(), bytes(20000)
    switch()
    return me, payload


def switch():
    main.switch()


def forgotten_by_gevent():
    event, payload = Event(), Payload(20000)
    event.wait()
    return event, payload


kept = []


def make_strange(each):
    """Gives a greenlet a struct in which only its frame is left."""
    pointer = ctypes.c_uint64.from_address(id(each) + object.__basicsize__ + 16)
    words = (ctypes.c_uint64 * 32).from_address(pointer.value)
    frame = id(each.gr_frame)
    other = (ctypes.c_uint64 * 32)(*(word if word == frame else 0 for word in words))
    kept.append(other)
    pointer.value = ctypes.addressof(other)


def leak(kind):
    said = False
    while True:
        if kind == "gevent":
            each = gevent.spawn(forgotten_by_gevent)
            gevent.sleep(0.005)
        else:
            each = greenlet.greenlet(forgotten)
            each.switch()
            time.sleep(0.005)
        if not said:
            said = True
            say(each.gr_frame, "forgotten_by_gevent" if kind == "gevent" else "forgotten")
            print("ready", os.getpid(), flush=True)
        if kind == "strange":
            make_strange(each)


if sys.argv[1] == "gevent":
    import gevent
    from gevent.event import Event
if sys.argv[1] == "strange":
    import ctypes
if sys.argv[1] != "generator":
    import greenlet

    main = greenlet.getcurrent()
if sys.argv[1] not in ("greenlet", "generator"):
    leak(sys.argv[1])
waiting = suspend(sys.argv[1])
print("ready", os.getpid(), flush=True)
sys.stdin.read()
