"""Adds to containers and removes from them, and puts another in the place of one. With "fast" it adds without a pause."""

import os
import sys
import time

CACHE = {}
# A dict that is freed may be the next one, at the same address.
BEFORE = None


class Pool:
    def __init__(self):
        self.free = []
        self.used = set()


POOL = Pool()


def add(n):
    CACHE[n] = [n]


def remove(n):
    del CACHE[n]


def replace():
    global BEFORE, CACHE
    BEFORE, CACHE = CACHE, {}


def add_fast(n):
    POOL.free.append(n)


def run():
    print("ready", flush=True)
    n = 0
    while os.getppid() != 1:
        n += 1
        if sys.argv[1:] == ["fast"]:
            add_fast(n)
            continue
        add(n)
        time.sleep(0.005)
        if n % 4 == 0:
            remove(n)
            time.sleep(0.005)
        if n % 100 == 0:
            replace()


run()
