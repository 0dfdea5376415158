"""Workers, schedulers and bots that do the same for ever: `workers.py NAME`. Without a name it lists the names."""
import asyncio
import collections
import itertools
import json
import logging
import os
import queue
import random
import tempfile
import threading
import time

from load import double, every, in_thread, listener, ready, run


def celery_app(**settings):
    from celery import Celery

    app = Celery("steady")
    app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True, **settings)

    @app.task(name="add")
    def add(a, b):
        return a + b

    @app.task(name="flaky", bind=True, max_retries=1)
    def flaky(self, n):
        if n % 4 == 0 and not self.request.retries:
            raise self.retry(countdown=1)
        return n

    return app, add, flaky


def celery_memory():
    app, add, flaky = celery_app(broker_url="memory://", task_ignore_result=True)
    in_thread(lambda: every(10, lambda n: (add.delay(n, 1), flaky.delay(n))))
    app.worker_main(["worker", "--pool=solo", "--loglevel=CRITICAL", "--without-gossip", "--without-mingle"])


def celery_threads():
    app, add, flaky = celery_app(broker_url="memory://", result_backend="cache+memory://", result_expires=5)
    in_thread(lambda: every(5, lambda n: (add.delay(n, 1), flaky.delay(n))))
    app.worker_main(["worker", "--pool=threads", "--concurrency=3", "--loglevel=CRITICAL", "--without-gossip", "--without-mingle"])


def rq_worker():
    import fakeredis
    from rq import Queue, SimpleWorker

    logging.getLogger("rq.worker").setLevel(logging.CRITICAL)
    server = fakeredis.FakeServer()
    jobs = Queue(connection=fakeredis.FakeStrictRedis(server=server))
    worker = SimpleWorker([jobs], connection=fakeredis.FakeStrictRedis(server=server))

    def one(n):
        for k in range(3):
            jobs.enqueue(double, n + k, result_ttl=0)
        worker.work(burst=True, logging_level="CRITICAL")

    every(4, one)


def huey_worker():
    from huey import MemoryHuey

    logging.getLogger("huey").setLevel(logging.CRITICAL)
    huey = MemoryHuey(results=False)

    @huey.task(retries=1)
    def work(n):
        return sum(range(n % 100))

    consumer = huey.create_consumer(workers=2, periodic=False)
    consumer.start()
    every(30, lambda n: work(n))


def apscheduler_intervals():
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler()
    for n in range(10):
        scheduler.add_job(lambda n=n: sum(range(1000 + n)), "interval", seconds=0.5, jitter=0.1, max_instances=2)
    scheduler.start()
    once = lambda n: scheduler.add_job(double, "date", args=[n], id=f"once{n % 20}", replace_existing=True)
    every(5, once)


def schedule_loop():
    import schedule

    log = collections.deque(maxlen=50)
    for seconds in (1, 2, 3):
        schedule.every(seconds).seconds.do(log.append, f"each {seconds}")
    every(10, lambda n: schedule.run_pending())


def thread_pool():
    from concurrent.futures import ThreadPoolExecutor, as_completed

    pool = ThreadPoolExecutor(4)

    def one(n):
        jobs = [pool.submit(sorted, [random.random() for _ in range(50)]) for _ in range(8)]
        return [job.result() for job in as_completed(jobs)]

    every(20, one)


def process_pool():
    import multiprocessing

    pool = multiprocessing.get_context("spawn").Pool(2)
    every(10, lambda n: pool.map(double, range(n % 20)))


def queue_pipeline():
    first, second = queue.Queue(50), queue.Queue(50)

    def stage(source, sink):
        while True:
            item = source.get()
            item["steps"].append(threading.current_thread().name)
            sink.put(item)

    for _ in range(3):
        in_thread(stage, first, second)

    def one(n):
        first.put({"n": n, "steps": []})
        second.get()

    every(100, one)


def log_rotation():
    import logging.handlers

    folder = tempfile.mkdtemp()
    handler = logging.handlers.RotatingFileHandler(f"{folder}/log", maxBytes=20_000, backupCount=2)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    memory = logging.handlers.MemoryHandler(200, target=handler)
    log = logging.getLogger("service")
    log.setLevel("INFO")
    log.addHandler(memory)

    def one(n):
        log.info("request %d took %.2f ms", n, random.random() * 10)
        if n % 20 == 0:
            try:
                int("x")
            except ValueError:
                log.exception("failed")

    every(60, one)


def structlog_service():
    import structlog

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.TimeStamper(), structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(open(os.devnull, "w")),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger("service")

    def one(n):
        structlog.contextvars.bind_contextvars(request=n)
        log.bind(user=f"u{n % 9}").info("handled", took=random.random())
        structlog.contextvars.clear_contextvars()

    every(60, one)


def sessions_that_expire():
    sessions = {}

    def one(n):
        sessions[f"s{n}"] = {"user": n, "until": time.monotonic() + 3, "data": {"basket": [n]}}
        for key in [key for key, kept in sessions.items() if kept["until"] < time.monotonic()]:
            del sessions[key]

    every(40, one)


def batches():
    batch = []

    def one(n):
        batch.append({"n": n, "text": f"event {n}"})
        if len(batch) >= 150:
            json.dumps(batch)
            batch.clear()

    every(60, one)


async def steadily(rate, action):
    """The asynchronous `every`."""
    ready()
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for n in itertools.count():
        await action(n)
        await asyncio.sleep(max(0.0, begin + (n + 1) / rate - loop.time()))


def asyncio_streams():
    async def main():
        async def serve(reader, writer):
            while line := await reader.readline():
                writer.write(line.upper())
                await writer.drain()
            writer.close()

        sock, port = listener()
        await asyncio.start_server(serve, sock=sock)

        async def one(n):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for part in range(5):
                writer.write(f"line {n} {part}\n".encode())
                await reader.readline()
            writer.close()
            await writer.wait_closed()

        await steadily(15, one)

    asyncio.run(main())


def asyncio_workers():
    async def main():
        jobs = asyncio.Queue(100)
        running = set()

        async def work():
            while True:
                n = await jobs.get()
                await asyncio.sleep(random.random() / 50)
                jobs.task_done()

        workers = [asyncio.create_task(work()) for _ in range(4)]

        async def one(n):
            await jobs.put(n)
            task = asyncio.create_task(asyncio.wait_for(asyncio.sleep(0.05), 1))
            running.add(task)
            task.add_done_callback(running.discard)

        await steadily(80, one)
        return workers

    asyncio.run(main())


def websockets_bot():
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve

    async def main():
        async def answer(socket):
            async for message in socket:
                await socket.send(json.dumps({"reply": json.loads(message)}))

        sock, port = listener()
        async with serve(answer, sock=sock), connect(f"ws://127.0.0.1:{port}") as bot:

            async def one(n):
                await bot.send(json.dumps({"n": n, "text": "hello " * 5}))
                await bot.recv()

            await steadily(40, one)

    asyncio.run(main())


def reconnecting_bot():
    import tenacity
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve

    async def main():
        async def answer(socket):
            for _ in range(3):
                await socket.send(await socket.recv())

        sock, port = listener()

        @tenacity.retry(wait=tenacity.wait_fixed(0.01), stop=tenacity.stop_after_attempt(3))
        async def talk(n):
            async with connect(f"ws://127.0.0.1:{port}") as bot:
                for part in range(3):
                    await bot.send(f"{n}.{part}")
                    await bot.recv()

        async with serve(answer, sock=sock):
            await steadily(6, talk)

    asyncio.run(main())


def discord_dispatch():
    import discord
    from discord.ext import commands, tasks

    class Bot(commands.Bot):
        recent = collections.deque(maxlen=50)

        async def on_note(self, n):
            self.recent.append((n, time.time()))

    async def main():
        bot = Bot(command_prefix="!", intents=discord.Intents.default())
        bot.loop = asyncio.get_running_loop()

        @tasks.loop(seconds=0.5)
        async def clean():
            bot.recent.popleft()

        clean.start()

        async def one(n):
            bot.dispatch("note", n)

        await steadily(50, one)

    asyncio.run(main())


def aiosqlite_bot():
    import aiosqlite

    async def main():
        async with aiosqlite.connect(tempfile.mktemp(".db")) as db:
            await db.execute("create table notes (id integer primary key, text text)")

            async def one(n):
                await db.execute("insert or replace into notes values (?, ?)", (n % 100, f"note {n}"))
                await db.commit()
                async with db.execute("select * from notes order by id desc limit 5") as rows:
                    await rows.fetchall()

            await steadily(20, one)

    asyncio.run(main())


def gevent_crawler():
    from gevent import monkey

    monkey.patch_all()
    import gevent
    from gevent.pool import Pool
    from gevent.queue import Queue

    pool, pages = Pool(5), Queue(20)

    def fetch(n):
        gevent.sleep(random.random() / 100)
        pages.put({"page": n, "links": list(range(n % 10))})

    def one(n):
        pool.spawn(fetch, n)
        pages.get()

    every(50, one)


if __name__ == "__main__":
    run(
        [
            celery_memory, celery_threads, rq_worker, huey_worker, apscheduler_intervals, schedule_loop, thread_pool,
            process_pool, queue_pipeline, log_rotation, structlog_service, sessions_that_expire, batches, asyncio_streams,
            asyncio_workers, websockets_bot, reconnecting_bot, discord_dispatch, aiosqlite_bot, gevent_crawler,
        ]
    )
