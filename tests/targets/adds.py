"""Adds to containers, each from a line of its own that it prints, and removes from them on other lines."""

import collections
import functools
import gc
import json
import os
import sys
import threading
import time
import types

DICT, LIST, SET, BYTES = {}, [], set(), bytearray()
DEQUE, ORDERED, DEFAULT = collections.deque(), collections.OrderedDict(), collections.defaultdict(list)
UPDATED, MAPPED, SETDEFAULT, EXTENDED, THREADED, AWAITED = {}, set(), {}, [], [], {}
GLOBALS = types.ModuleType("extension").__dict__


class Registry:
    def __init__(self):
        self.entries = {}

    def register(self, n):
        self.entries[n] = [n]

    def forget(self):
        self.entries.popitem()


REGISTRY = Registry()


def add_dict(n):
    DICT[n] = n


def add_list(n):
    LIST.append(n)


def add_set(n):
    SET.add(n)


def add_bytes(n):
    BYTES.append(n % 256)


def add_deque(n):
    DEQUE.append(n)


def add_ordered(n):
    ORDERED[n] = n


def add_default(n):
    DEFAULT[n].append(n)


def add_updated(n):
    UPDATED.update({n: n})


def add_mapped(n):
    list(map(MAPPED.add, [n]))


def add_setdefault(n):
    return SETDEFAULT.setdefault(n, [])


def add_extended(n):
    EXTENDED.extend([n])


def add_global(n):
    GLOBALS["name%d" % n] = n


@functools.lru_cache(maxsize=None)
def cached(n):
    return n


def add_cached(n):
    return cached(n)


def add_threaded(n):
    THREADED.append(n)


async def add_awaited(n):
    AWAITED[n] = n


async def await_awaited(n):
    await add_awaited(n)


def dispatch(add, n):
    add(n)


def dispatch_awaited(n):
    try:
        await_awaited(n).send(None)
    except StopIteration:
        pass


def remove(n):
    if n % 4 == 3:
        DICT.popitem()
        LIST.pop()
        SET.pop()
        DEQUE.popleft()
        REGISTRY.forget()


def in_thread():
    for n in range(1 << 40):
        dispatch(add_threaded, n)
        time.sleep(0.003)


# The name, the container, its kind, the function that adds, the function that calls it.
SHAPES = [
    ("dict", DICT, "dict", add_dict, dispatch),
    ("list", LIST, "list", add_list, dispatch),
    ("set", SET, "set", add_set, dispatch),
    ("bytearray", BYTES, "list", add_bytes, dispatch),
    ("deque", DEQUE, "list", add_deque, dispatch),
    ("ordered", ORDERED, "dict", add_ordered, dispatch),
    ("default", DEFAULT, "dict", add_default, dispatch),
    ("updated", UPDATED, "dict", add_updated, dispatch),
    ("mapped", MAPPED, "set", add_mapped, dispatch),
    ("setdefault", SETDEFAULT, "dict", add_setdefault, dispatch),
    ("extended", EXTENDED, "list", add_extended, dispatch),
    ("global", GLOBALS, "dict", add_global, dispatch),
    ("cached", None, "dict", add_cached, dispatch),
    ("instance", REGISTRY.entries, "dict", Registry.register, dispatch),
    ("threaded", THREADED, "list", add_threaded, dispatch),
    ("awaited", AWAITED, "dict", add_awaited, await_awaited),
]


def code_objects():
    """All code objects that functions have, and those below them."""
    found = {}
    waiting = [f.__code__ for f in gc.get_objects() if isinstance(f, types.FunctionType)]
    waiting.append(sys._getframe().f_back.f_code)
    while waiting:
        code = waiting.pop()
        if id(code) not in found:
            found[id(code)] = code
            waiting.extend(c for c in code.co_consts if isinstance(c, types.CodeType))
    return list(found)


def first_line(function):
    return function.__code__.co_firstlineno + 1


cached(-1)
# The dict of a cache's results.
CACHE = [d for d in gc.get_referents(cached) if isinstance(d, dict) and -1 in d]
described = [
    {
        "shape": name,
        "at": id(container if container is not None else CACHE[0]),
        "kind": kind,
        "function": add.__name__,
        "line": first_line(add),
        "caller": caller.__name__,
        "caller_line": first_line(caller),
    }
    for name, container, kind, add, caller in SHAPES
    if container is not None or CACHE
]
threading.Thread(target=in_thread, daemon=True).start()
print("ready", json.dumps({"shapes": described, "codes": code_objects()}), flush=True)
n = 0
while os.getppid() != 1:
    n += 1
    for name, _, _, add, caller in SHAPES:
        if name == "awaited":
            dispatch_awaited(n)
        elif name == "instance":
            dispatch(REGISTRY.register, n)
        elif name != "threaded":
            dispatch(add, n)
    remove(n)
    time.sleep(0.003)
