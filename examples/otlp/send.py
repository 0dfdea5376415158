#!/usr/bin/env python3
"""Sends the metrics of memmon and memobj as OTLP.

    memmon -n bot.py --format openmetrics | python3 send.py http://localhost:4318/v1/metrics
    memobj --leaks -n bot.py --format openmetrics | python3 send.py http://localhost:4318/v1/metrics

It needs nothing but Python. Each round of metrics is one request of OTLP over HTTP, in protobuf. If the receiver refuses it or
does not answer in ten seconds, a line says so and the round is lost: the next one has newer values. Then the exit code is 1.

Two variables of OpenTelemetry are used, each with pairs as in "a=b,c=d":

    OTEL_EXPORTER_OTLP_HEADERS   headers of the requests, as for a password
    OTEL_RESOURCE_ATTRIBUTES     attributes of all metrics, as "deployment.environment=test"
"""

import os
import re
import socket
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# OpenMetrics's units in those of OTLP, which are UCUM's.
UNITS = {"bytes": "By", "seconds": "s", "ratio": "1", "bytes_per_second": "By/s"}
SAMPLE = re.compile(r"([^{ ]+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([^=,]+)="((?:[^"\\]|\\.)*)"')
ESCAPED = {r"\n": "\n", r"\"": '"', r"\\": "\\"}
CUMULATIVE = 2


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    """A field of a protobuf message: an integer, or a text or message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fixed(number, kind, value):
    """A field of eight bytes."""
    return varint(number << 3 | 1) + struct.pack("<" + kind, value)


def attributes(number, pairs):
    """KeyValue messages."""
    return b"".join(field(number, field(1, key) + field(2, field(1, value))) for key, value in pairs)


def metrics(lines):
    """The Metric messages of a round of OpenMetrics."""
    now = time.time_ns()
    described = {}
    points = {}
    for line in lines:
        if line.startswith("# "):
            word, name, text = line[2:].split(" ", 2)
            described[word, name] = text
            continue
        name, labels, value = SAMPLE.match(line).groups()
        pairs = [(key, re.sub(r"\\.", lambda found: ESCAPED.get(found[0], found[0]), text)) for key, text in LABEL.findall(labels or "")]
        point = attributes(7, pairs) + fixed(3, "Q", now) + fixed(4, "d", float(value))
        points[name] = points.get(name, b"") + field(1, point)
    for name, data in points.items():
        unit = described.get(("UNIT", name), "")
        head = field(1, name) + field(2, described.get(("HELP", name), "")) + field(3, UNITS.get(unit, unit))
        if name.endswith("_total"):
            yield head + field(7, data + field(2, CUMULATIVE) + field(3, True))
        else:
            yield head + field(5, data)


def pairs(variable):
    words = [word.partition("=") for word in os.environ.get(variable, "").split(",")]
    return {key.strip(): urllib.parse.unquote(value.strip()) for key, _, value in words if key.strip()}


def send(url, lines):
    host = socket.gethostname()
    sender = {"service.name": "memtools", "service.instance.id": host, "host.name": host, **pairs("OTEL_RESOURCE_ATTRIBUTES")}
    scope = field(1, field(1, "memtools")) + b"".join(field(2, metric) for metric in metrics(lines))
    body = field(1, field(1, attributes(1, sender.items())) + field(2, scope))
    headers = {"Content-Type": "application/x-protobuf", **pairs("OTEL_EXPORTER_OTLP_HEADERS")}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
        answer.read()


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: memmon … --format openmetrics | send.py http://HOST:4318/v1/metrics")
    lost = 0
    lines = []
    for line in sys.stdin:
        if line != "# EOF\n":
            lines.append(line.rstrip("\n"))
            continue
        try:
            send(sys.argv[1], lines)
        except OSError as error:
            lost += 1
            why = error.read(500).decode(errors="replace").strip() if isinstance(error, urllib.error.HTTPError) else ""
            print(f"send.py: a round is lost: {error} {why}".rstrip(), file=sys.stderr, flush=True)
        lines = []
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
