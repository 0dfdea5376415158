"""A busy program that checks itself: busy.py

asyncio, threads, subprocesses, forks, sockets, pipes, timers, signals, locks with timeouts, files and the collector, all at once, each of them
computing something whose answer is known. Prints `ready PID`, and nothing more until its stdin closes or it gets SIGTERM; then one line

    verdict {"checks": {NAME: how often it came out right}, "failures": [what was wrong, ...]}

and ends with 0, or with 1 if anything was wrong. Whatever an observer does to it that it could notice, it notices: a call that fails, an answer
that is wrong, a timer that comes early, a signal that is lost, a child whose status is not its own.
"""

import asyncio
import collections
import gc
import hashlib
import json
import os
import queue
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import weakref

# A child of many threads that does nothing but compute, write and leave is what Python 3.12 warns of and what programs do.
warnings.simplefilter("ignore")

# A wait that takes longer has hung. On a machine that has ten times as much to do as it can, and stops on top, seconds become minutes.
PATIENCE = 120

checks = collections.Counter()
failures = []
ending = threading.Event()
lock = threading.Lock()


def check(name, right, *what):
    with lock:
        if right:
            checks[name] += 1
        elif len(failures) < 50:
            failures.append("%s: %r" % (name, what))


def sums(rng):
    """Arithmetic, hashes and sorting."""
    n = rng.randrange(2000)
    check("sum", sum(range(n)) == n * (n - 1) // 2, n)
    data = bytes(range(256)) * 16
    digest = hashlib.sha256(data).hexdigest()
    check("hash", digest == "c8f5d0341d54d951a71b136e6e2afcb14d11ed8489a7ae126a8fee0df6ecf193", digest)
    numbers = [rng.random() for _ in range(500)]
    ordered = sorted(numbers)
    check("sort", all(a <= b for a, b in zip(ordered, ordered[1:])) and set(ordered) == set(numbers))
    table = {str(i): [i, {"square": i * i}] for i in range(300)}
    check("dict", sum(v[1]["square"] for v in table.values()) == 299 * 300 * 599 // 6)


class Node:
    def __init__(self):
        self.me = self
        self.payload = [str(self)] * 3


def collector(rng):
    """Garbage in circles: all of it is found, and each tells of its end once."""
    gone = []
    refs = [weakref.ref(Node(), gone.append) for _ in range(rng.randrange(1, 200))]
    deadline = time.monotonic() + PATIENCE
    while len(gone) < len(refs) and time.monotonic() < deadline:
        gc.collect()
        # Another thread may be collecting: then this call returned at once.
        time.sleep(0.001)
    check("collector", len(gone) == len(refs) and all(ref() is None for ref in refs), len(gone), len(refs))


def waits(rng):
    """Waits with a timeout take at least that long, and say that they timed out.

    Without signal.sigtimedwait: CPython (3.8 to 3.13, signal_sigtimedwait_impl) retries it after EINTR, but if its time ran out meanwhile it returns a
    siginfo that was never filled. Any stop shows that, Ctrl-Z and fg too.
    """
    seconds = rng.uniform(0.001, 0.02)
    held = threading.Lock()
    held.acquire()
    reader, writer = os.pipe()
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    epoll = select.epoll()
    epoll.register(reader, select.EPOLLIN)
    ours, theirs = socket.socketpair()
    ours.settimeout(seconds)

    def receive():
        try:
            return ours.recv(1)
        except socket.timeout:
            return None

    kinds = {
        "sleep": lambda: time.sleep(seconds),
        "lock": lambda: held.acquire(timeout=seconds) or None,
        "event": lambda: threading.Event().wait(seconds) or None,
        "poll": lambda: poll.poll(seconds * 1000) or None,
        "epoll": lambda: epoll.poll(seconds) or None,
        "select": lambda: select.select([reader], [], [], seconds)[0] or None,
        "recv": receive,
    }
    try:
        for name, wait in kinds.items():
            start = time.monotonic()
            answer = wait()
            took = time.monotonic() - start
            # poll counts in whole milliseconds, and rounds up; clocks may differ by a tick of the kernel's.
            check("wait: " + name, answer is None and seconds - 0.0005 <= took < PATIENCE, answer, seconds, took)
    finally:
        epoll.close()
        os.close(reader)
        os.close(writer)
        ours.close()
        theirs.close()


def pipes(rng):
    """What goes through a pipe and a socket comes out the same, though neither holds all of it at once."""
    data = rng.getrandbits(8 * 300_000).to_bytes(300_000, "little")
    reader, writer = os.pipe()
    ours, theirs = socket.socketpair()

    def feed():
        with open(writer, "wb") as out:
            out.write(data)
        theirs.sendall(data)
        theirs.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    with open(reader, "rb") as source:
        check("pipe", source.read() == data)
    received = bytearray()
    while True:
        part = ours.recv(65536)
        if not part:
            break
        received += part
    ours.close()
    feeder.join(PATIENCE)
    check("socket", received == data and not feeder.is_alive(), len(received))


def queues(rng):
    """A queue between threads keeps order and loses nothing."""
    between = queue.Queue(maxsize=7)
    n = rng.randrange(1, 300)

    def put():
        for i in range(n):
            between.put(i, timeout=PATIENCE)
        between.put(None, timeout=PATIENCE)

    producer = threading.Thread(target=put)
    producer.start()
    got = list(iter(lambda: between.get(timeout=PATIENCE), None))
    producer.join(PATIENCE)
    check("queue", got == list(range(n)), got[-3:], n)


def files(rng):
    data = rng.getrandbits(8 * 50_000).to_bytes(50_000, "little")
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        file.seek(0)
        check("file", file.read() == data and os.fstat(file.fileno()).st_size == len(data))


def programs(rng):
    """Other programs: output, input, status and signal are theirs."""
    n = rng.randrange(1000)
    run = subprocess.run(["sh", "-c", "echo $(($1 * 7)); exit $(($1 % 50))", "sh", str(n)], stdout=subprocess.PIPE, timeout=PATIENCE)
    check("subprocess", run.stdout == b"%d\n" % (n * 7) and run.returncode == n % 50, n, run)
    data = b"%d\n" % n * 20_000
    cat = subprocess.run(["cat"], input=data, stdout=subprocess.PIPE, timeout=PATIENCE)
    check("subprocess input", cat.stdout == data and cat.returncode == 0, len(cat.stdout), cat.returncode)
    sleeper = subprocess.Popen(["sleep", "1000"])
    try:
        sleeper.wait(timeout=0.002)
        check("subprocess timeout", False, sleeper.returncode)
    except subprocess.TimeoutExpired:
        sleeper.kill()
        check("subprocess timeout", sleeper.wait(PATIENCE) == -signal.SIGKILL, sleeper.returncode)


def forks(rng):
    """Forked workers: each answers and ends with its own status, and is never said to have stopped or gone on."""
    n = rng.randrange(1, 100)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        answer = sum(i * i for i in range(n * 100))
        os.write(writer, b"%d" % answer)
        os._exit(n)
    os.close(writer)
    with open(reader, "rb") as source:
        answer = int(source.read() or -1)
    statuses = []
    while not statuses or not (os.WIFEXITED(statuses[-1]) or os.WIFSIGNALED(statuses[-1])):
        statuses.append(os.waitpid(pid, os.WUNTRACED | os.WCONTINUED)[1])
    m = n * 100
    check("fork", answer == (m - 1) * m * (2 * m - 1) // 6 and statuses == [n << 8], n, answer, statuses)


handled = collections.Counter()
OWN_SIGNALS = {"signal": signal.SIGUSR1, "real-time signal": signal.SIGRTMIN + 2}


def signals(rng):
    """A signal to oneself is handled once; a real-time one too."""
    for name, number in OWN_SIGNALS.items():
        before = handled[name]
        os.kill(os.getpid(), number)
        deadline = time.monotonic() + PATIENCE
        while handled[name] == before and time.monotonic() < deadline:
            # The handler runs in the main thread, which may be waiting.
            time.sleep(0.001)
        time.sleep(0.002)
        check(name, handled[name] == before + 1, before, handled[name])


def work(part, seed):
    rng = random.Random(seed)
    while not ending.is_set():
        try:
            part(rng)
        except BaseException:
            check(part.__name__, False, traceback.format_exc())
            return
        # Not all processors of the machine are ours.
        ending.wait(rng.uniform(0, 0.02))


async def echo(reader, writer):
    while True:
        line = await reader.readline()
        if not line:
            break
        writer.write(line)
        await writer.drain()
    writer.close()


async def talk(port, number):
    """A client of our own server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while not ending.is_set():
        said = b"%d:%d\n" % (number, count)
        writer.write(said)
        heard = await asyncio.wait_for(reader.readline(), PATIENCE)
        check("asyncio echo", heard == said, said, heard)
        count += 1
        await asyncio.sleep(0.001 * (count % 5))
    writer.close()


async def timers():
    loop = asyncio.get_running_loop()
    shared = asyncio.Lock()
    while not ending.is_set():
        start = loop.time()
        await asyncio.sleep(0.003)
        took = loop.time() - start
        # The loop rounds by the resolution of its clock.
        check("asyncio sleep", 0.002 < took < PATIENCE, took)
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.002)
            check("asyncio timeout", False, "an event that nobody sets")
        except asyncio.TimeoutError:
            check("asyncio timeout", True)
        order = []

        async def turn(i):
            async with shared:
                order.append(i)
                await asyncio.sleep(0)
                order.append(i)

        await asyncio.gather(*(turn(i) for i in range(5)))
        check("asyncio lock", order == [i // 2 for i in range(10)], order)


async def commands():
    while not ending.is_set():
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, _ = await asyncio.wait_for(process.communicate(b"x" * 100_000), PATIENCE)
        check("asyncio subprocess", out == b"x" * 100_000 and process.returncode == 0, len(out), process.returncode)
        await asyncio.sleep(0.02)


async def serve():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print("ready", os.getpid(), flush=True)
    await asyncio.gather(timers(), commands(), *(talk(port, i) for i in range(4)))
    server.close()
    # Without this `asyncio.run` cancels each `echo` that has not yet read its client's end, and says so on stderr.
    while echoing := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(echoing)


def alarms(*_):
    handled["ALRM"] += 1


def watch_stdin():
    while os.read(0, 4096):
        pass
    ending.set()


def main():
    for name, number in OWN_SIGNALS.items():
        signal.signal(number, lambda *_, name=name: handled.update([name]))
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    signal.signal(signal.SIGALRM, alarms)
    signal.signal(signal.SIGCONT, lambda *_: check("continued", False, "SIGCONT came"))
    parts = [sums, sums, collector, waits, waits, pipes, queues, files, programs, forks, signals]
    threads = [threading.Thread(target=work, args=(part, seed), name=part.__name__) for seed, part in enumerate(parts)]
    threading.Thread(target=watch_stdin, daemon=True).start()
    for thread in threads:
        thread.start()
    start = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        asyncio.run(serve())
    except BaseException:
        check("asyncio", False, traceback.format_exc())
    signal.setitimer(signal.ITIMER_REAL, 0)
    # Each is one that came; late ones are merged into the next, but none is made up.
    due = (time.monotonic() - start) / 0.05
    check("alarm", 0 < handled["ALRM"] <= due + 1, handled["ALRM"], due)
    ending.set()
    for thread in threads:
        thread.join(2 * PATIENCE)
        check("thread's end", not thread.is_alive(), thread.name)
    try:
        left = os.waitpid(-1, os.WNOHANG)
        check("no child left", False, left)
    except ChildProcessError:
        check("no child left", True)
    print("verdict", json.dumps({"checks": checks, "failures": failures}), flush=True)
    # Without the orderly end, in which a thread that hangs would hang it too.
    os._exit(1 if failures else 0)


main()
