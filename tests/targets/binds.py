"""Holds objects by what C's types and the library refer to: tasks, futures, partial functions, context variables, exceptions, queues.

`N` objects of a class of its own are at each place. Prints `ready PID`, then reads lines: the name of a place as memobj writes it and
the name of a class; follows the name inside of itself and answers `found`, both, and how many objects of the class it finds there.
"""
import asyncio
import collections
import contextvars
import functools
import gc
import itertools
import logging
import os
import queue
import sys
import types
import weakref

N = 40
gc.disable()


def new(name):
    """Objects of a class of that name in this module."""
    made = type(name, (), {"__module__": "__main__"})
    globals()[name] = made
    return [made() for _ in range(N)]


partial = functools.partial(print, new("InArguments"))
keyworded = functools.partial(print, rows=new("InKeywords"))
proxy = types.MappingProxyType({number: each for number, each in enumerate(new("InProxy"))})
mapped = map(print, new("InMap"))
chained = itertools.chain([], new("InChain"))
jobs = queue.Queue()
for job in new("InQueue"):
    jobs.put(job)
del job


class Referred:
    pass


referred = Referred()
reference = weakref.ref(referred, functools.partial(print, new("InWeakCallback")))
# What the library holds has a name of its own if it weighs something.
WEIGHT = 100000
weakref.finalize(referred, print, new("InFinalizer"), bytearray(WEIGHT)).atexit = False


class Owner:
    def __init__(self, kept):
        self.kept = kept

    def method(self):
        return self.kept


bound = Owner(new("InBound")).method


class Failure(Exception):
    pass


def failing(request):
    raise Failure(new("InError"))


def caught():
    try:
        failing(new("InTraceback"))
    except Failure as failure:
        return failure


def caught_later():
    try:
        try:
            raise KeyError(new("InContext"))
        except KeyError:
            raise Failure
    except Failure as failure:
        return failure.with_traceback(None)


error = caught()
later = caught_later()


class Records(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = new("InHandler")
        self.buffer = bytearray(WEIGHT)


logging.getLogger().addHandler(Records())

variable = contextvars.ContextVar("request")
copied = contextvars.copy_context()
copied.run(variable.set, new("InCopiedContext"))
other = contextvars.ContextVar("session")


loop = asyncio.new_event_loop()
future = loop.create_future()
future.add_done_callback(functools.partial(print, new("InCallback")))
done = loop.create_future()
done.set_result(new("InResult"))
failed = loop.create_future()
failed.set_exception(Failure(new("InException")))
failed.exception()
loop.run_until_complete(asyncio.sleep(0))


# The last: futures and tasks have copies of the context, with what was in it.
other.set(new("InThreadsContext"))


def frames(traceback):
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def attribute(value, name):
    """What the object has by that name; where Python shows none, what it refers to."""
    if name == "_callbacks":
        return value._callbacks[0][0]
    if isinstance(value, type) and not hasattr(value, name):
        # Its only object's.
        value, = (each for each in gc.get_objects() if type(each) is value)
    if hasattr(value, name):
        return getattr(value, name)
    if hasattr(value, "__self__"):
        return getattr(value.__self__, name)
    return [each for each in gc.get_referents(value) if not callable(each)]


def follow(place):
    """What is at a place, by its name."""
    owner, found, name = place.rpartition("context variable ")
    if found:
        value = {each.name: each for each in (variable, other)}[name]
        return follow(owner.rstrip())[value] if owner else value.get()
    owner, found, name = place.rpartition(" local ")
    if found:
        before, found, function = owner.partition(" frame of ")
        if found:
            named = [each for each in frames(error.__traceback__)
                     if "__main__.%s()" % each.f_code.co_name == function]
            assert len(named) == 1 and before == "__main__.error.__traceback__.tb_next", place
            return named[0].f_locals[name]
        return follow(owner).gi_frame.f_locals[name]
    module, _, rest = place.partition(".")
    value = sys.modules[module]
    for name in rest.split("."):
        value = attribute(value, name)
    return value


PLAIN = (dict, list, tuple, collections.deque, type(iter([])), type(iter(())), weakref.finalize._Info,
         logging.Handler, types.MappingProxyType)


def count(value, wanted, depth=4):
    if isinstance(value, logging.Handler):
        return count(value.records, wanted)
    total = type(value).__name__ == wanted
    if isinstance(value, PLAIN) and depth:
        inner = value.values() if isinstance(value, (dict, types.MappingProxyType)) else gc.get_referents(value)
        total += sum(count(each, wanted, depth - 1) for each in inner)
    return total


print("ready", os.getpid(), flush=True)
for line in sys.stdin:
    place, _, wanted = line.rstrip("\n").rpartition(" ")
    print("found", place, wanted, count(follow(place), wanted), flush=True)
