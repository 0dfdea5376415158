#!/usr/bin/env python3
"""What a fleet's logs cost to ask: the queries of examples/sql over a day of many hosts, with DuckDB and ClickHouse.

    cargo build --release && python3 benches/fleet.py [--hosts 10000] [--every 300]

Real records of memmon and memobj, of examples/leaky_bot.py, are the models. Each host gets a sample of one process every five minutes
(--every) for a day, and a verdict every six hours. At eight o'clock half of the hosts get version 1.4.2, which leaks. The logs are
plain JSONL in a folder of their own, which is deleted in the end. Each query runs in a process of its own, on the files and on a
table that was loaded from them. Reported: time, processor time and peak memory of that process, and whether the answer is right.

The engines are installed from PyPI into target/bench-venv.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SQL = ROOT / "examples" / "sql"
PACKAGES = ["duckdb==2.0.1", "chdb==4.4.0"]
QUERIES = ["leaking_hosts", "common_holders", "first_version", "full_when"]
DAY = datetime.datetime(2026, 11, 29, tzinfo=datetime.timezone.utc)
HOSTS_PER_FILE = 100
LIMIT = 2 << 30

# Runs a query in an engine; prints its first rows.
CLIENT = r"""
import sys
engine, sql, store, query, threads = sys.argv[1:]
views, ask = open(f"{sql}/{engine}.sql").read(), open(f"{sql}/{query}.sql").read() if query != "load" else ""
LOADED = {
    "duckdb": "CREATE TABLE loaded AS FROM records; CREATE OR REPLACE VIEW records AS FROM loaded;",
    "clickhouse": "CREATE TABLE loaded ENGINE = MergeTree PARTITION BY toDate(timestamp) ORDER BY (type, host, timestamp)"
        " AS SELECT * FROM records; CREATE OR REPLACE VIEW records AS SELECT * FROM loaded;",
}
RELEASES = {
    "duckdb": "CREATE OR REPLACE VIEW releases AS SELECT * FROM read_csv('releases.csv', types = {'time': 'TIMESTAMPTZ', 'version': 'VARCHAR'});",
    "clickhouse": "CREATE OR REPLACE VIEW releases AS SELECT * FROM file('releases.csv', 'CSVWithNames',"
        " 'host String, time DateTime64(3, \\'UTC\\'), version String');",
}
is_new = query == "load" or store == "files"
if engine == "duckdb":
    import duckdb
    db = duckdb.connect(":memory:" if store == "files" else f"{store}.duckdb")
    db.execute(f"SET threads = {threads}; SET memory_limit = '4GB'; SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    run = db.execute
    answer = lambda: db.sql(ask).fetchall()
else:
    from chdb import session
    db = session.Session(None if store == "files" else f"{store}.chdb")
    db.query(f"SET max_threads = {threads}")
    run = lambda text: [db.query(part) for part in text.split(";") if part.strip()]
    answer = lambda: eval("[" + str(db.query(ask, "JSONCompactEachRow")).strip().replace("\n", ",").replace("null", "None") + "]")
if is_new:
    run(views)
    run(RELEASES[engine])
if query == "load":
    run(LOADED[engine])
else:
    rows = answer()
    print(len(rows), *rows[:1])
"""


def models(binaries):
    """A `process` record and a `leaks` record."""
    bot = subprocess.Popen([sys.executable, ROOT / "examples/leaky_bot.py"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        pid = str(bot.pid)
        watch = [binaries / "memmon", "-p", pid, "-i", "100ms", "--count", "1"]
        search = [binaries / "memobj", "--leaks", "--for", "3s", "-i", "500ms", "-p", pid]
        lines = [subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout.splitlines()[-1] for command in (watch, search)]
    finally:
        bot.kill()
    process, leaks = map(json.loads, lines)
    if (process["type"], leaks["type"], leaks["verdict"]) != ("process", "leaks", "leak"):
        sys.exit("the models are no sample and no leak")
    return process, leaks


def template(record, fields):
    """The line of a record with the values of `fields`, dotted paths, as format fields."""
    record = json.loads(json.dumps(record))
    for path in fields:
        *above, name = path.split(".")
        inner = record
        for step in above:
            inner = inner[step]
        inner[name] = f"@{path.replace('.', '_')}@"
    text = json.dumps(record, separators=(",", ":")).replace("{", "{{").replace("}", "}}")
    for path in fields:
        key = path.replace(".", "_")
        quoted = f'"{{{key}}}"' if path in ("timestamp", "host", "run") else f"{{{key}}}"
        text = text.replace(f'"@{key}@"', quoted)
    return (text + "\n").format


def write_logs(folder, hosts, every, process, leaks):
    """Writes the logs; returns their bytes and records."""
    process["cgroup"] = {"version": 2, "path": "/bot", "current_bytes": 1, "limit_bytes": LIMIT, "peak_bytes": 1, "oom_kills": 0,
                         "anon_bytes": 1, "file_bytes": 1, "kernel_bytes": 1, "shmem_bytes": 0}
    sample = template(process, ["timestamp", "host", "run", "pid", "iteration", "rss_bytes", "total_rss_bytes", "cgroup.anon_bytes"])
    leak = template(leaks, ["timestamp", "host", "run", "pid"])
    steady = template({**leaks, "verdict": "none", "leaks": []}, ["timestamp", "host", "run", "pid"])
    stamps = [(DAY + datetime.timedelta(seconds=second)).isoformat(timespec="milliseconds") for second in range(0, 86400, every)]
    count = 0
    with open(folder / "releases.csv", "w") as releases:
        releases.write("host,time,version\n")
        for first in range(0, hosts, HOSTS_PER_FILE):
            with open(folder / f"log-{first:06}.jsonl", "w") as log:
                for number in range(first, min(first + HOSTS_PER_FILE, hosts)):
                    host, run, pid = f"host{number:06}", f"{number:016x}", 1000 + number % 30000
                    has_leak = number % 2 == 1
                    releases.write(f"{host},2026-11-01T00:00:00Z,1.4.1\n")
                    if has_leak:
                        releases.write(f"{host},2026-11-29T08:00:00Z,1.4.2\n")
                    for iteration, stamp in enumerate(stamps, 1):
                        hours = iteration * every / 3600
                        # A leak of 10 to 30 MiB an hour.
                        used = (100 << 20) + (int((hours - 8) * (10 + number % 21) * 1048576) if has_leak and hours > 8 else 0)
                        log.write(sample(timestamp=stamp, host=host, run=run, pid=pid, iteration=iteration, rss_bytes=used,
                                         total_rss_bytes=used, cgroup_anon_bytes=used - (20 << 20)))
                    for hour in (3, 9, 15, 21):
                        stamp = (DAY + datetime.timedelta(hours=hour)).isoformat(timespec="milliseconds")
                        log.write((leak if has_leak and hour > 8 else steady)(timestamp=stamp, host=host, run=run, pid=pid))
                    count += len(stamps) + 4
    return sum(file.stat().st_size for file in folder.glob("*.jsonl")), count


def measure(python, folder, *arguments):
    """Runs the client: its output, seconds, processor seconds and peak bytes."""
    start = time.monotonic()
    client = subprocess.Popen([python, "-c", CLIENT, *map(str, arguments)], cwd=folder, stdout=subprocess.PIPE, text=True)
    out = client.stdout.read()
    _, status, usage = os.wait4(client.pid, 0)
    client.returncode = os.waitstatus_to_exitcode(status)
    if client.returncode:
        sys.exit(f"failed: {arguments}")
    return out.strip(), time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def is_right(query, out, hosts):
    """Whether an answer is that of the logs."""
    leaking = hosts // 2
    expected = {"leaking_hosts": min(leaking, 100), "common_holders": 1, "first_version": 1, "full_when": min(leaking, 100)}
    is_named = {"common_holders": str(leaking), "first_version": "1.4.2"}.get(query, "host")
    return out.split(" ")[0] == str(expected[query]) and is_named in out


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--hosts", type=int, default=10_000)
    options.add_argument("--every", type=int, default=300, help="seconds between two samples")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--binaries", type=pathlib.Path, default=ROOT / "target" / "release")
    options = options.parse_args()
    venv = ROOT / "target" / "bench-venv"
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
    process, leaks = models(options.binaries.absolute())
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        folder = pathlib.Path(folder)
        start = time.monotonic()
        size, records = write_logs(folder, options.hosts, options.every, process, leaks)
        print(f"{options.hosts:,} hosts, {records:,} records, {size / 1e9:.2f} GB, written in {time.monotonic() - start:.0f} s", flush=True)
        print("| engine | on | query | seconds | processor seconds | peak memory | right |\n|---|---|---|--:|--:|--:|---|")
        for engine in ("duckdb", "clickhouse"):
            for store in ("files", folder / engine):
                for query in [*(["load"] if store != "files" else []), *QUERIES]:
                    out, seconds, cpu, peak = measure(python, folder, engine, SQL, store, query, options.threads)
                    right = "" if query == "load" else "yes" if is_right(query, out, options.hosts) else f"NO: {out[:200]}"
                    on = "files" if store == "files" else "table"
                    print(f"| {engine} | {on} | {query} | {seconds:.2f} | {cpu:.2f} | {peak / 2**30:.2f} GiB | {right} |", flush=True)


if __name__ == "__main__":
    main()
