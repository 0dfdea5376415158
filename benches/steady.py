#!/usr/bin/env python3
"""How often `memobj --leaks` accuses a program that does not leak.

    cargo build --bin memobj && python3 benches/steady.py [--memobj PATH] [--for 20s 60s] [--only NAME …] [--write]

Starts each program of `steady_programs/`, with pinned packages in virtual environments of its own, and looks at it from its first request
on, so that the warm-up is seen. A verdict of a leak is a false alarm. `--write` writes the table of docs/leaks.md.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "benches" / "steady_programs"
DOCUMENT = ROOT / "docs" / "leaks.md"
BEGIN, END = "<!-- written by `benches/steady.py` -->", "<!-- end of what `benches/steady.py` writes -->"
KINDS = {"web": "web services", "workers": "workers, schedulers, bots", "data": "clients, data jobs, caches, test suites"}


def environments(folder, versions):
    """A Python with the packages, for each version."""
    found = {}
    for version in versions:
        made = folder / f"venv{version}"
        python = made / "bin" / "python"
        if not python.exists():
            base = shutil.which(f"python{version}") or sys.exit(f"python{version} is not on the PATH")
            subprocess.run([base, "-m", "venv", made], check=True)
            requirements = PROGRAMS / "requirements.txt"
            subprocess.run([python, "-m", "pip", "install", "-q", "-r", requirements], check=True)
        found[version] = python
    return found


def names_of(kind):
    listed = subprocess.run([sys.executable, PROGRAMS / f"{kind}.py"], stdout=subprocess.PIPE, text=True, check=True)
    return listed.stdout.split()


def look(memobj, python, kind, name, duration, keep):
    """One look: the record of its verdict, and the text."""
    # memobj appends.
    pathlib.Path(f"{keep}.jsonl").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TMPDIR": folder}
        program = subprocess.Popen(
            [python, PROGRAMS / f"{kind}.py", name],
            stdout=subprocess.PIPE,
            stderr=open(keep.with_suffix(".err"), "w"),
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            line = program.stdout.readline()
            if not line.startswith("ready "):
                return {"verdict": f"did not start: {keep.with_suffix('.err').read_text()[-300:]}"}
            command = [memobj, "--leaks", "--for", duration, "-p", line.split()[1], "-o", keep]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            if program.poll() is not None:
                return {"verdict": f"ended: {keep.with_suffix('.err').read_text()[-300:]}"}
            if done.returncode not in (0, 1):
                return {"verdict": f"memobj: {done.stderr}"}
            records = map(json.loads, pathlib.Path(f"{keep}.jsonl").read_text().splitlines())
            records = [record for record in records if record["type"] == "leaks"]
            leaking = [record for record in records if record["verdict"] == "leak"]
            return {"verdict": "leak" if done.returncode else "none", "records": leaking or records}
        finally:
            # The program and the processes that it started.
            try:
                os.killpg(program.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            program.wait()


def accused(outcome):
    """The holders that a verdict accuses."""
    found = []
    for record in outcome.get("records", []):
        found += [leak["holder"] for leak in record["leaks"] if leak["side_effect_of"] is None]
        if (record["memory"] or {}).get("is_leak"):
            found.append("memory outside Python objects")
    return found


def table(outcomes, versions, durations):
    """The table of docs/leaks.md."""
    heads = [(version, duration) for version in versions for duration in durations]
    lines = ["| programs | number | " + " | ".join(f"{version}, {duration}" for version, duration in heads) + " |"]
    lines.append("|---|--:|" + "--:|" * len(heads))
    alarms = looks = 0
    for kind, title in KINDS.items():
        names = sorted({name for (of, name, *_) in outcomes if of == kind})
        cells = []
        for head in heads:
            of = [outcomes[key] for name in names if (key := (kind, name, *head)) in outcomes]
            judged = [outcome for outcome in of if outcome["verdict"] in ("leak", "none")]
            wrong = sum(outcome["verdict"] == "leak" for outcome in judged)
            alarms, looks = alarms + wrong, looks + len(judged)
            cells.append(f"{wrong} of {len(judged)}")
        lines.append(f"| {title} | {len(names)} | " + " | ".join(cells) + " |")
    lines += ["", f"False alarms: **{alarms} in {looks} looks**."]
    for (_, name, version, duration), outcome in sorted(outcomes.items()):
        if outcome["verdict"] == "leak":
            where = ", ".join(f"`{holder}`" for holder in accused(outcome))
            lines.append(f"`{name}`, Python {version}, {duration}: {where}.")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memobj", type=pathlib.Path, default=ROOT / "target" / "debug" / "memobj")
    parser.add_argument("--for", dest="durations", nargs="+", default=["20s", "60s"])
    parser.add_argument("--python", nargs="+", default=["3.11", "3.13"])
    parser.add_argument("--only", nargs="+", help="the names of programs")
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "target" / "steady", help="environments and outcomes")
    parser.add_argument("--jobs", type=int, default=3, help="programs at a time")
    parser.add_argument("--write", action="store_true", help="write the table of docs/leaks.md from all outcomes in the folder")
    arguments = parser.parse_args()
    outcome_file = arguments.folder / "outcomes.json"
    arguments.folder.mkdir(parents=True, exist_ok=True)
    pythons = environments(arguments.folder, arguments.python)
    outcomes = {}
    if outcome_file.exists():
        outcomes = {tuple(key.split("|")): outcome for key, outcome in json.loads(outcome_file.read_text()).items()}
    work = [
        (kind, name, version, duration)
        for duration in arguments.durations
        for kind in KINDS
        for name in names_of(kind)
        for version in pythons
        if not arguments.only or name in arguments.only
    ]

    def one(key):
        kind, name, version, duration = key
        keep = arguments.folder / f"{name}-{version}-{duration}"
        return key, look(arguments.memobj, pythons[version], kind, name, duration, keep)

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for key, outcome in pool.map(one, work):
            outcomes[key] = outcome
            holders = ", ".join(accused(outcome)) if outcome["verdict"] == "leak" else ""
            print(time.strftime("%H:%M:%S"), *key[1:], outcome["verdict"], holders, flush=True)
            outcome_file.write_text(json.dumps({"|".join(key): outcome for key, outcome in outcomes.items()}))
    written = table(outcomes, arguments.python, arguments.durations)
    print(written)
    if arguments.write:
        text = DOCUMENT.read_text()
        pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
        DOCUMENT.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{written}\n\n{END}", text))


if __name__ == "__main__":
    main()
