#!/usr/bin/env python3
"""What `memobj --leaks` says of programs that leak with published packages.

    cargo build --bin memobj && python3 benches/leaking.py [--memobj PATH] [--for 20s 60s] [--only NAME …] [--write]

Starts each program of `leaking_programs/leaks.py` in the environments of `steady.py`, looks at it, and compares the verdict with the
answer in the program: one leak, its holder, the type of its entries, and their rate within 15 %. `--write` writes the table of
docs/leaks.md.
"""

import argparse
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys

import steady

PROGRAMS = steady.ROOT / "benches" / "leaking_programs"
BEGIN, END = "<!-- written by `benches/leaking.py` -->", "<!-- end of what `benches/leaking.py` writes -->"
TOLERANCE = 0.15


def judge(outcome, answer):
    """What is wrong with a verdict; nothing if it is right."""
    if outcome["verdict"] != "leak":
        return outcome["verdict"]
    [record] = outcome["records"]
    own = [leak for leak in record["leaks"] if leak["side_effect_of"] is None]
    if (record["memory"] or {}).get("is_leak"):
        own.append({"holder": "memory outside Python objects"})
    first = own[0]
    wrong = []
    if first["holder"] not in answer["holders"]:
        wrong.append(f"holder `{first['holder']}`")
    if first.get("type") != answer["type"]:
        wrong.append(f"type `{first.get('type')}`")
    rate, wanted = first.get("objects_per_minute", 0), answer["rate"] * 60
    if abs(rate - wanted) > TOLERANCE * wanted:
        wrong.append(f"{rate:,.0f} a minute instead of {wanted:,.0f}")
    wrong += [f"also `{leak['holder']}`" for leak in own[1:]]
    return ", ".join(wrong)


def table(found, heads, answers):
    lines = ["| program | entries | holder | " + " | ".join(f"{version}, {duration}" for version, duration in heads) + " |"]
    lines.append("|---|---|---|" + "---|" * len(heads))
    right = looks = 0
    for name, answer in answers.items():
        cells = []
        for head in heads:
            wrong = found.get((name, *head))
            cells.append("" if wrong is None else wrong or "right")
            looks, right = looks + (wrong is not None), right + (wrong == "")
        lines.append(f"| {name} | `{answer['type']}` | `{answer['holders'][0]}` | " + " | ".join(cells) + " |")
    lines += ["", f"Right: **{right} of {looks} looks**."]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memobj", type=pathlib.Path, default=steady.ROOT / "target" / "debug" / "memobj")
    parser.add_argument("--for", dest="durations", nargs="+", default=["20s", "60s"])
    parser.add_argument("--python", nargs="+", default=["3.11", "3.13"])
    parser.add_argument("--only", nargs="+", help="the names of programs")
    parser.add_argument("--folder", type=pathlib.Path, default=steady.ROOT / "target" / "steady", help="environments and outcomes")
    parser.add_argument("--jobs", type=int, default=3, help="programs at a time")
    parser.add_argument("--write", action="store_true", help="write the table of docs/leaks.md")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    pythons = steady.environments(arguments.folder, arguments.python)
    program = PROGRAMS / "leaks"
    answers = json.loads(subprocess.run([sys.executable, program.with_suffix(".py")], stdout=subprocess.PIPE, text=True, check=True).stdout)
    heads = [(version, duration) for version in arguments.python for duration in arguments.durations]
    work = [(name, *head) for head in heads for name in answers if not arguments.only or name in arguments.only]

    def one(key):
        name, version, duration = key
        keep = arguments.folder / f"leaking-{name}-{version}-{duration}"
        return key, judge(steady.look(arguments.memobj, pythons[version], program, name, duration, keep), answers[name])

    found = {}
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for key, wrong in pool.map(one, work):
            found[key] = wrong
            print(*key, wrong or "right", flush=True)
    written = table(found, heads, answers)
    print(written)
    if arguments.write:
        text = steady.DOCUMENT.read_text()
        pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
        steady.DOCUMENT.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{written}\n\n{END}", text))


if __name__ == "__main__":
    main()
