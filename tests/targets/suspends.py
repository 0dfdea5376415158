"""Leaves generators, coroutines and tasks suspended at known lines, and says how memobj is to name each, by what it knows from inside.

Prints `as OWNER` for each, then `ready PID`, and waits for the end of its input.
"""
import asyncio
import gc
import os
import sys

gc.disable()


def told(word, name, frame, state="waiting"):
    line = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
    print(f"as {word} __main__.{name}, {state} at {line}", flush=True)


def weight():
    """So much that its owner is not left out for being too light."""
    return bytearray(100000)


def stream(rows):
    for row in rows:
        padding = weight()
        yield padding


async def wait_reply(future):
    reply = weight()
    await future
    return reply


async def outer(future):
    padding = weight()
    return await wait_reply(future), padding


async def numbers():
    first, kept = weight(), weight()
    yield first
    yield 2


class Session:
    async def renew(self, future):
        async def inner():
            token = weight()
            await future
            return token

        await inner()


async def hold(generator):
    async for each in generator:
        await asyncio.get_running_loop().create_future()


generator = stream([1, 2])
next(generator)
told("generator", "stream", generator.gi_frame, "suspended")
never = wait_reply(weight())
print("as coroutine __main__.wait_reply, not started", flush=True)


async def main():
    future = asyncio.get_running_loop().create_future()
    items = numbers()
    tasks = [asyncio.ensure_future(each) for each in (outer(future), Session().renew(future), hold(items))]
    for each in tasks:
        each.set_name("t" * 100000)
    for _ in range(3):
        await asyncio.sleep(0)
    coroutines = [getattr(each, "_coro") for each in tasks]
    told("task", "outer", coroutines[0].cr_frame)
    told("coroutine", "outer", coroutines[0].cr_frame)
    told("coroutine", "wait_reply", coroutines[0].cr_await.cr_frame)
    told("task", "Session.renew", coroutines[1].cr_frame)
    told("coroutine", "Session.renew.<locals>.inner", coroutines[1].cr_await.cr_frame)
    told("async generator", "numbers", items.ag_frame)
    told("task", "hold", coroutines[2].cr_frame)
    print("ready", os.getpid(), flush=True)
    sys.stdin.read()


asyncio.run(main())
