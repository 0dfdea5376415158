"""Caches of every kind that the standard library can make, and what only looks like one.

Prints one line of JSON, the truth about each by the name that memobj is to give it, as the program itself sees it; then `ready PID`.
Reads lines: `grow` adds 100 entries to a cache and answers `grown`.
"""
import collections
import functools
import gc
import importlib.util
import json
import os
import sys
import time
import types
import weakref

gc.disable()
ENDS = (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType)


def referents(each):
    """What an object refers to; keys too, which the collector leaves out where all are strings."""
    if isinstance(each, dict):
        yield from dict.keys(each)
        yield from dict.values(each)
    yield from gc.get_referents(each)


def closure(root, besides=()):
    """All objects that are reached from one but over modules, types and functions, by address."""
    seen = {}
    stack = [root]
    while stack:
        each = stack.pop()
        if id(each) in seen or isinstance(each, ENDS) or any(each is other for other in besides):
            continue
        seen[id(each)] = each
        stack.extend(referents(each))
    return seen


def deep(root, besides=()):
    return sum(map(sys.getsizeof, closure(root, besides).values()))


def shared(root, several=()):
    """What of that others hold, too: what an object outside refers to, and all below it. Of `root` itself, and of the caches `several`
    in it, that is no matter."""
    roots = {id(root), *map(id, several)}
    inside = closure(root)
    within = {id(inside), id(inside.values())}
    stack = []
    for outer in gc.get_objects():
        if id(outer) in inside or id(outer) in within or isinstance(outer, types.FrameType):
            continue
        stack.extend(each for each in referents(outer) if id(each) in inside and id(each) not in roots)
    seen = {}
    while stack:
        each = stack.pop()
        if id(each) not in seen and id(each) in inside and id(each) not in roots:
            seen[id(each)] = each
            stack.extend(referents(each))
    return sum(map(sys.getsizeof, seen.values()))


def text(prefix, n):
    """A string that nobody else has."""
    return f"{prefix}{n}"


@functools.lru_cache(maxsize=64)
def bounded(n):
    return text("bounded", n) * 10


@functools.lru_cache(maxsize=None)
def unbounded(n):
    return [text("unbounded", n)]


@functools.lru_cache(maxsize=0)
def nothing(n):
    return n


class Service:
    def __init__(self):
        self.rows = [text("row", n) for n in range(10)]

    @functools.lru_cache(maxsize=32)
    def lookup(self, n):
        return text("lookup", n)


def make():
    @functools.lru_cache(maxsize=16)
    def inner(n):
        return text("inner", n)

    return inner


made = make()
service = Service()


def python_functools():
    """The module as it is without its part in C; None where it cannot be had."""
    kept = sys.modules.get("_functools")
    try:
        spec = importlib.util.spec_from_file_location("python_functools", functools.__file__)
        module = importlib.util.module_from_spec(spec)
        sys.modules["_functools"] = None
        spec.loader.exec_module(module)
        return module
    except Exception:
        return None
    finally:
        sys.modules["_functools"] = kept


without_c = python_functools()
if without_c:
    pure = without_c.lru_cache(maxsize=8)(lambda n: text("pure", n))


def fill():
    for n in range(300):
        bounded(1_000_000 + n % 100)
        unbounded(2_000_000 + n % 150)
        nothing(n)
        made(3_000_000 + n % 8)
    for n in range(40):
        service.lookup(4_000_000 + n)
        service.lookup(4_000_000 + n)
        if without_c:
            pure(5_000_000 + n // 4)


fill()

_session_cache = {text("user", n): {"name": text("name", n), "seen": n * 1.5} for n in range(1200)}
memo = collections.OrderedDict((text("key", n), bytes(n)) for n in range(50))
memo["frontpage"] = bytes(600 << 10)
small_cache = {text("a", n): text("b", n) for n in range(3)}
counter_lru = collections.defaultdict(list, {text("c", n): [n * 1.25] for n in range(20)})


class Catalog:
    _cache = {text("class", n): text("value", n) for n in range(15)}
    max_size = 20


class Store:
    """No word of a cache in its name; its attribute is called so."""

    def __init__(self, n):
        self.result_cache = {text("result", i + n * 100): text("of", i) for i in range(n)}


class UserCache:
    """Its name says what it is, that of its dict does not."""

    def __init__(self):
        self.data = {text("u", n): text("v", n) for n in range(30)}
        self.order = {}
        self.maxsize = 40
        self.hits = 300
        self.misses = 100


class BoundedDict(collections.OrderedDict):
    def __init__(self, capacity):
        super().__init__()
        self.capacity = capacity


class App:
    def __init__(self):
        self.users = UserCache()
        self.stores = [Store(n) for n in (3, 5)]


app = App()
rows_cache = BoundedDict(100)
rows_cache.update((text("row", n), text("cached", n)) for n in range(95))


class Lease:
    __slots__ = ("owner", "expires_at")

    def __init__(self, n):
        self.owner = text("owner", n)
        self.expires_at = time.monotonic() + (1000 if n % 4 else 0)


class Value:
    pass


# Without a name that says so: what is in them does.
tokens = {text("t", n): (text("token", n), time.time() + (1000 if n % 3 else -1000)) for n in range(90)}
leases = {text("l", n): Lease(n) for n in range(40)}
records = {text("r", n): {"value": text("x", n), "expires": int(time.time()) + 5000 - n * 100} for n in range(100)}
values = [Value() for _ in range(25)]
alive = weakref.WeakValueDictionary(enumerate(values))
several_caches = {"default": {text("d", n): n * 2.5 for n in range(12)}, "other": {text("o", n): n * 3.5 for n in range(9)}}

# Others hold some of what is in it.
kept = [[text("kept", n)] * 3 for n in range(10)]
shared_cache = {text("s", n): [text("own", n)] if n % 2 else kept[n // 2] for n in range(20)}

# One cache for each of many objects, all of which lead to the same large one.
everything = {"rows": [text("everything", n) * 50 for n in range(500)]}


class Request:
    def __init__(self, n):
        self._cache = {text("q", n): [text("answer", n)], text("w", n): everything}


requests = [Request(n) for n in range(40)]

# Caches that hold themselves, each other, and all of the program.
loop_cache = {}
first_cache, second_cache = {}, {}
loop_cache.update({text("n", n): loop_cache for n in range(5)}, app=app)
first_cache.update({text("f", n): second_cache for n in range(5)})
second_cache.update({text("g", n): first_cache for n in range(5)})

# No caches.
CACHE_TTL = {text("x", n): n for n in range(20)}
cache_config = {text("x", n): n for n in range(20)}
memory = {text("x", n): n for n in range(20)}
prices = {text("x", n): (time.monotonic() // 1, n + 100.25) for n in range(50)}
sizes = {text("x", n): n * 1000 for n in range(50)}

growing_cache = {}


def info(function, besides):
    hits, misses, limit, entries = function.cache_info()
    return {"kind": "functools.lru_cache", "entries": entries, "hits": hits, "misses": misses, "max_entries": limit,
            "size_bytes": deep(function, besides)}


def table(of, limit=None, **more):
    kind = type(of)
    name = kind.__name__ if kind.__module__ == "builtins" else kind.__module__ + "." + kind.__qualname__
    return {"kind": name, "entries": len(of), "max_entries": limit, "size_bytes": deep(of), **more}


def truth():
    past = sum(lease.expires_at <= time.monotonic() for lease in leases.values())
    # An entry is its key and its value.
    frontpage = sys.getsizeof("".join(["front", "page"])) + sys.getsizeof(memo["frontpage"])
    many = [request._cache for request in requests]
    both = [store.result_cache for store in app.stores]
    found = {
        "bounded": info(bounded, [bounded.__wrapped__]),
        "unbounded": info(unbounded, [unbounded.__wrapped__]),
        "nothing": info(nothing, [nothing.__wrapped__]),
        "Service.lookup": info(Service.lookup, [Service.lookup.__wrapped__]),
        "made": info(made, [made.__wrapped__]),
        "_session_cache": {**table(_session_cache), "shared_bytes": shared(_session_cache)},
        "memo": table(memo, largest_entry_bytes=frontpage, largest_entry_key="frontpage"),
        "small_cache": {**table(small_cache), "shared_bytes": shared(small_cache)},
        "counter_lru": table(counter_lru),
        "Catalog._cache": table(Catalog._cache, 20),
        "app.users.data": table(app.users.data, 40, hits=300, misses=100),
        "app.stores[\u2026].result_cache": {"kind": "dict", "entries": sum(map(len, both)), "max_entries": None,
                                           "size_bytes": sum(map(deep, both)), "instances": 2},
        "Request._cache": {"kind": "dict", "entries": sum(map(len, many)), "max_entries": None, "instances": len(many),
                           "size_bytes": deep(many) - sys.getsizeof(many), "shared_bytes": shared(many, many)},
        "rows_cache": table(rows_cache, 100),
        "tokens": table(tokens, expired_entries=30, clock="wall"),
        "leases": table(leases, expired_entries=past, clock="monotonic"),
        "records": table(records, expired_entries=50, clock="wall"),
        "alive": {"kind": "weakref.WeakValueDictionary", "entries": len(values), "max_entries": None},
        "several_caches[\"default\"]": table(several_caches["default"]),
        "several_caches[\"other\"]": table(several_caches["other"]),
        "shared_cache": {**table(shared_cache), "shared_bytes": shared(shared_cache)},
        "loop_cache": table(loop_cache),
        "first_cache": table(first_cache),
        "second_cache": table(second_cache),
        "growing_cache": table(growing_cache),
    }
    if without_c:
        hits, misses, limit, entries = pure.cache_info()
        found["pure closure cache"] = {"entries": entries, "hits": hits, "misses": misses, "max_entries": limit}
    return {"__main__." + name: each for name, each in found.items()}


def main():
    print(json.dumps(truth()), flush=True)
    print("ready", os.getpid(), flush=True)
    for line in sys.stdin:
        growing_cache.update({text("new", len(growing_cache) + n): bytes(1000) for n in range(100)})
        print("grown", flush=True)


main()
