"""A tree of processes: tree.py WIDTH DEPTH MIB

Every process forks WIDTH children until DEPTH levels are below the first, and touches MIB of memory of its own.
`tree.py 1 500 0` is a chain, `tree.py 2000 1 0` a broad family. Prints `ready PID` when all are there and touched.

A process whose parent is killed lives on. All end, leaves first, when the first one does or its stdin closes.
"""

import os
import sys

# A fork takes the kernel the longer the more forks lie between it and the last exec, so a deep chain runs itself anew
# now and then.
ANEW = 20


def grow(width, depth, level, life, tell_ready, own):
    """Forks until all levels are there. In each process, returns its level and how many children it has."""
    children = 0
    while level < depth and children < width:
        if os.fork() == 0:
            for fd in own:
                os.close(fd)
            own = []
            level += 1
            children = 0
            if level % ANEW == 0:
                numbers = [level, life, tell_ready]
                os.execv(sys.executable, [sys.executable, "-B"] + sys.argv[:4] + list(map(str, numbers)))
        else:
            children += 1
    return level, children


def main(width, depth, mib, level=0, life=None, tell_ready=None):
    own = []
    if level == 0:
        # Only the first process keeps the pipe's other end, so that however it dies, all the others read an end.
        life, keep_alive = os.pipe()
        ready, tell_ready = os.pipe()
        os.set_inheritable(life, True)
        os.set_inheritable(tell_ready, True)
        own = [keep_alive, ready, 0]
    level, children = grow(width, depth, level, life, tell_ready, own)
    memory = bytearray(b"\1") * (mib << 20)
    if level > 0:
        os.write(tell_ready, b".")
        os.read(life, 1)
    else:
        below = sum(width**n for n in range(1, depth + 1))
        while below > 0:
            below -= len(os.read(ready, 65536))
        print("ready", os.getpid(), flush=True)
        while os.read(0, 65536):
            pass
        os.close(keep_alive)
    for _ in range(children):
        os.wait()
    # At once: an orderly end of the interpreter would write to, and so copy, the pages it shares with all the others.
    os._exit(0)


main(*map(int, sys.argv[1:]))
