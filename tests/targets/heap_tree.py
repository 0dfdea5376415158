"""Holds known objects at known places: a dict of sessions, a cache in an object, a long chain, cyclic garbage."""

import gc
import time


class Session:
    def __init__(self, number):
        self.text = "x" * 1000 + str(number)


class Bot:
    def __init__(self):
        self.cache = [bytearray(2000) for _ in range(500)]


class Node:
    def __init__(self, after):
        self.after = after
        self.data = bytearray(1000)


class Lost:
    def __init__(self):
        self.own = self
        self.data = bytearray(1000)


gc.disable()
sessions = {number: Session(number) for number in range(3000)}
bot = Bot()
chain = None
for _ in range(1000):
    chain = Node(chain)
for _ in range(500):
    Lost()
print("ready now", flush=True)
time.sleep(600)
