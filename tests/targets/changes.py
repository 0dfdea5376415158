"""Changes its memory in every way that the kernel knows, at random: argument 1 is the seed. Holds some 48 MiB that it changes rarely."""

import ctypes
import mmap
import os
import random
import sys
import time

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
random.seed(int(sys.argv[1]))


def new_map(pages):
    made = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, pages, random.choice((1, 1, 3))):
        made[page * PAGE] = random.randrange(1, 256)
    return made


def write(maps):
    chosen = random.choice(maps)
    for _ in range(random.randrange(1, 40)):
        chosen[random.randrange(len(chosen))] = random.randrange(256)


def replace(maps):
    maps.pop(random.randrange(len(maps))).close()
    maps.append(new_map(random.randrange(64, 512)))


def give_back(maps):
    chosen = random.choice(maps)
    pages = len(chosen) // PAGE
    first = random.randrange(pages)
    chosen.madvise(mmap.MADV_DONTNEED, first * PAGE, min(pages - first, random.randrange(1, 60)) * PAGE)
    for page in range(first, min(pages, first + 30)):
        chosen[page * PAGE]


def move(maps):
    chosen = random.choice(maps)
    chosen.resize(random.randrange(64, 512) * PAGE)


def protect(maps):
    chosen = random.choice(maps)
    held = ctypes.c_char.from_buffer(chosen)
    for access in (mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE):
        assert libc.mprotect(ctypes.c_void_p(ctypes.addressof(held)), ctypes.c_size_t(len(chosen)), access) == 0
    held.value = b"p"
    del held


def fork(maps):
    child = os.fork()
    if child == 0:
        time.sleep(random.random() / 100)
        os._exit(0)
    write(maps)
    if random.random() < 0.5:
        os.waitpid(child, 0)


def allocate(maps):
    objects.append([bytes(random.randrange(300)) for _ in range(random.randrange(3000))])
    if len(objects) > 20:
        del objects[random.randrange(10) :]


def receive(maps):
    """The kernel writes to it, in a system call."""
    chosen = random.choice(maps)
    os.preadv(zeros, [memoryview(chosen)[: random.randrange(1, len(chosen))]], 0)


objects = []
zeros = os.open(sys.executable, os.O_RDONLY)
steady = [new_map(3072) for _ in range(4)]
maps = [new_map(256) for _ in range(12)]
CHANGES = [write, write, write, replace, give_back, move, protect, fork, allocate, receive]
print("ready", flush=True)
while True:
    random.choice(CHANGES)(steady if random.random() < 0.02 else maps)
    while len(steady) < 4:
        steady.append(new_map(3072))
    time.sleep(random.choice((0, 0.0005, 0.002)))
