"""Some objects come and stay, as many come and go. Says what it has at its end: how many of each were made."""

import collections
import itertools
import sys
import threading
import time


class Stays:
    def __init__(self, number):
        self.number = number


class Goes:
    def __init__(self, number):
        self.number = number


kept = {}
# Full, so that each that comes makes one go, and never twice at the same place.
passing = collections.deque((Goes(number) for number in range(400)), maxlen=400)


def work(stop):
    for number in itertools.count():
        if stop.is_set():
            return
        for each in range(8):
            kept[number, each] = Stays(number)
            passing.append(Goes(number))
        time.sleep(0.02)


stop = threading.Event()
worker = threading.Thread(target=work, args=(stop,))
worker.start()
print("ready", flush=True)
sys.stdin.read()
stop.set()
worker.join()
