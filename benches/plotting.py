#!/usr/bin/env python3
"""Compares the speed of memplot with that of json and matplotlib in Python, in one run and on the same logs.

    cargo build --release && python3 benches/plotting.py [--megabytes 500] [--runs 3]

Two logs: one of 500 MB (benches/reading.py says how it is made), and its first 50,000 samples, 1 million points. All draw the
resident sizes of the processes over time, as SVG and as PNG; matplotlib each process as a line, memplot stacked and with labels. Every
figure is that of the fastest run, the programs taking turns: what else the machine does only makes a run slower.

matplotlib is installed from PyPI into target/bench-venv.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys

import reading

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "target" / "bench-venv"
MEMPLOT = ROOT / "target" / "release" / "memplot"
MILLION = ROOT / "target" / "plotting-million.jsonl"
OUT = ROOT / "target" / "plotting"

# As one writes it by hand: read all, then draw all.
RIVAL = """
import datetime, json, sys
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
series = {}
with open(sys.argv[1], encoding="utf-8") as log:
    for line in log:
        record = json.loads(line)
        if record["type"] != "process":
            continue
        moment = datetime.datetime.fromisoformat(record["timestamp"]).timestamp()
        for process in [record, *record["children"]]:
            times, sizes = series.setdefault((process["pid"], process["name"]), ([], []))
            times.append(moment)
            sizes.append(process["rss_bytes"])
plt.figure(figsize=(14, 8))
for (pid, name), (times, sizes) in series.items():
    plt.plot(times, sizes, label=f"{name} {pid}")
plt.legend(loc="upper left")
plt.savefig(sys.argv[2], dpi=150)
"""


def venv():
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    if subprocess.run([python, "-c", "import matplotlib"], stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run([python, "-m", "pip", "install", "--quiet", "matplotlib"], check=True)
    return python


def make_logs(size):
    if not reading.LOG.exists() or not size <= reading.LOG.stat().st_size < size + 1_000_000:
        reading.make_log(size)
    with open(reading.LOG, "rb") as log, open(MILLION, "wb") as million:
        for _, line in zip(range(50_000), log):
            million.write(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    python = venv()
    make_logs(options.megabytes * 1_000_000)
    OUT.mkdir(exist_ok=True)
    print("| log | picture | program | seconds | processor seconds | peak RSS, MiB | picture, KB | times as fast, by either |\n"
          "|---|---|---|---|---|---|---|---|")
    for log in (MILLION, reading.LOG):
        size = f"{log.stat().st_size / 1e6:.0f} MB"
        name = f"1 million points, {size}" if log == MILLION else size
        for ending in ("svg", "png"):
            files = {"memplot": OUT / f"ours.{ending}", "json + matplotlib": OUT / f"theirs.{ending}"}
            programs = {
                "memplot": [MEMPLOT, log, "-t", "20", "-o", files["memplot"]],
                "json + matplotlib": [python, "-c", RIVAL, log, files["json + matplotlib"]],
            }
            results = {program: [] for program in programs}
            for _ in range(options.runs):
                for program, command in programs.items():
                    results[program].append(reading.measure(command))
            seconds = {program: min(run[0] for run in runs) for program, runs in results.items()}
            used = {program: min(run[1] for run in runs) for program, runs in results.items()}
            for program, runs in results.items():
                memory = statistics.median(run[2] for run in runs)
                times = [figures["json + matplotlib"] / figures[program] for figures in (seconds, used)]
                print(f"| {name} | {ending.upper()} | {program} | {seconds[program]:.2f} | {used[program]:.2f} | {memory:.0f} | "
                      f"{files[program].stat().st_size / 1e3:.0f} | {times[0]:.1f}, {times[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
