"""Holds known objects, and values that no export may contain."""

import gc
import time


class Session:
    __slots__ = ("visible_slot", "after")

    def __init__(self, number, after):
        self.visible_slot = "hunter2-text-" + str(number)
        self.after = after


class Bot:
    visible_class_attribute = ["hunter2-item"]

    def __init__(self):
        self.visible_attribute = {"hunter2_key": b"hunter2-bytes", ("hunter2-in-tuple",): 1}
        self.cache = [bytearray(2000) for _ in range(500)]
        setattr(self, "hunter2@example.org", 1)


def count(visible_default={"hunter2_default": "hunter2-value"}):
    visible_closed = {"hunter2_closed": 1}

    def inner():
        return visible_closed

    return inner


class Lost:
    def __init__(self, shared):
        self.own = self
        self.shared = shared


def lose(shared):
    for _ in range(3):
        Lost(shared)


gc.disable()
closure = count()
sessions = {}
last = None
for number in range(2000):
    last = sessions["hunter2_session_%d" % number] = Session(number, last)
bot = Bot()
small = {"hunter2_only": Session(0, None)}
lose(small)


def main():
    visible_local = {"hunter2_local": {"hunter2_deep"}}
    print("ready now", flush=True)
    time.sleep(600)
    return visible_local


main()
