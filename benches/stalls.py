#!/usr/bin/env python3
"""How long clients of a service wait while memobj counts its objects.

    python3 -m venv venv && venv/bin/pip install uvicorn
    cargo build --profile dist --bin memobj
    python3 benches/stalls.py --python venv/bin/python [--against OTHER_MEMOBJ] [--heap 50 300 1000] [--arrays] [--seconds 15]

Starts a service (uvicorn, one process) with a heap of each size (MiB) on a loopback port. A client sends 200 requests a second at fixed
times over keep-alive connections, whatever the answers do. So a wait counts in full for each request that was due during it. Each case
takes the same time: nothing, `memobj -i 2`, `memobj --leaks` (a census every 2 s), and `memobj -i 2 --no-stop`. Prints a table: the longest
wait, the 99th percentile, and what memobj says of its censuses. `--against` adds the rows of another memobj. `--arrays` puts nine tenths of
the heap into bytearrays. The defaults take some 3 minutes, with `--against` 6.
"""

import argparse
import asyncio
import collections
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RATE, CONNECTIONS = 200, 16
REQUEST = b"GET / HTTP/1.1\r\nHost: service\r\n\r\n"
SERVICE = '''
import json, sys
import uvicorn
mebibytes, arrays, port = map(int, sys.argv[1:])
heap = [{"number": number, "name": f"name {number}", "tags": [number, str(number)]} for number in range((mebibytes - arrays) * 1900)]
buffers = [bytearray(b"x" * (1 << 20)) for _ in range(arrays)]
async def app(scope, receive, send):
    body = json.dumps(heap[:100]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="off", access_log=False)
'''
CASES = {"-i 2": ["-i", "2"], "--leaks": ["--leaks", "-i", "2", "--for", "5m"], "--no-stop": ["-i", "2", "--no-stop"]}


def start_service(python, mebibytes, arrays):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = subprocess.Popen([python, "-c", SERVICE, *map(str, (mebibytes, arrays, port))])
    while service.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return service, port
        except OSError:
            time.sleep(0.1)
    sys.exit("the service ended; has the interpreter uvicorn?")


async def read_answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))


async def send_requests(port, seconds):
    """The wait for each answer in ms, from the time at which its request was due, in ascending order."""
    free, waits = asyncio.Queue(), []
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))

    async def ask(due):
        reader, writer = connection = await free.get()
        writer.write(REQUEST)
        await read_answer(reader)
        waits.append((time.perf_counter() - due) * 1000)
        free.put_nowait(connection)

    begun, asked = time.perf_counter(), []
    for number in range(round(seconds * RATE)):
        due = begun + number / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.ensure_future(ask(due)))
    await asyncio.wait_for(asyncio.gather(*asked), 60)
    while not free.empty():
        free.get_nowait()[1].close()
    return sorted(waits)


def measure(memobj, options, pid, port, seconds):
    """The waits, and what memobj says of its censuses."""
    if memobj is None:
        return asyncio.run(send_requests(port, seconds)), ""
    command = [memobj, *options, "--format", "jsonl", "-p", str(pid)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as tool:
        waits = asyncio.run(send_requests(port, seconds))
        tool.send_signal(signal.SIGINT)
        records = [json.loads(line) for line in tool.communicate()[0].splitlines()]
    censuses = [record for record in records if record["type"] == "census"]
    leaks = [record for record in records if record["type"] == "leaks"]
    pauses = [record.get("pause_seconds") or 0 for record in censuses]
    pauses += [record.get("longest_pause_seconds") or 0 for record in leaks]
    methods = collections.Counter(record["method"] for record in censuses)
    counts = [f"{count} {method}" for method, count in methods.items()] + [f"{record['censuses']} censuses" for record in leaks]
    return waits, ", ".join([*counts, f"pause at most {max(pauses, default=0) * 1000:.1f} ms"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="an interpreter that has uvicorn")
    parser.add_argument("--memobj", default=str(ROOT / "target/dist/memobj"), help="the memobj to measure")
    parser.add_argument("--against", help="another memobj to compare with")
    parser.add_argument("--heap", nargs="+", type=int, default=[50, 300, 1000], help="heaps of the service, in MiB")
    parser.add_argument("--arrays", action="store_true", help="nine tenths of the heap are bytearrays")
    parser.add_argument("--seconds", type=float, default=15, help="the time of each case")
    chosen = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, {chosen.seconds:g} s each\n")
    print("| heap | beside | memobj | longest wait | p99 | memobj says |\n|---|---|---|--:|--:|---|")
    cases = [("nothing", "", None, [])]
    for name, options in CASES.items():
        cases.append((f"`{name}`", "this", chosen.memobj, options))
        if chosen.against:
            cases.append((f"`{name}`", "the other", chosen.against, options))
    for heap in chosen.heap:
        service, port = start_service(chosen.python, heap, heap * 9 // 10 if chosen.arrays else 0)
        try:
            for name, which, memobj, options in cases:
                waits, said = measure(memobj, options, service.pid, port, chosen.seconds)
                high = waits[len(waits) * 99 // 100]
                print(f"| {heap} MiB | {name} | {which} | {waits[-1]:.0f} ms | {high:.1f} ms | {said} |", flush=True)
        finally:
            service.kill()
            service.wait()


if __name__ == "__main__":
    main()
