#!/usr/bin/env python3
"""What clients of a service notice of memobj's analysis, by its nice value.

    cargo build --release --bin memobj && python3 benches/priorities.py [--rounds 5] [--seconds 10] [--memobj FILE] [--python INTERPRETER]

A web service of asyncio with 1 million objects answers 200 requests a second on one connection, each sent at its time whether or not the one
before it was late. Meanwhile `memobj --max-pause 0 --holders --retained -i 100ms` reads it without a pause: what is measured is the analysis.
The cases take turns. Prints for each case the median over the rounds of the median, p99 and longest answer in ms, and the censuses a round.
"""

import argparse
import asyncio
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RATE = 200

SERVICE = r"""
import asyncio
held = [{"key": str(i), "parts": [i, float(i)]} for i in range(200_000)]
async def serve(reader, writer):
    while await reader.readline():
        body = " ".join(str(i) for i in range(300))
        writer.write(b"%d\n" % len(body))
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


async def ask(port, seconds):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    due, times = [], []

    async def receive():
        while await reader.readline():
            times.append(time.perf_counter() - due[len(times)])

    task = asyncio.create_task(receive())
    start = time.perf_counter()
    for number in range(int(seconds * RATE)):
        at = start + number / RATE
        await asyncio.sleep(max(0, at - time.perf_counter()))
        due.append(at)
        writer.write(b"x\n")
    await asyncio.sleep(1)
    writer.close()
    task.cancel()
    return sorted(1000 * t for t in times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--memobj", default=ROOT / "target" / "release" / "memobj")
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    service = subprocess.Popen([options.python, "-c", SERVICE], stdout=subprocess.PIPE)
    port = int(service.stdout.readline())
    cases = {"nothing": None, "nice 0": "0", "nice 10": "10", "nice 19": "19"}
    found = {case: [] for case in cases}
    # The client is no part of what is measured. memobj begins at 0 again.
    os.nice(-10)
    for _ in range(options.rounds):
        for case, nice in cases.items():
            memobj = None
            if nice is not None:
                command = [options.memobj, "-p", str(service.pid), "--max-pause", "0", "--holders", "--retained", "-i", "100ms"]
                command += ["--nice", nice, "--format", "jsonl"]
                memobj = subprocess.Popen(["nice", "-n", "10", *command], stdout=subprocess.PIPE)
            times = asyncio.run(ask(port, options.seconds))
            censuses = 0
            if memobj is not None:
                memobj.terminate()
                censuses = memobj.communicate()[0].count(b'"type":"census"')
            found[case].append((times[len(times) // 2], times[int(len(times) * 0.99)], times[-1], censuses))
    service.kill()
    print("| case | median | p99 | longest | censuses |\n|---|--:|--:|--:|--:|")
    for case, rounds in found.items():
        print(f"| {case} | " + " | ".join(f"{statistics.median(column):.1f}" for column in zip(*rounds)) + " |")


if __name__ == "__main__":
    main()
