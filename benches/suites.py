#!/usr/bin/env python3
"""CPython's own tests as the judge of memobj: each case must end with it as it does without it.

Runs `python -m test` for each interpreter and suite: alone, with `memobj --tree -i 50ms`, and with `memobj --leaks --tree`. Compares the
outcome of each case, by regrtest's XML report. A suite with a difference runs twice more in both ways, because some cases fail by chance.

    cargo build --release --bin memobj
    python3 benches/suites.py [--python PATH]... [--suites test_io,test_select] [--memobj PATH] [--log FILE]

Prints a row for each suite as it ends, and at the end the table of docs/benchmarks.md and every difference. The exit code is 1 if a case
failed only with memobj.
"""

import argparse
import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
SUITES = (
    "test_io test_eintr test_signal test_select test_selectors test_socket test_threadsignals test_subprocess test_epoll test_poll"
    " test_time test_queue test_gc test_thread test_threading test_asyncio test_concurrent_futures test_multiprocessing_fork"
).split()
MODES = {
    "alone": None,
    "-i 50ms": ["--tree", "-i", "50ms"],
    "--leaks": ["--leaks", "--tree", "-i", "500ms", "--for", "5s"],
}
# test_eintr needs `walltime`, which not all versions know by name.
# Tests of AF_VSOCK wait forever in accept on some virtual machines, also without memobj.
# `test_shutdown_deadlock_pickle` waits forever by chance, also without memobj: gh-125451, mended in CPython 3.12.8 and 3.13.1.
LEFT_OUT = ["-i", "*VSOCK*", "-i", "*test_shutdown_deadlock_pickle*"]
CHOICE = ["-u", "all,-audio,-gui,-largefile,-network,-urlfetch,-cpu", *LEFT_OUT]
LIMIT = 900  # seconds for a suite


class Watcher:
    """memobj on a tree, started again whenever it ends, until the suite ends."""

    def __init__(self, memobj, options, pid, folder):
        self.command = [memobj, *options, "--format", "jsonl", "-p", str(pid)]
        self.log = open(folder / "memobj.jsonl", "wb+")
        self.run = None

    def keep_running(self):
        if self.run is None or self.run.poll() is not None:
            self.run = subprocess.Popen(self.command, stdout=self.log, stderr=subprocess.DEVNULL)

    def end(self):
        """The censuses by method, and the number of system calls that were ended early."""
        if self.run is not None and self.run.poll() is None:
            self.run.send_signal(signal.SIGINT)
            try:
                self.run.wait(20)
            except subprocess.TimeoutExpired:
                self.run.kill()
        methods = collections.Counter()
        self.log.seek(0)
        for line in self.log:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the last line of a memobj that was killed
            if record.get("type") == "census":
                methods[record["method"]] += 1
                methods["interrupted"] += record.get("interrupted_calls") or 0
            elif record.get("type") == "leaks":
                methods["leaks"] += 1
        return methods


def run_suite(python, suite, options, memobj):
    """Runs a suite once: the outcome of each case, the seconds, and what memobj did."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        report = folder / "report.xml"
        command = [python, "-m", "test", *CHOICE, "--junit-xml", str(report), suite]
        begun = time.monotonic()
        with open(folder / "output", "wb") as output:
            run = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        watcher = options and Watcher(memobj, options, run.pid, folder)
        while run.poll() is None and time.monotonic() - begun < LIMIT:
            if watcher:
                watcher.keep_running()
            time.sleep(0.02)
        ended = run.poll()
        if ended is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        took = time.monotonic() - begun
        methods = watcher.end() if watcher else collections.Counter()
        cases = outcomes(report)
        if ended is None:
            cases["(the suite)"] = "not ended"
        elif not cases:
            # The whole module was skipped, or there is none of this name.
            text = (folder / "output").read_text(errors="replace")
            cases["(the suite)"] = "skipped" if "skipped" in text else f"exit code {ended}"
        return cases, took, methods


def outcomes(report):
    if not report.exists():
        return {}
    cases = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        cases[case.get("name")] = min(kinds) if kinds else "passed"
    return cases


def is_bad(outcome):
    return outcome not in ("passed", "skipped", None)


def judge(python, suite, memobj):
    """One row: the modes side by side, and the cases that end otherwise with memobj."""
    runs = {mode: [run_suite(python, suite, options, memobj)] for mode, options in MODES.items()}

    def bad(mode):
        return [{name for name, outcome in cases.items() if is_bad(outcome)} for cases, _, _ in runs[mode]]

    differing = [mode for mode in MODES if mode != "alone" and bad(mode)[0] - bad("alone")[0]]
    for mode in (["alone", *differing] if differing else []):
        runs[mode] += [run_suite(python, suite, MODES[mode], memobj) for _ in range(2)]
    differences = []
    for mode in differing:
        for name in sorted(set().union(*bad(mode))):
            with_it = sum(name in names for names in bad(mode))
            without = sum(name in names for names in bad("alone"))
            if with_it > without:
                count = f"{with_it} of {len(runs[mode])} runs, alone in {without} of {len(runs['alone'])}"
                differences.append(f"{suite} {name}, memobj {mode}: failed in {count}")
    counts = collections.Counter()
    for mode in MODES:
        for _, _, methods in runs[mode]:
            counts += methods
    return {
        "cases": len(runs["alone"][0][0]),
        "bad": [len(bad(mode)[0]) for mode in MODES],
        "seconds": [runs[mode][0][1] for mode in MODES],
        "counts": counts,
        "differences": differences,
        "bad_alone": sorted(bad("alone")[0]),
    }


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--python", action="append", help="an interpreter with the package `test`; can be repeated")
    options.add_argument("--suites", default=",".join(SUITES))
    options.add_argument("--memobj", default=str(ROOT / "target/release/memobj"))
    options.add_argument("--log", help="append each result as a JSON line, and leave out what is there already")
    options = options.parse_args()
    done = {}
    if options.log and os.path.exists(options.log):
        lines = [json.loads(line) for line in open(options.log)]
        done = {(line["version"], line["suite"]): line["row"] for line in lines}
    rows = []
    for python in options.python or [sys.executable]:
        version = subprocess.check_output([python, "-c", "import sys; print(sys.version.split()[0])"], text=True).strip()
        for suite in options.suites.split(","):
            row = done.get((version, suite)) or judge(python, suite, options.memobj)
            rows.append((version, suite, row))
            if options.log and (version, suite) not in done:
                with open(options.log, "a") as log:
                    print(json.dumps({"version": version, "suite": suite, "row": row}), file=log)
            print(version, suite, row["cases"], row["bad"], [round(s, 1) for s in row["seconds"]], dict(row["counts"]), row["differences"], flush=True)
    print_table(rows)
    sys.exit(1 if any(row["differences"] for _, _, row in rows) else 0)


def print_table(rows):
    versions = list(dict.fromkeys(version for version, _, _ in rows))
    print(f"\n| suite | cases on {', '.join(versions)} | failed alone | with `-i 50ms` | with `--leaks` | quiet, gentle, stopped, live | calls cut |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for suite in dict.fromkeys(suite for _, suite, _ in rows):
        of_suite = {version: row for version, name, row in rows if name == suite}
        cases = ", ".join(f"{of_suite[version]['cases']:,}" if version in of_suite else "–" for version in versions)
        bad = [sum(row["bad"][mode] for row in of_suite.values()) for mode in range(len(MODES))]
        counts = sum((collections.Counter(row["counts"]) for row in of_suite.values()), collections.Counter())
        methods = ", ".join(f"{counts[method]:,}" for method in ("quiet", "gentle", "stopped", "live"))
        print(f"| {suite} | {cases} | {' | '.join(map(str, bad))} | {methods} | {counts['interrupted']} |")
    for version, _, row in rows:
        for difference in row["differences"]:
            print(f"{version} {difference}")
    for version, suite, row in rows:
        for name in row["bad_alone"]:
            print(f"{version} {suite} {name}: fails without memobj")


if __name__ == "__main__":
    main()
