"""A master that does nothing, with workers; prints `ready PID`.

Arguments: what the workers do, `leak` or `rest`; or `brief`: they come and go. The workers end with the master.
"""
import os
import sys
import time

seen = []


class Visit:
    def __init__(self, number):
        self.number = number


def work(master, leaks, seconds):
    end = time.monotonic() + seconds
    while os.getppid() == master and time.monotonic() < end:
        if leaks:
            seen.append(Visit(len(seen)))
        time.sleep(0.005)
    os._exit(0)


def start(leaks, seconds):
    master = os.getpid()
    if os.fork() == 0:
        work(master, leaks, seconds)


what = sys.argv[1]
if what != "brief":
    for _ in range(2):
        start(what == "leak", 3600)
print("ready", os.getpid(), flush=True)
while True:
    if what == "brief":
        start(False, 2.5)
        while os.waitpid(-1, 0)[0] == 0:
            pass
    else:
        time.sleep(0.1)
