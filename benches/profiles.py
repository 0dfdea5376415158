#!/usr/bin/env python3
"""The profiles of memobj in the programs that they are for: go tool pprof reads them, and its numbers are those of the census.

    cargo build --release --bin memobj && python3 benches/profiles.py [--bin DIR] [--python PYTHON] [--schema FILE]

Exports a program twice, which grows meanwhile. Compares the values of `-top` and `-diff_base` with the records. With --schema, the
file-format-schema.json of npm's speedscope, it validates the file of speedscope too (pip install jsonschema). Needs Debian's golang-go. Ends
with 1 if a number differs.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

TARGET = """
class Session:
    def __init__(self, number):
        self.text = 'session %d' % number

class Owner:
    def __init__(self):
        self.sessions = {}

owner = Owner()
late = []
for number in range(20000):
    owner.sessions[number] = Session(number)
print('ready', flush=True)
input()
for number in range(5000):
    late.append(Session(number))
print('ready', flush=True)
input()
"""

differences = 0


def check(what, found, expected):
    global differences
    if found != expected:
        differences += 1
        print(f"DIFFERS {what}: {found}, memobj has {expected}")


def top(values, *args):
    """The flat and cumulative values of `go tool pprof -top` by name."""
    options = ["-top", "-nodecount=0", "-nodefraction=0", "-edgefraction=0", f"-sample_index={values}"]
    if values == "inuse_space":
        options.append("-unit=B")
    text = subprocess.run(
        ["go", "tool", "pprof", *options, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True
    ).stdout
    rows = {}
    for line in text.splitlines():
        row = re.fullmatch(r" *(-?\d+)B? +\S+% +\S+% +(-?\d+)B? +\S+% +(.*)", line)
        if row:
            rows[row[3]] = (int(row[1]), int(row[2]))
    return rows


def flat(rows):
    return sum(row[0] for row in rows.values())


def compare(values, file, record):
    """Compares a profile with the census of the same run."""
    field, total = {"inuse_objects": ("count", "total_objects"), "inuse_space": ("size_bytes", "total_size_bytes")}[values]
    rows = top(values, file)
    check(f"{values} in all", flat(rows), record[total])
    smaller = rows.get("(smaller parts)", (0, 0))[0]
    for of in record["types"]:
        found = rows.get(of["type"], (0, 0))[0]
        if found != of[field] and not 0 <= of[field] - found <= smaller:
            check(f"{values} of {of['type']}", found, of[field])
    # A module can have the name of a type or of a holder: those are one row there.
    tree = record["heap_tree"]
    modules = [node for node in tree if node["kind"] == "module" and sum(node["name"] == other["name"] for other in tree) == 1]
    below = [(node["name"], node[field]) for node in modules]
    if field == "size_bytes":
        # The record leaves out small nodes, but not of what a holder retains.
        below += [(of["holder"], of["retained_bytes"]) for of in record["holders"] if of["holder"] not in dict(below)]
    for name, expected in below:
        check(f"{values} below {name}", rows.get(name, (0, 0))[1], expected)
    print(f"{values}: {len(rows)} rows, {len(record['types'])} types, {len(below)} modules and holders compared, {smaller} in smaller parts")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target" / "release")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--schema", type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "target.py").write_text(TARGET)
        target = subprocess.Popen(
            [args.python, "-I", folder / "target.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

        def export(file):
            command = [args.bin / "memobj", "-p", str(target.pid), "--retained", "--export", folder / file]
            return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[0])

        try:
            target.stdout.readline()
            before = export("a.pb.gz")
            export("a.speedscope.json")
            target.stdin.write("\n")
            target.stdin.flush()
            target.stdout.readline()
            after = export("b.pb.gz")
            for values in ("inuse_objects", "inuse_space"):
                compare(values, folder / "a.pb.gz", before)
                compare(values, folder / "b.pb.gz", after)
                rows = top(values, f"-diff_base={folder / 'a.pb.gz'}", folder / "b.pb.gz")
                field = "count" if values == "inuse_objects" else "size_bytes"
                session = [next(of[field] for of in record["types"] if of["type"] == "__main__.Session") for record in (before, after)]
                check(f"difference of {values} of Session", rows["__main__.Session"][0], session[1] - session[0])
                total = "total_objects" if values == "inuse_objects" else "total_size_bytes"
                check(f"difference of {values}", flat(rows), after[total] - before[total])
                print(f"{values}: -diff_base: __main__.late {rows['__main__.late'][1]:+}, __main__.Session {rows['__main__.Session'][0]:+}")
            comments = subprocess.run(
                ["go", "tool", "pprof", "-comments", folder / "a.pb.gz"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True
            ).stdout
            print(comments.strip())
            if args.schema:
                import jsonschema

                file = json.loads((folder / "a.speedscope.json").read_text())
                jsonschema.validate(file, json.loads(args.schema.read_text()))
                check("bytes for speedscope", file["profiles"][0]["endValue"], before["total_size_bytes"])
                check("objects for speedscope", file["profiles"][1]["endValue"], before["total_objects"])
                print(f"speedscope: {len(file['shared']['frames'])} frames, the file is valid")
        finally:
            target.kill()
    print(f"{differences} numbers differ" if differences else "all numbers are the same")
    sys.exit(differences > 0)


main()
