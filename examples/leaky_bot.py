#!/usr/bin/env python3
"""A chat bot that leaks, to try the tools on.

Run it, then look at it from another terminal:

    python3 examples/leaky_bot.py &
    memobj --leaks --for 20s -p $!

or start both at once:

    memobj --leaks --for 20s -- python3 examples/leaky_bot.py

It serves imaginary users. Each message opens a session, and nothing ever
removes one. Beside the leak stand three things that look like leaks and are
none: a cache with a limit, a queue that is drained, a history that is cut.
"""

import asyncio
import collections
import functools
import itertools
import os
import time


class Session:
    """The state of one conversation."""

    def __init__(self, user):
        self.user = user
        self.opened = time.time()
        self.messages = []


class Bot:
    def __init__(self):
        # The leak: a session is added for each new user and never removed.
        self.sessions = {}
        # No leak: the deque drops its oldest entry.
        self.history = collections.deque(maxlen=200)
        # No leak: send_replies() empties the queue. Made in main(): before Python 3.10 a queue belongs to the loop that runs.
        self.outbox = None

    async def on_message(self, user, text):
        session = self.sessions.setdefault(user, Session(user))
        session.messages.append(text)
        self.history.append((user, text))
        await self.outbox.put(greeting(len(user) % 40))

    async def send_replies(self):
        while True:
            await self.outbox.get()


@functools.lru_cache(maxsize=32)
def greeting(length):
    """No leak: the cache keeps 32 entries."""
    return "hello " + "!" * length


bot = Bot()


async def main():
    bot.outbox = asyncio.Queue()
    print(f"bot: serving, pid {os.getpid()}", flush=True)
    sender = asyncio.create_task(bot.send_replies(), name="send_replies")
    for number in itertools.count():
        await bot.on_message(f"user-{number}", f"message {number}")
        await asyncio.sleep(0.01)
    await sender


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
