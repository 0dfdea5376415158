"""A server that loads first and forks then: forked.py MIB WORKERS [MILLISECONDS]

The parent makes a heap of MIB in small objects and as many bytes again of one buffer, then forks WORKERS children that share it all and wait, each touching
a little of its own now and then. Prints `ready PID`, the pids of the workers behind it. The parent asks the kernel about its children each MILLISECONDS (10),
stops and continuations too, and counts SIGCHLD. With 0 it never sleeps. When its stdin closes it prints

    verdict {"noticed": what the kernel told of the children, "statuses": how each ended}

and ends.
"""

import gc
import json
import os
import signal
import sys
import threading
import time

noticed = []
ending = threading.Event()


def worker(life):
    """Computes a little now and then until the parent closes the pipe."""
    os.set_blocking(life, False)
    while True:
        try:
            os.read(life, 1)
            os._exit(7)
        except BlockingIOError:
            assert sum(range(1000)) == 499500
        time.sleep(0.01)


def watch_stdin():
    while os.read(0, 4096):
        pass
    ending.set()


def main(mib, workers, milliseconds=10):
    signal.signal(signal.SIGCHLD, lambda *_: None if ending.is_set() else noticed.append("SIGCHLD"))
    buffer = b"\\1" * (mib << 19)
    held = [("%d" % i, [i]) for i in range((mib << 19) // 200)]
    gc.collect()
    # As servers do that share their heap with workers: the collector leaves it alone from here on.
    gc.freeze()
    life, keep_alive = os.pipe()
    pids = []
    for _ in range(workers):
        pid = os.fork()
        if pid == 0:
            os.close(0)
            os.close(keep_alive)
            worker(life)
        pids.append(pid)
    threading.Thread(target=watch_stdin, daemon=True).start()
    print("ready", os.getpid(), *pids, flush=True)
    statuses = {}
    while not ending.wait(milliseconds / 1000):
        for pid in pids:
            found = os.waitpid(pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if found != (0, 0):
                noticed.append(found)
    os.close(keep_alive)
    for pid in pids:
        if os.WIFEXITED(status := os.waitpid(pid, 0)[1]):
            statuses[pid] = os.WEXITSTATUS(status)
        else:
            statuses[pid] = -status
    print("verdict", json.dumps({"noticed": noticed, "statuses": list(statuses.values())}), flush=True)
    assert held and buffer
    os._exit(0)


main(*map(int, sys.argv[1:]))
