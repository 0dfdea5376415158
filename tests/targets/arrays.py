"""Makes arrays and scalars of numpy when it is told to, and says what they are: arrays.py

Prints `ready PID`, and waits for a line on stdin. Then it makes them, prints `made` with JSON: of each type, by its full name, how many
and what `sys.getsizeof` says of all of them; and waits until stdin closes. All was made once before, so that what numpy keeps for
itself is there already.
"""

import json
import os
import sys

import numpy as np


class Mine(np.ndarray):
    pass


class Metres(np.float64):
    pass


def make():
    floats = np.arange(1000.0)
    table = np.zeros(10, dtype=[("name", "U10"), ("at", "M8[s]"), ("value", "f8", (3,))])
    records = np.rec.array([(1, 2.0, "a"), (2, 3.0, "bc")], dtype=[("n", "i4"), ("x", "f8"), ("s", "U4")])
    objects = np.empty((4, 5), dtype=object)
    for row in range(4):
        for column in range(5):
            objects[row, column] = np.float32(row + column)
    made = [
        # Owned: of several dimensions, of none, empty, of other orders.
        floats, np.zeros((3, 4, 5), dtype=np.int16), np.array(7.5), np.empty((0, 9)), np.ones((6, 7), order="F"),
        np.array(["one", "three"]), np.array([b"12", b"345"]), np.array([True, False]), table, records,
        # Views: of other arrays, of bytes.
        floats[10:20], floats[::2], floats.reshape(10, 100).T, np.frombuffer(bytes(400), dtype=np.uint8), table["value"],
        np.broadcast_to(np.float64(1.0), (100, 100)),
        # With objects: some that are nowhere else.
        objects, objects[1:3],
        # Of classes.
        floats.view(Mine), np.ma.masked_array([1, 2, 3, 4], mask=[0, 1, 0, 1]),
        # Types of items that are made anew.
        np.dtype([("a", "i4"), ("b", "f8")]), np.dtype("U17"),
        # Rows, and what is one.
        table[3], table[4], records[0], np.void(b"12345"),
        Metres(3.5),
    ]
    for name in ("bool_", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "longlong", "ulonglong",
                 "float16", "float32", "float64", "longdouble", "complex64", "complex128", "clongdouble"):
        made.extend(getattr(np, name)(number + 0.5) for number in range(3))
    made += [np.datetime64("2024-01-02"), np.timedelta64(5, "D")]
    made += [np.str_(text) for text in ("", "plain", "h\xe9", "\u540d\u524d")]
    made += [np.bytes_(text) for text in (b"", b"x", b"abcdefgh")]
    return made


def reached(things):
    """Each thing, with what numpy's objects hold and the collector does not know, once."""
    seen, left = {}, list(things)
    while left:
        thing = left.pop()
        if id(thing) in seen or not isinstance(thing, (np.ndarray, np.generic, np.dtype)):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, np.ndarray):
            left += [thing.base, thing.dtype]
            if thing.dtype == object:
                left += list(thing.flat)
        if isinstance(thing, np.ma.MaskedArray):
            left += list(vars(thing).values())
        if isinstance(thing, np.void):
            left += [thing.base, thing.dtype]
        if isinstance(thing, np.dtype) and thing.fields:
            left += [kind for kind, *_ in thing.fields.values()]
        if isinstance(thing, np.dtype) and thing.subdtype:
            left.append(thing.subdtype[0])
    return list(seen.values())


def kinds(things):
    found = {}
    for thing in things:
        kind = type(thing)
        name = "%s.%s" % (kind.__module__, kind.__qualname__)
        count, size = found.get(name, (0, 0))
        found[name] = (count + 1, size + sys.getsizeof(thing))
    return found


# What is there but once is no news: numpy's own types of items, `numpy.True_`.
one, other = reached(make()), reached(make())
shared = {id(thing) for thing in one} & {id(thing) for thing in other}
kinds(one)
del one, other
os.write(1, b"ready %d\n" % os.getpid())
sys.stdin.readline()
kept = make()
told = json.dumps(kinds(thing for thing in reached(kept) if id(thing) not in shared))
os.write(1, ("made %s\n" % told).encode())
sys.stdin.read()
