"""Holds objects in variables of suspended functions; `N` objects of a class of its own are in each place.

Prints `ready PID`, and ends with its input.
"""
import asyncio
import os
import sys
import threading
import weakref

N = 40


def new(name):
    """Objects of a class of that name in this module."""
    made = type(name, (), {"__module__": "__main__"})
    return [made() for _ in range(N)]


class Jar:
    def __init__(self):
        self.cookies = dict(enumerate(new("InAttribute")))


class State:
    def __init__(self):
        self.items = new("InWeakKeyed")


class Bot:
    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.jobs = asyncio.Queue()

    def fill(self):
        for each in new("InQueue"):
            self.jobs.put_nowait(each)

    async def run(self):
        await asyncio.sleep(3600)


states = weakref.WeakKeyDictionary()


async def poller():
    seen = new("InLocal")
    while True:
        await asyncio.sleep(3600, seen)


async def consumer():
    """Waits in a queue that the module holds: the queue leads to it, and holds nothing of it."""
    kept = new("InWaiting")
    await incoming.get()
    return kept


async def stuck(payload):
    await asyncio.get_running_loop().create_future()


async def main():
    global incoming
    incoming = asyncio.Queue()
    jar, state, bot = Jar(), State(), Bot()
    states[asyncio.current_task()] = state
    bot.fill()
    pending = [asyncio.ensure_future(stuck(each)) for each in new("InMany")]
    background = [asyncio.ensure_future(poller()), asyncio.ensure_future(consumer())]
    bot.loop.call_later(0.2, lambda: print("ready", os.getpid(), flush=True))
    await bot.run()
    return jar, state, pending, background


threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
asyncio.run(main())
