"""Objects with file descriptors of every kind, and descriptors that no object has.

Prints one line of JSON: the number of open descriptors, and of those that objects own, by holder and type; then `ready PID`.
With `sockets` or `numbers` it opens more of them all the time: sockets in sessions, or descriptors that are mere numbers.
"""
import io
import json
import os
import sys
import time

owned = {}


def own(holder, of, count):
    owned["__main__.%s %s.%s" % (holder, of.__module__, of.__qualname__)] = count


path = __file__
files = [open(path) for _ in range(3)] + [open(path, "rb") for _ in range(2)]
own("files", io.FileIO, 5)

# Numbers, and files that do not close theirs: no object owns these.
numbers = [os.open(path, os.O_RDONLY) for _ in range(4)]
borrowed = [io.FileIO(number, closefd=False) for number in numbers]
# Closed by its owner: a later descriptor gets its number.
closed = [open(path)]
closed[0].close()


class Session:
    def __init__(self):
        self.connection = socket.socket()


try:
    import socket
    sessions = [Session() for _ in range(7)]
    plain = [each for _ in range(2) for each in socket.socketpair()]
    own("sessions", socket.socket, 7)
    own("plain", socket.socket, 4)
    detached = socket.socket()
    numbers.append(detached.detach())
except ImportError:
    pass
try:
    import select
    poll = select.epoll()
    own("poll", select.epoll, 1)
except ImportError:
    pass
try:
    import mmap
    # It has a copy of the descriptor.
    maps = [mmap.mmap(numbers[0], 0, prot=mmap.PROT_READ)]
    own("maps", mmap.mmap, 1)
except ImportError:
    pass
# Closed behind its back.
stale = [io.FileIO(path)]
os.close(stale[0].fileno())


def open_session():
    sessions.append(Session())


def open_number():
    numbers.append(os.open(path, os.O_RDONLY))


print(json.dumps({"fds": len(os.listdir("/proc/self/fd")) - 1, "owned": owned}))
print("ready", os.getpid(), flush=True)
step = {"sockets": open_session, "numbers": open_number}.get(sys.argv[1] if len(sys.argv) > 1 else "")
if step is None:
    sys.stdin.read()
while step:
    step()
    time.sleep(0.02)
