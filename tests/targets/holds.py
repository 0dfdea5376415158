"""Holds objects at places of every kind, and follows the names of such places, inside of itself, on request.

`N` objects of a class of its own are at each place. Prints `ready PID`, then reads lines: the name of a place as memobj writes it and
the name of a class; answers `found`, both, and how many objects of the class it finds there.
"""
import collections
import functools
import gc
import os
import sys
import threading
import types
import weakref

N = 40
gc.disable()


def new(name):
    """A class of that name in this module."""
    made = type(name, (), {"__module__": "__main__"})
    globals()[name] = made
    return [made() for _ in range(N)]


sessions = dict(enumerate(new("InDict")))
queue = collections.deque(new("InDeque"))
ordered = collections.OrderedDict((i, each) for i, each in enumerate(new("InOrdered")))
grouped = collections.defaultdict(list, {"all": new("InDefault")})
unique = set(new("InSet"))


class Plugin:
    instances = new("InClass")

    class Inner:
        kept = new("InInner")

    def method(self, kept=new("InMethod")):
        return kept


class App:
    def __init__(self):
        self.cache = Cache()


class Cache:
    def __init__(self):
        self.entries = {i: each for i, each in enumerate(new("InInstance"))}


app = App()
nested = types.SimpleNamespace(state=types.SimpleNamespace(history=new("InNamespace")))


class Slotted:
    __slots__ = ("first", "second")


slotted = Slotted()
slotted.first = []
slotted.second = new("InSlot")


def closing():
    kept = new("InClosure")
    return lambda: kept


closure = closing()


def default(first, second=new("InArgument"), *, third=new("InKeyword")):
    return first, second, third


source = iter(new("InLru"))


@functools.lru_cache(maxsize=None)
def cached(n):
    return next(source)


for number in range(N):
    cached(number)
del source
partial = functools.partial(print, new("InPartial"))


def stream(kept):
    yield kept


generator = stream(new("InGenerator"))
next(generator)


class Node:
    def __init__(self):
        self.me = self


for number in range(N):
    Node()

weak = weakref.WeakValueDictionary(sessions)
local = threading.local()
started = threading.Event()


def worker():
    local.conns = new("InThreadLocal")
    own = new("InThread")
    started.set()
    threading.Event().wait()
    return own


threading.Thread(target=worker, name="pool-worker", daemon=True).start()
started.wait()


def frame_local(function, name):
    for frame in sys._current_frames().values():
        while frame is not None:
            if frame.f_code.co_name == function:
                return frame.f_locals[name]
            frame = frame.f_back


def follow(place):
    """What is at a place, by its name."""
    prefix, _, rest = place.partition(": ")
    if prefix.startswith("thread "):
        # What another thread has of a local is in the one dict that has it, and the local leads to that.
        name, attribute = rest.rsplit(".", 1)
        names = [thread.name for thread in threading.enumerate()]
        assert names.count(prefix[len("thread "):]) == 1, names
        own = follow(name)
        found = [each for holder in gc.get_referents(own) for each in
                 (holder.values() if isinstance(holder, dict) else ()) if attribute in each]
        assert len(found) == 1, found
        return found[0][attribute]
    for word in (" local ", " default ", " closure "):
        name, found, variable = place.partition(word)
        if not found:
            continue
        if name.endswith("()"):
            return frame_local(name[:-2].rpartition(".")[2], variable)
        function = follow(name)
        if word == " local ":
            return function.gi_frame.f_locals[variable]
        if word == " closure ":
            cells = dict(zip(function.__code__.co_freevars, function.__closure__))
            return cells[variable].cell_contents
        if variable in (function.__kwdefaults__ or {}):
            return function.__kwdefaults__[variable]
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        return dict(zip(reversed(names), reversed(function.__defaults__)))[variable]
    if place.startswith("cache of "):
        # Without a limit the results are in a dict alone, and no list of nodes has them.
        return gc.get_referents(follow(place[len("cache of "):]))
    module, _, rest = place.partition(".")
    value = sys.modules[module]
    for name in rest.split("."):
        value = getattr(value, name)
    return value


def count(value, wanted):
    if isinstance(value, dict):
        value = value.values()
    total = 0
    for each in value:
        total += type(each).__name__ == wanted
        if isinstance(each, (list, dict)):
            total += count(each, wanted)
    return total


def main():
    rows = new("InFrame")
    print("ready", os.getpid(), flush=True)
    for line in sys.stdin:
        place, _, wanted = line.rstrip("\n").rpartition(" ")
        print("found", place, wanted, count(follow(place), wanted), flush=True)
    return rows


main()
