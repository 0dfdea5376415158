"""Programs whose memory is known, one a word; each says `ready PID` and what else there is to know, and ends with its stdin."""

import os
import sys


class Item:
    def __init__(self, number):
        self.number = number
        self.text = "t" * 50 + str(number)


def wait(*words):
    print("ready", os.getpid(), *words, flush=True)
    while sys.stdin.readline():
        yield


def objects():
    """Many objects, and what pymalloc says of itself, on stderr."""
    kept = {n: [Item(n), (n, str(n)), {n}] for n in range(20000)}
    del_me = [Item(n) for n in range(30000)]
    del del_me[::2]
    sys._debugmallocstats()
    for _ in wait(sys.getallocatedblocks()):
        kept.clear()


def native():
    """What C has taken and nobody knows of."""
    import ctypes

    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    def take():
        for _ in range(4000):
            libc.memset(libc.malloc(5000), 1, 5000)

    take()
    for _ in wait():
        take()
        print("took", flush=True)


def fragmented():
    """A few objects, each in a place of its own."""
    global pins
    blocks = [b"x" * 400 + str(n).encode() for n in range(200000)]
    pins = blocks[::200]
    del blocks
    for _ in wait(len(pins)):
        pass


def large():
    """Buffers that have mappings of their own."""
    import mmap

    array = bytearray(b"a") * (9 << 20)
    shared = mmap.mmap(-1, 6 << 20)
    shared.write(b"b" * (6 << 20))
    items = [None] * (2 << 20)
    for _ in wait(len(array), len(items)):
        pass


def threads():
    """Threads with arenas and stacks."""
    import threading

    gate = threading.Event()

    def work():
        mine = [bytearray(5000) for _ in range(300)]
        gate.wait()
        return mine

    all_threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in all_threads:
        thread.start()
    for _ in wait():
        pass


def forked():
    """A worker that has all it has from its parent, until it looks at it."""
    items = [Item(n) for n in range(50000)]
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        while os.read(read, 1):
            for item in items:
                item.text
            print("touched", flush=True)
        os._exit(0)
    os.close(read)
    for _ in wait(pid):
        os.write(write, b".")


globals()[sys.argv[1]]()
