"""Adds to a dict once in seven seconds."""

import os
import time

SLOW = {}


def add(n):
    SLOW[n] = ["slow"] * 100


print("ready", flush=True)
n = 0
while os.getppid() != 1:
    add(n)
    n += 1
    time.sleep(7)
