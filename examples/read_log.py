#!/usr/bin/env python3
"""Reads a log of memmon or memobj and prints how each process grew.

    memmon -i 1s -p 1234 -o log.jsonl
    python3 examples/read_log.py log.jsonl

A log holds one JSON object a line. A reader ignores record types and fields
that it does not know, and a last line that is cut: its writer may have been
killed. docs/schema.md lists every field.
"""

import json
import sys


def records(path):
    with open(path, encoding="utf-8") as log:
        for line in log:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def main(path):
    first, last = {}, {}
    for record in records(path):
        if record["type"] == "process":
            size = record["total_rss_bytes"]
        elif record["type"] == "census":
            size = record["total_size_bytes"]
        else:
            continue
        # A pid can be used again, so a process is its pid and its start.
        key = record["type"], record["pid"], record.get("start_time")
        moment = record["timestamp"], size
        first.setdefault(key, moment)
        last[key] = moment
    for (kind, pid, _), (since, before) in first.items():
        until, after = last[kind, pid, _]
        print(f"{kind} {pid}: {before:,} → {after:,} bytes from {since} to {until}")


if __name__ == "__main__":
    main(sys.argv[1])
