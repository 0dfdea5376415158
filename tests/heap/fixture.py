"""Builds one of everything, says from inside what is there, then waits to be read.

Run as `python -I -S fixture.py FILE`: writes what this process's twin saw to FILE, prints "ready", waits for its standard input.
The twin is a fork without any of Python's own hooks: it has the same objects at the same addresses, and whatever it does to look
at them happens in its own memory.
"""

import ctypes
import gc
import io
import os
import sys


def build():
    """Everything that is kept, by name."""
    import abc
    import array
    import asyncio
    import collections
    import contextvars
    import datetime
    import decimal
    import enum
    import fractions
    import functools
    import itertools
    import json
    import operator
    import pickle
    import random
    import re
    import struct
    import tempfile
    import types
    import typing
    import weakref
    import xml.etree.ElementTree as ElementTree

    kept = {}

    def keep(**named):
        kept.update(named)

    # Numbers and text.
    keep(
        ints=[0, 1, -1, 2**15, 2**30, -(2**30), 2**60, 2**90, -(2**1000), True, False],
        floats=[0.0, 1.5, float("nan"), 1j],
        strings=["", "a", "ascii text", "caf\xe9 au lait", "\u20ac uro", "\U0001f600 smile", "x" * 5000, "\u20ac" * 5000],
        bytes_=[b"", b"x", b"bytes" * 100],
        bytearrays=[bytearray(), bytearray(b"x" * 100), bytearray(10_000)],
    )
    with_utf8 = "utf8 \u20ac cached"
    ctypes.pythonapi.PyUnicode_AsUTF8(ctypes.py_object(with_utf8))
    grown = bytearray()
    for index in range(1000):
        grown.append(index % 256)
    grown[:500] = b""
    keep(with_utf8=with_utf8, grown_bytearray=grown)

    class Int(int):
        pass

    class Str(str):
        pass

    class SlotStr(str):
        __slots__ = ()

    class Float(float):
        pass

    class Bytes(bytes):
        pass

    class Tuple(tuple):
        pass

    keep(subclassed=[Int(5), Int(2**100), Str("sub"), Str("\u20ac"), SlotStr("slot"), Float(1.0), Bytes(b"b"), Tuple((1, 2))])
    keep(with_attributes=[Int(6), Int(2**200), Str("sub"), Bytes(b"bbbbbbbbb"), Tuple((1, 2, 3))])
    for index, each in enumerate(kept["with_attributes"]):
        each.attribute = "of %d" % index

    # Containers.
    over = []
    for index in range(1000):
        over.append(str(index))
    emptied = list(range(100))
    emptied.clear()
    keep(
        lists=[[], [1], over, emptied, [[]] * 3],
        tuples=[(), (1,), (1, "two", [3]), ((1, 2), (3, ("deep", ("er",))))],
        dicts=[{}, {"a": 1}, {1: 2, "b": 3}, {n: str(n) for n in range(500)}, {"k%d" % n: n for n in range(300)}],
        big_dict={"key%d" % n: [n] for n in range(70_000)},
        sets=[set(), {1}, {"a", "b", "c"}, set(range(100)), frozenset(), frozenset("abc"), frozenset(range(1000))],
        ranges=[range(3), range(10**20)],
        slices=[slice(1, 2), slice(None, "x", [1])],
    )
    holed = {n: n for n in range(50)}
    for n in range(0, 50, 2):
        del holed[n]
    texts = {"t%d" % n: n for n in range(50)}
    for n in range(0, 50, 3):
        del texts["t%d" % n]
    general = {"only": 1, "strings": 2}
    general.get(5)
    general[5] = 6
    del general[5]
    holed_set = set(range(60))
    for n in range(0, 60, 3):
        holed_set.discard(n)
    ordered = collections.OrderedDict((str(n), n) for n in range(40))
    ordered.move_to_end("3")
    del ordered["7"]
    odd = collections.OrderedDict({1: "one", (2,): "two"})

    class Ordered(collections.OrderedDict):
        pass

    subordered = Ordered(a=1)
    subordered.attribute = "x"
    plain_ordered = collections.OrderedDict(a=1)
    plain_ordered.attribute = "y"
    full = collections.deque(range(1000))
    for n in range(300):
        full.popleft()
    rotated = collections.deque(range(100), maxlen=100)
    rotated.rotate(17)
    keep(
        holed=holed,
        holed_texts=texts,
        general=general,
        holed_set=holed_set,
        ordered=[ordered, odd, subordered, plain_ordered, collections.OrderedDict()],
        deques=[collections.deque(), full, rotated, collections.deque("abc")],
        default=[collections.defaultdict(list, a=[1]), collections.defaultdict(None), collections.Counter("abracadabra")],
        chain=collections.ChainMap({"a": 1}, {"b": 2}),
        user=[collections.UserDict(a=1), collections.UserList([1])],
    )

    # Classes and their objects.
    class Plain:
        def __init__(self, **attributes):
            self.__dict__.update(attributes)

    class Fixed:
        def __init__(self, n):
            self.number = n
            self.text = "t%d" % n
            self.more = [n]

    class Slots:
        __slots__ = ("a", "b", "__weakref__")

    class MoreSlots(Slots):
        __slots__ = ("c",)

    class SlotsAndDict(Slots):
        pass

    class Meta(type):
        pass

    class Made(metaclass=Meta):
        attribute = "of class"

    class Abstract(abc.ABC):
        @abc.abstractmethod
        def method(self):
            """Nothing."""

        @property
        def value(self):
            return 1

        @classmethod
        def of_class(cls):
            return cls

        @staticmethod
        def of_none():
            return None

        @functools.cached_property
        def cached(self):
            return [1]

    class Concrete(Abstract):
        def method(self):
            return super().method

    class WithSizeof:
        def __sizeof__(self):
            return 123456

    class ListWithSizeof(list):
        def __sizeof__(self):
            return 654321

    class DictSubclass(dict):
        pass

    class ListSubclass(list):
        __slots__ = ("extra",)

    class Wide:
        def __init__(self):
            for n in range(60):
                setattr(self, "a%d" % n, n)

    slotted, more, both = Slots(), MoreSlots(), SlotsAndDict()
    slotted.a = [1]
    more.a, more.c = "a", ["c"]
    both.b, both.other = {1}, "other"
    touched = [Fixed(n) for n in range(20)]
    for each in touched:
        each.__dict__["by_dict"] = 1
    stripped = Fixed(99)
    del stripped.text
    replaced = Fixed(98)
    replaced.__dict__ = {"replaced": [1]}
    listed = ListSubclass([1, 2])
    listed.extra = "extra"
    mapped = DictSubclass(a=1)
    mapped.attribute = [2]
    concrete = Concrete()
    concrete.cached
    keep(
        plain=[Plain(), Plain(a=1), Plain(**{"x%d" % n: n for n in range(40)})],
        fixed=[Fixed(n) for n in range(500)],
        touched=touched,
        changed=[stripped, replaced],
        slotted=[slotted, more, both, Slots()],
        classes=[Meta, Made, Made(), Abstract, concrete, WithSizeof(), ListWithSizeof([1, 2, 3]), Wide(), Wide()],
        sub_containers=[listed, mapped, ListSubclass(), DictSubclass()],
        named=[collections.namedtuple("Point", "x y")(1, 2), typing.NamedTuple("Pair", [("a", int)])(3)],
        enums=[enum.Enum("Colour", "RED GREEN"), enum.IntFlag("Flags", "A B C")],
        structseqs=[os.stat("/"), sys.flags, sys.version_info, os.times(), sys.float_info],
        simple=types.SimpleNamespace(a=1, b=[2]),
    )

    # Functions and what they make.
    def closure(n):
        cell = [n]

        def inner(a, b=n, *, c="kw"):
            return cell, a, b, c

        inner.attribute = "attr"
        return inner

    def generator(n):
        local = [n]
        try:
            yield local
            yield n
        finally:
            local.append("end")

    async def coroutine():
        await asyncio.sleep(0)

    async def async_generator():
        yield 1

    @functools.lru_cache(maxsize=8)
    def bounded(n):
        return [n]

    @functools.lru_cache(maxsize=None)
    def unbounded(n, m=0):
        return (n, m)

    for n in range(20):
        bounded(n)
        unbounded(n, m=n)
    started, finished, fresh = generator(1), generator(2), generator(3)
    next(started)
    list(finished)
    delegating = (each for each in generator(4))
    next(delegating)
    waiting = coroutine()
    ended = coroutine()
    ended.close()
    agen = async_generator()
    keep(
        functions=[closure(1), closure(2), lambda x=1: x, build, len, [].append, str.join, "".join, dict.fromkeys],
        generators=[started, finished, fresh, delegating],
        coroutines=[waiting, ended, coroutine().__await__()],
        async_generators=[agen, async_generator().__anext__(), async_generator().asend(None)],
        caches=[bounded, unbounded],
        partials=[functools.partial(closure, 1), functools.partial(max, key=len), functools.partialmethod(closure)],
        operators=[operator.itemgetter(1, 2), operator.attrgetter("a.b"), operator.methodcaller("m", 1, k=2)],
        descriptors=[Slots.a, int.real, str.join, type.__dict__["__dict__"], Fixed.__dict__["__dict__"], type.__call__],
        wrappers=[property(len), staticmethod(len), classmethod(len), (1).__add__, functools.cmp_to_key(max)(1)],
        singledispatch=functools.singledispatch(closure),
    )

    class Key(weakref.ref):
        __slots__ = ("key",)

    weak_targets = [Fixed(1000), Slots(), {1, 2}]
    callback = weakref.ref(weak_targets[0], closure(3))
    key = Key(weak_targets[2])
    key.key = [1]
    weak_dict = weakref.WeakValueDictionary(a=weak_targets[0])
    weak_set = weakref.WeakSet(weak_targets[:2])
    keep(
        weak=[weak_targets, callback, key, weakref.proxy(weak_targets[1]), weak_dict, weak_set, weakref.WeakKeyDictionary()],
        finalizer=weakref.finalize(weak_targets[0], len, "abc"),
        method_ref=weakref.WeakMethod(concrete.method),
    )

    # Iterators.
    entries = {1: "a", "b": 2}
    keep(
        iterators=[
            iter([1, 2]), iter((1, 2)), iter({1}), iter("ab"), iter(b"ab"), iter(bytearray(b"ab")), iter(range(3)), iter(range(10**30)),
            iter(entries), iter(entries.values()), iter(entries.items()), entries.keys(), entries.values(), entries.items(),
            reversed([1]), reversed((1,)), reversed(range(3)), iter(len, 5), iter(full), reversed(full), iter(ordered), iter(ordered.items()), enumerate("ab"),
            zip("ab", [1]), map(len, ["a"]), filter(None, [1]), iter(memoryview(b"ab")),
        ],
        itertools=[
            itertools.count(5), itertools.count(10**30, 3), itertools.cycle("abc"), itertools.repeat([1], 3), itertools.chain([1], "b"),
            itertools.accumulate([1, 2]), itertools.compress("ab", [1, 0]), itertools.dropwhile(len, []), itertools.takewhile(len, []),
            itertools.islice([1, 2], 1), itertools.starmap(max, []), itertools.zip_longest("ab", "c", fillvalue=[0]), itertools.filterfalse(None, []),
            itertools.groupby("aab"), itertools.tee([1, 2, 3], 3), itertools.product("ab", [1, 2, 3], repeat=2), itertools.permutations("abcd", 2),
            itertools.combinations("abcd", 3), itertools.combinations_with_replacement("ab", 3), itertools.chain.from_iterable([[1]]),
        ],
    )
    kept["tee_used"] = itertools.tee(iter(range(10)), 2)
    next(kept["tee_used"][0])
    for name in ("product", "permutations", "combinations"):
        used = getattr(itertools, name)
        used = used("abc") if name == "product" else used("abc", 2)
        next(used)
        kept["used_" + name] = used

    # Buffers and files.
    backed = array.array("d", range(100))
    for n in range(33):
        backed.append(n)
    written = io.BytesIO()
    written.write(b"x" * 1000)
    shared = io.BytesIO(b"shared buffer")
    exported = io.BytesIO(b"exported" * 100)
    view = exported.getbuffer()
    text = io.StringIO("text")
    text.write("more" * 100)
    temporary = tempfile.TemporaryFile()
    temporary.write(b"x" * 10_000)
    keep(
        arrays=[array.array("b"), array.array("i", [1, 2, 3]), backed, array.array("u", "text")],
        memoryviews=[memoryview(b"bytes"), memoryview(bytearray(b"ab"))[1:], memoryview(backed), memoryview(b"abcdef").cast("B", [2, 3])],
        byteios=[io.BytesIO(), written, shared, exported, view],
        texts=[io.StringIO(), text],
        files=[temporary, open("/dev/null"), open("/dev/null", "rb"), open("/dev/null", "wb", buffering=0), io.BufferedRandom(io.BytesIO(b"r"))],
        pair=io.BufferedRWPair(io.BytesIO(b"r"), io.BytesIO()),
        structs=[struct.Struct("i"), struct.Struct("<3sQ2h"), struct.Struct(""), struct.Struct("@" + "ib" * 20)],
    )

    # Extension modules.
    root = ElementTree.Element("root", {"attribute": "value"})
    for n in range(10):
        child = ElementTree.SubElement(root, "child%d" % n)
        child.text, child.tail = "text", "tail\u20ac"
    pickler = pickle.Pickler(io.BytesIO())
    pickler.dump([["memo"], {"a": (1, 2)}])
    unpickler = pickle.Unpickler(io.BytesIO(pickle.dumps([("x", "y"), {"a": ("x",)}])))
    unpickler.load()
    context = contextvars.copy_context()
    variables = [contextvars.ContextVar("v%d" % n, default=[n]) for n in range(40)]
    for variable in variables:
        context.run(variable.set, ["value"])
    compiled = re.compile(r"(?P<name>a+)(b|c)*")

    class Structure(ctypes.Structure):
        _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_char_p), ("c", ctypes.c_double * 4)]

    structure = Structure(1, b"text")
    keep(
        decimals=[decimal.Decimal(0), decimal.Decimal("1.5"), decimal.Decimal("1" * 500), decimal.getcontext().copy()],
        fractions=fractions.Fraction(1, 3),
        dates=[
            datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1), datetime.timedelta(1), datetime.time(1),
            datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1), "zone")), datetime.timezone.utc,
        ],
        elements=[root, ElementTree.Element("empty"), ElementTree.TreeBuilder(), root.iter(), ElementTree.XMLParser()],
        picklers=[pickler, unpickler],
        contexts=[context, variables],
        patterns=[compiled, compiled.match("aab"), compiled.scanner("aab"), re.compile(b"x")],
        randoms=[random.Random(1)],
        ctypes_=[structure, ctypes.c_int(5), (ctypes.c_int * 10)(), ctypes.pointer(structure), ctypes.byref(structure), ctypes.create_string_buffer(100)],
        ctypes_callback=ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(len),
        json_=[json.JSONDecoder(), json.JSONEncoder()],
    )

    # Exceptions, tracebacks, frames.
    def fail(depth):
        held = ["held", depth]
        if depth:
            return fail(depth - 1)
        raise KeyError(held)

    errors = []
    for kind in (OSError(2, "message", "file"), UnicodeDecodeError("utf8", b"\xff", 0, 1, "why"), SyntaxError("m", ("f", 1, 2, "t")),
                 ImportError("m", name="n", path="p"), StopIteration([1]), SystemExit(3), AttributeError("a"), NameError("n"), ValueError()):
        errors.append(kind)
    try:
        try:
            fail(3)
        except KeyError as first:
            raise RuntimeError("second") from first
    except RuntimeError as second:
        errors.append(second)
    try:
        None.nothing
    except AttributeError as error:
        errors.append(error)

    class Custom(ValueError):
        def __init__(self, *args):
            super().__init__(*args)
            self.own = [1]

    errors.append(Custom("a", 1))
    if hasattr(__builtins__, "ExceptionGroup") or "ExceptionGroup" in dir(__builtins__):
        errors.append(eval("ExceptionGroup('group', [ValueError(1), TypeError(2)])"))

    def own_frame():
        local = ["in frame"]
        return sys._getframe(), local

    keep(errors=errors, frame=own_frame()[0])

    # Typing and modules.
    T = typing.TypeVar("T")

    class Generic(typing.Generic[T]):
        pass

    keep(
        typing_=[T, typing.List[int], typing.Dict[str, "Plain"], typing.Optional[int], Generic[int], typing.Callable[[int], str], typing.Any],
        modules=[types.ModuleType("own", "doc"), sys, json],
        mapping_proxy=types.MappingProxyType({"a": 1}),
        method_types=[Fixed(5).__init__, types.MethodType(len, "abc")],
        codes=[compile("x = 1\nfor y in 'ab': print(y)", "made", "exec"), build.__code__],
        notimplemented=[NotImplemented, Ellipsis, None],
    )
    if sys.version_info >= (3, 9):
        keep(generic_aliases=[list[int], dict[str, list[int]]])
    if sys.version_info >= (3, 10):
        keep(unions=[eval("int | str"), eval("list[int] | None")])
    if sys.version_info >= (3, 12):
        scope = {}
        exec("type Alias[X] = list[X]\ndef generic[Y: int](a: Y) -> Y: return a\nclass G[Z, *Ts, **P]:\n    pass", scope)
        keep(scope_=scope)
    if sys.version_info >= (3, 14):
        scope = {}
        exec("name = 'x'\ntemplate = t'hello {name!r:>5}'\ndef annotated(a: int) -> 'later': pass", scope)
        keep(scope_14=scope)

    # An event loop that holds things.
    loop = asyncio.new_event_loop()

    async def sleeper(n):
        await asyncio.sleep(1000, [n])

    async def start():
        tasks = [asyncio.ensure_future(sleeper(n)) for n in range(10)]
        await asyncio.sleep(0)
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(print)
        done = asyncio.get_running_loop().create_future()
        done.set_result([1])
        return tasks, future, done, asyncio.Queue(), asyncio.Event(), asyncio.Lock()

    keep(loop=loop, tasks=loop.run_until_complete(start()))
    return kept


def rest():
    """Modules that a build may lack."""
    import importlib

    kept = {}
    for name, make in (
        ("bz2", lambda m: [m.BZ2Compressor(), m.BZ2Decompressor()]),
        ("csv", lambda m: [m.reader(["a,b"]), m.writer(open("/dev/null", "w")), m.get_dialect("excel")]),
        ("hashlib", lambda m: [m.sha256(b"x"), m.md5(b"y"), m.blake2b()]),
        ("lzma", lambda m: [m.LZMACompressor()]),
        ("mmap", lambda m: [m.mmap(-1, 10_000)]),
        ("queue", lambda m: [m.Queue(), m.SimpleQueue(), m.PriorityQueue()]),
        ("select", lambda m: [m.epoll(), m.poll()]),
        ("selectors", lambda m: [m.DefaultSelector()]),
        ("socket", lambda m: [m.socket(), *m.socketpair()]),
        ("sqlite3", lambda m: [m.connect(":memory:"), m.connect(":memory:").execute("select 1, 'a'").fetchall()]),
        ("ssl", lambda m: [m.create_default_context()]),
        ("threading", lambda m: [m.Lock(), m.RLock(), m.Condition(), m.local(), m.Event(), m.Thread(target=len)]),
        ("zlib", lambda m: [m.compressobj(), m.decompressobj()]),
        ("zoneinfo", lambda m: [m.ZoneInfo("UTC")]),
        ("unicodedata", lambda m: [m.ucd_3_2_0]),
        ("logging", lambda m: [m.getLogger("a.b")]),
        ("dataclasses", lambda m: [m.make_dataclass("D", ["x", ("y", int, m.field(default=1))])(1)]),
        ("argparse", lambda m: [m.ArgumentParser()]),
        ("ast", lambda m: [m.parse("x = [1, *y]\ndef f(a): return a + 1")]),
    ):
        try:
            kept[name] = make(importlib.import_module(name))
        except Exception as error:  # A build without the module, or a machine without what it needs.
            kept[name] = repr(error)
    return kept


def look(path):
    """In the twin: writes down every object, then ends."""
    objects = gc.get_objects()
    # Before anything here refers to more than that: what a BytesIO weighs depends on who else has its buffer.
    sizes = {}
    for each in objects:
        if type(each) is io.BytesIO:
            sizes[id(each)] = sys.getsizeof(each)
    own = {id(objects), id(sizes), id(sys._getframe())}
    seen = {}
    edges = {}
    todo = list(objects)
    own.add(id(todo))
    while todo:
        each = todo.pop()
        name = id(each)
        if name in seen or name in own:
            continue
        seen[name] = each
        found = gc.get_referents(each)
        edges[name] = list(map(id, found))
        todo.extend(found)
    tracked = set(map(id, objects)) - own
    del each, found
    with open(path, "w", encoding="utf8", errors="backslashreplace") as out:
        types = set(map(type, seen.values()))
        for each in types:
            # Not `each.__module__`: a metaclass may say otherwise.
            module = type.__dict__["__module__"].__get__(each)
            module = module if isinstance(module, str) else "?"
            name = type.__dict__["__qualname__"].__get__(each)
            out.write("T %d %s %s\n" % (id(each), module.replace(" ", "_"), name.replace(" ", "_")))
        for name, each in seen.items():
            try:
                size = sizes[name] if name in sizes else sys.getsizeof(each)
            except Exception:  # A class that is given to getsizeof, and says it of its instances.
                size = -1
            kind = "O" if name in tracked else "o"
            out.write("%s %d %d %d %s\n" % (kind, name, id(type(each)), size, ",".join(map(str, edges[name]))))
        out.write("end\n")


def main():
    path = sys.argv[1]
    library = ctypes.PyDLL(None)
    runtime = ctypes.addressof(ctypes.c_char.in_dll(library, "_PyRuntime"))
    kept = [build(), rest()]
    gc.collect()
    gc.collect()
    gc.disable()
    os.write(1, b"runtime %d\nhexversion %d\n" % (runtime, sys.hexversion))
    if library.fork() == 0:
        try:
            look(path)
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(0)
    os.waitpid(-1, 0)
    os.write(1, b"ready\n")
    os.read(0, 1)
    # Without the farewells of what was never finished.
    os._exit(len(kept) - 2)


main()
