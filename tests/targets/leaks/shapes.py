"""A program that leaks in one of many shapes, or does not, as its argument says: `shapes.py SHAPE`.

Prints `ready PID` when it is under way, then does one step RATE times a second, until its stdin ends.
"""
import atexit
import codecs
import collections
import functools
import gc
import importlib
import importlib.machinery
import logging
import os
import queue
import re
import sys
import threading
import time
import types
import weakref


def optional(name):
    """A module that an interpreter without its extension modules does not have: the shapes that need it cannot be had there."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


array, asyncio, contextvars, ctypes, zlib, _random = map(
    optional, ("array", "asyncio", "contextvars", "ctypes", "zlib", "_random")
)

RATE = float(os.environ.get("RATE", "200"))


state = 1


def chance(limit):
    """A number by chance, the same ones each time (Numerical Recipes' linear congruential generator)."""
    global state
    state = (state * 1664525 + 1013904223) % (1 << 32)
    return (state >> 8) % limit


class Payload:
    def __init__(self, n):
        self.text = "p" * 60 + str(n)


class Observer:
    def __init__(self, n):
        self.name = "observer" + "-" * 40 + str(n)

    def changed(self, event):
        pass


class Node:
    def __init__(self, n, following=None):
        self.n = "n" * 40 + str(n)
        self.left = following
        self.right = None


class Failure(ValueError):
    pass


class Packer:
    def __init__(self, n):
        self.name = "packer" + str(n)
        self.zip = zlib.compressobj(9)


class Subject:
    def __init__(self):
        self.observers = []


class Store:
    def __init__(self):
        self.by_id = {}


subject = Subject()
handlers = []
errors = []
anchor = Subject()
contexts = []
variable = contextvars and contextvars.ContextVar("variable")
jobs = queue.Queue()
tickets = queue.SimpleQueue()
records = []
callbacks = []
log = logging.getLogger("shapes")
text = ""
buffer = bytearray()
numbers = array and array.array("d")
classes = []
chain = None
tail = None
root = Node(0)
seen = set()
floats = []
settings = types.SimpleNamespace()
buckets = {key: [] for key in ("north", "south", "east", "west")}
waiting = collections.deque()
nothings = []
marks = []
sessions = {}
unwritten = open(os.devnull, "w")
table = {}
ring = collections.deque(maxlen=150)
pool = {}
held_by_name = []
due = []
by_name = {}
crumbs = collections.deque()
packers = {}
stores = {"default": Store()}


def observers(n):
    subject.observers.append(Observer(n).changed)


def exit_callbacks(n):
    atexit.register(Observer(n).changed, n)


def wrapped_twice(n):
    payload = Payload(n)
    due.append((payload, float(n), (n, "twice")))
    by_name["payload %d" % n] = (payload, float(n))


def errors_in_dicts(n):
    local = ["t" * 60 + str(n)]
    try:
        raise Failure(local)
    except Failure as failure:
        crumbs.append({"level": "error", "seen": {"at": float(n)}, "failure": failure})


def native_each(n):
    if n % 20 == 0:
        packers[n] = Packer(n)


def native_garbage(n):
    """The collector counts objects, so it comes late for what is large outside of them."""
    if n % 10 == 0:
        packer = Packer(n)
        packer.me = packer


def closures(n):
    payload = "c" * 60 + str(n)

    def handler():
        return payload

    handlers.append(handler)


def tracebacks(n):
    local = "t" * 60 + str(n)
    try:
        raise ValueError(local)
    except ValueError as error:
        errors.append(error)


def finalizers(n):
    weakref.finalize(anchor, print, Payload(n))


def worked_on(n):
    """A payload that takes a fifth of a step to make: censuses find the caller at work."""
    end = time.monotonic() + 0.2 / RATE
    while time.monotonic() < end:
        pass
    return Payload(n)


def finalizers_in_use(n):
    registry = weakref.finalize._registry
    weakref.finalize(anchor, print, worked_on(n))
    return registry


class Hook(Payload):
    def call(self, *args):
        return None


def fork_callbacks(n):
    os.register_at_fork(after_in_child=Hook(n).call)


def audit_hooks(n):
    if n % 20 == 0:
        sys.addaudithook(Hook(n).call)


def codec_errors(n):
    codecs.register_error(str(n), Hook(n).call)


def context(n):
    made = contextvars.copy_context()
    made.run(variable.set, Payload(n))
    contexts.append(made)


def queued(n):
    jobs.put(Payload(n))


def queued_in_c(n):
    tickets.put(Payload(n))


class Record:
    def __init__(self, n):
        self.number = n
        self.text = "r" * 60 + str(n)


def attributes_as_dict(n):
    # A dict of the attributes is made, and stays beside them.
    record = Record(n)
    vars(record)["seen"] = True
    records.append(record)


def wrapped_again(n):
    global handler
    handler = wrap(handler)


def wrap(function):
    @functools.wraps(function)
    def inner(*values):
        return function(*values)

    return inner


def handler(n):
    pass


class LeastRecent:
    def __init__(self):
        self.items = collections.OrderedDict()

    def put(self, n):
        self.items[n] = Payload(n)
        if len(self.items) > 1 << 60:
            self.items.popitem(last=False)


least_recent = LeastRecent()


def odd_cache(n):
    least_recent.put(n)


class Core:
    def __init__(self):
        self.handlers = {}


core = Core()


def copied_on_write(n):
    # Readers need no lock: the old dict stays as it was.
    core.handlers = {**core.handlers, n: Payload(n)}


class Tables:
    def __init__(self):
        self.by_name = {"audit": {}}
        self.frame = Frame(array and array.array("d"))


class Frame:
    def __init__(self, numbers):
        self.numbers = numbers


tables = Tables()


def tables_made_anew(n):
    rows = {str(key): row for key, row in tables.by_name["audit"].items()}
    tables.by_name = {"audit": {**rows, str(n): Payload(n)}}


# Between the arrays of two moments others are made: an address comes back late.
passing = collections.deque(maxlen=9)


def frame_made_anew(n):
    passing.append(array.array("d", [1.0]))
    tables.frame = Frame(tables.frame.numbers + array.array("d", [1.0] * 16))


class Listeners:
    def __init__(self):
        self.called = collections.deque()


listeners, listed = Listeners(), {}


def listed_weakly(n):
    def listener(event):
        return n

    listeners.called.append(listener)
    listed[n] = {weakref.ref(listeners): weakref.ref(listener)}


class Register:
    def __init__(self):
        self.by_number, self.order = {}, collections.OrderedDict()


register = Register()


def two_tables(n):
    register.by_number[n] = Payload(n)
    register.order[n] = [n]


def partials(n):
    callbacks.append(functools.partial(print, Payload(n)))


def logging_handlers(n):
    log.addHandler(logging.NullHandler())


def loggers(n):
    logging.getLogger("made_%d" % n)


def growing_text(n):
    global text
    text += "x" * 512


def growing_buffer(n):
    buffer.extend(b"x" * 2048)


def growing_array(n):
    numbers.extend([1.0] * 256)


def made_types(n):
    classes.append(type("Made%d" % n, (), {}))


instances = []


def class_for_each(n):
    if n % 4 == 0:
        instances.append(type("Made", (), {})())


def threads(n):
    if n % 4 == 0:
        threading.Thread(target=threading.Event().wait, daemon=True).start()


class Connection:
    def __init__(self):
        self.statements = [Payload(0), Payload(1)]


def wait_with(connection):
    threading.Event().wait()


def thread_locals(n):
    if n % 4 == 0:
        threading.Thread(target=wait_with, args=(Connection(),), daemon=True).start()


def remind(n):
    pass


loop = None


def timers(n):
    global loop
    loop = loop or asyncio.new_event_loop()
    loop.call_later(1e5, remind, n)


def late_import(n):
    if n == 150:
        # What a service imports at its first request is imported once more here.
        sys.modules.pop("colorsys", None)
        import colorsys

        colorsys.kept = []
    elif n > 150:
        sys.modules["colorsys"].kept.append(Payload(n))


def linked_in_front(n):
    global chain
    chain = Node(n, chain)


def linked_at_end(n):
    global tail
    node = Node(n)
    if tail is None:
        tail = root
    tail.left = node
    tail = node


def tree(n):
    at = root
    while True:
        side = "left" if chance(2) else "right"
        below = getattr(at, side)
        if below is None:
            setattr(at, side, Node(n))
            return
        at = below


def numbers_seen(n):
    seen.add(10_000 + n)


def floats_kept(n):
    floats.append(n / 7)


def attributes(n):
    setattr(settings, "key_%d" % n, Payload(n))


def modules(n):
    name = "made_%d" % n
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].payload = Payload(n)


def nested(n):
    buckets[list(buckets)[chance(4)]].append(Payload(n))


def in_item(n):
    stores["default"].by_id[n] = Payload(n)


def deque_without_limit(n):
    waiting.append(Payload(n))


def default_argument(n, kept=[]):
    kept.append(Payload(n))


def make_closure_variable():
    kept = []

    def closure_variable(n):
        kept.append(Payload(n))

    return closure_variable


closure_variable = make_closure_variable()


def lost_by_c(n):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(Payload(n)))


def words_in_c(keeper, word):
    """Writes a word again and again into the struct of an object of C, which does not show it to the collector."""
    keeper.setstate((0,) + (word & 0xFFFFFFFF, word >> 32) * 311 + (0, 624))


def hidden_cycle(n):
    node = Node(n, _random.Random())
    words_in_c(node.left, id(node))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(node))


# Of a fixed size, so that it does not grow itself, and small enough for malloc's heap.
addresses = array and array.array("Q", [0]) * 16000
keeper = _random and _random.Random()


def hidden_in_c(n):
    payload = Payload(n)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(payload))
    addresses[n % len(addresses)] = id(payload)
    words_in_c(keeper, addresses.buffer_info()[0])


def uncollectable(n):
    gc.set_debug(gc.DEBUG_SAVEALL)
    node = Node(n)
    node.left = node
    del node
    if n % 40 == 0:
        gc.collect()


def circles_without_collector(n):
    gc.disable()
    node = Node(n)
    node.left = node


def nothings_kept(n):
    nothings.extend([None] * 64)


answers = {}


def answered(n):
    """The question, within the key, and the answer are of one type: an entry counts once."""
    answers[Payload(n), n] = Payload(n)


def pairs_of_payloads(n):
    """Both are of one type."""
    pairs[Payload(n)] = Payload(n)


pairs = {}


@functools.lru_cache(maxsize=None)
def cached_without_limit(n):
    return {"prompt": "p" * 50 + str(n)}


@functools.lru_cache(maxsize=1_000_000)
def cached_far_from_limit(n):
    return {"prompt": "p" * 50 + str(n)}


@functools.lru_cache(maxsize=64)
def cached_at_limit(n):
    return {"prompt": "p" * 50 + str(n)}


def class_attribute(n):
    Subject.made = getattr(Subject, "made", [])
    Subject.made.append(Payload(n))


def leak_beside_churn(n):
    sessions[n] = Payload(n)
    if n % 4:
        sessions.pop(n - 1, None) if (n - 1) % 4 else None


def stream(n):
    chunk = "s" * 60 + str(n)
    while True:
        yield chunk


def generators(n):
    made = stream(n)
    next(made)
    held_by_name.append(made)


def saw_tooth(n):
    table[n] = Payload(n)
    if n % 170 == 0:
        table.clear()


def emptied_in_step(n):
    """Emptied after 490 ms: a search with a census each 500 ms sees a little more of each filling than of the one before."""
    for part in range(8):
        table[n, part] = Payload(8 * n + part)
    if n % 98 == 0:
        table.clear()


def marks_in_step(n):
    marks.extend([None] * 8)
    if n % 98 == 0:
        marks.clear()


def rebuilt(n):
    global table
    table = {key: Payload(key) for key in range(300)}


def drained(n):
    jobs.put(Payload(n))
    if n % 25 == 0:
        while not jobs.empty():
            jobs.get()


def full_ring(n):
    ring.append(Payload(n))


def expiring(n):
    table[n] = Payload(n)
    table.pop(n - 120, None)


def churn(n):
    pool[chance(300)] = Payload(n)
    pool.pop(chance(300), None)


def circles(n):
    node = Node(n)
    node.left = node


def settling(n):
    if n < 100:
        sessions[n] = Payload(n)


def temporary(n):
    made = [Payload(k) for k in range(n % 50)]
    return sum(len(one.text) for one in made)


def resized(n):
    if n % 30 == 0:
        wanted = (100, 200, 400)[chance(3)]
        while len(sessions) < wanted:
            sessions[len(sessions)] = Payload(n)
        while len(sessions) > wanted:
            sessions.popitem()


def written_late(n):
    if n % 4 == 0:
        unwritten.write(str(n))


def first_written_late(n):
    """The file has no list of what is to be written in the first census."""
    if n > RATE:
        written_late(n)


class Pool:
    """A container with a limit that only its owner knows."""

    def __init__(self, max_size):
        self.max_size = max_size
        self.idle = []


connections = Pool(max_size=1_000_000)
recent = collections.deque(maxlen=1_000_000)


def below_limit_of_owner(n):
    if len(connections.idle) < connections.max_size:
        connections.idle.append(Payload(n))


def same_in_ring(n):
    recent.extend([None] * 64)


def slowing_down(n):
    wanted = 5000 * (1 - 2.0 ** (-n / RATE / 1.5))
    while len(sessions) < wanted:
        sessions[len(sessions)] = Payload(n)


class Library:
    """Finds and loads modules as if each had a file of its own."""

    SOURCE = "import logging\nlog = logging.getLogger(__name__)\nclass A:\n    def f(self): return 'f'\ndef g(): return A\n"

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, cls) if name.startswith("plugin_") else None

    @staticmethod
    def create_module(spec):
        return None

    @classmethod
    def exec_module(cls, module):
        module.__file__ = "/srv/plugins/%s.py" % module.__name__
        # Names that no other module has: the interpreter lists all names.
        names = "".join("%s_name_%d = %d\n" % (module.__name__, number, number) for number in range(40))
        exec(compile(cls.SOURCE + names, module.__file__, "exec"), module.__dict__)


def imports(n):
    if Library not in sys.meta_path:
        sys.meta_path.append(Library)
    if n % 10 == 0:
        importlib.import_module("plugin_%d" % n)
        re.compile("(%d)+[a-z]*" % n)


def names_looked_up(n):
    getattr(anchor, "name_%d" % n, None)


def local_variable():
    accumulated = []
    for n in steps():
        accumulated.append(Payload(n))


def keep(kept, n):
    kept.append(worked_on(n))


def kept_by_caller():
    kept = []
    for n in steps():
        keep(kept, n)


class Session:
    def __init__(self):
        self.messages = []


async def keep_in_task(messages, n):
    messages.append(worked_on(n))
    await asyncio.sleep(0.4 / RATE)
    messages.append(Payload(n))


async def run_session():
    session = Session()
    begin = time.monotonic()
    for n in range(1 << 62):
        await asyncio.ensure_future(keep_in_task(session.messages, n))
        await asyncio.sleep(max(0.0, begin + n / RATE - time.monotonic()))


def kept_by_awaiter():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    asyncio.run(run_session())


def kept_by_server():
    server = types.ModuleType("server")
    server.__file__ = "/site-packages/server.py"
    code = "def serve(kept, steps, handle):\n for n in steps:\n  for handled in handle(kept, n): pass"
    exec(compile(code, server.__file__, "exec"), vars(server))
    sys.modules["server"] = server

    def handle(kept, n):
        keep(kept, n)
        yield

    server.serve([], steps(), handle)


local = threading.local()


def thread_local():
    def work():
        local.kept = []
        for n in steps():
            local.kept.append(Payload(n))

    threading.Thread(target=work, name="pool-worker", daemon=True).start()
    sys.stdin.read()


def thread_local_of_pool():
    def work(first):
        local.kept = []
        for n in steps():
            if n % 6 == first:
                local.kept.append(Payload(n))

    for first in range(6):
        threading.Thread(target=work, args=(first,), name="pool-worker-%d" % first, daemon=True).start()
    sys.stdin.read()


kept_until_swept = {}


def sweep_old(oldest):
    for n in [n for n in kept_until_swept if n < oldest]:
        del kept_until_swept[n]


def sweep_often():
    while True:
        time.sleep(0.02)
        sweep_old(0)


def sweep_rarely():
    while True:
        time.sleep(3600)
        sweep_old(1 << 62)


async def sweep_rarely_in_task():
    while True:
        await asyncio.sleep(3600)
        for n in list(kept_until_swept):
            kept_until_swept.pop(n)


def keep_until_swept(sweep):
    threading.Thread(target=end_with_stdin, daemon=True).start()
    threading.Thread(target=sweep, daemon=True).start()
    for n in steps():
        kept_until_swept[n] = Payload(n)


def swept_by_thread():
    keep_until_swept(sweep_rarely)


def swept_in_vain():
    keep_until_swept(sweep_often)


async def sweep_often_in_task():
    while True:
        await asyncio.sleep(0.05)
        for n in [n for n in kept_until_swept if n < 0]:
            kept_until_swept.pop(n)


async def keep_until_task_sweeps(sweep):
    begin = time.monotonic()
    sweeper = asyncio.ensure_future(sweep())
    for n in range(1 << 62):
        kept_until_swept[n] = Payload(n)
        await asyncio.sleep(max(0.0, begin + n / RATE - time.monotonic()))
    sweeper.cancel()


def swept_by_task():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    asyncio.run(keep_until_task_sweeps(sweep_rarely_in_task))


def swept_in_vain_by_task():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    asyncio.run(keep_until_task_sweeps(sweep_often_in_task))


requests = contextvars.ContextVar("requests") if contextvars else None
pending = set()
crew = set()


async def reply(n):
    payload = "r" * 60 + str(n)
    await asyncio.get_running_loop().create_future()
    return payload


async def answer(n):
    return "a" * 60 + str(n)


async def log_in_context(payload):
    requests.set([])
    begin = time.monotonic()
    for n in range(1 << 62):
        requests.get().append(payload(n))
        await asyncio.sleep(max(0.0, begin + n / RATE - time.monotonic()))


def context_of_task():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    asyncio.run(log_in_context(Payload))


def context_in_use():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    asyncio.run(log_in_context(worked_on))


async def keep_answers():
    begin = time.monotonic()
    for n in range(1 << 62):
        pending.add(asyncio.ensure_future(answer(n)))
        await asyncio.sleep(max(0.0, begin + n / RATE - time.monotonic()))


def finished_tasks():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    asyncio.run(keep_answers())


async def run_tasks():
    begin = time.monotonic()
    for n in range(1 << 62):
        task = asyncio.ensure_future(reply(n))
        pending.add(task)
        task.add_done_callback(pending.discard)
        await asyncio.sleep(max(0.0, begin + n / RATE - time.monotonic()))


class JobTask:
    """A task of an event loop that is not asyncio's."""

    def __init__(self, coro):
        self.coro = coro
        coro.send(None)


@types.coroutine
def pause():
    yield


async def job(n):
    payload = "j" * 60 + str(n)
    await pause()
    return payload


def tasks_of_other_loop(n):
    crew.add(JobTask(job(n)))


def tasks():
    threading.Thread(target=end_with_stdin, daemon=True).start()
    asyncio.run(run_tasks())


def end_with_stdin():
    sys.stdin.read()
    os._exit(0)


def steps():
    """Numbers, RATE of them a second."""
    begin = time.monotonic()
    for n in range(1, 1 << 62):
        yield n
        left = begin + n / RATE - time.monotonic()
        if left > 0:
            time.sleep(left)


WHOLE = {
    "local_variable": local_variable,
    "kept_by_caller": kept_by_caller,
    "kept_by_awaiter": kept_by_awaiter,
    "kept_by_server": kept_by_server,
    "thread_local": thread_local,
    "tasks": tasks,
    "finished_tasks": finished_tasks,
    "context_of_task": context_of_task,
    "context_in_use": context_in_use,
    "thread_local_of_pool": thread_local_of_pool,
    "swept_by_thread": swept_by_thread,
    "swept_by_task": swept_by_task,
    "swept_in_vain": swept_in_vain,
    "swept_in_vain_by_task": swept_in_vain_by_task,
}


def main():
    shape = sys.argv[1]
    print("ready", os.getpid(), flush=True)
    if shape in WHOLE:
        if shape in ("local_variable", "kept_by_caller", "kept_by_server"):
            threading.Thread(target=end_with_stdin, daemon=True).start()
        WHOLE[shape]()
        return
    threading.Thread(target=end_with_stdin, daemon=True).start()
    step = globals()[shape]
    for n in steps():
        step(n)


if __name__ == "__main__":
    main()
