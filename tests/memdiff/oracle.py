"""Compares logs independently of memdiff: oracle.py LOG [LOG]

One log: its first records with its last; two: the last of each. Prints one JSON object: `rss`, `types`, `holders` and
`caches` map names to [before, after], null where one side has none. Processes are named by command line, the root apart;
what one side's list lacks is null if that list was cut or not made, and 0 otherwise.
"""

import json
import sys


def sides(path):
    first, last = {}, {}
    with open(path) as log:
        for line in log:
            record = json.loads(line)
            if "type" not in record:
                if record["total_objects"]:
                    types = [dict(type=t["type"], size_bytes=t["size"]) for t in record["summary"]]
                    record = {"type": "census", "types": types, "types_omitted": {}}
            if record.get("type") in ("process", "census"):
                first.setdefault(record["type"], record)
                last[record["type"]] = record
    return first, last


def processes(side):
    record = side.get("process") or side.get("census", {})
    names = {"root": record.get("rss_bytes")}
    return names | {" ".join(m["cmdline"] or [m["name"]]): m["rss_bytes"] for m in record.get("children", [])}


def listed(side, part, key):
    record = side.get("census", {})
    rows = record.get(part)
    is_whole = rows is not None and record.get(part + "_omitted") is None
    return {row[key]: row["size_bytes"] for row in rows or []}, 0 if is_whole else None


def joined(before, after, missing_before, missing_after):
    names = set(before) | set(after)
    found = {name: [before.get(name, missing_before), after.get(name, missing_after)] for name in names}
    return {name: sizes for name, sizes in found.items() if sizes != [None, None]}


def main(paths):
    if len(paths) == 1:
        before, after = sides(paths[0])
    else:
        before, after = [sides(path)[1] for path in paths]
    answer = {"rss": joined(processes(before), processes(after), None, None)}
    for part, key in [("types", "type"), ("holders", "holder"), ("caches", "name")]:
        (was, missing_before), (now, missing_after) = listed(before, part, key), listed(after, part, key)
        answer[part] = joined(was, now, missing_before, missing_after)
    print(json.dumps(answer))


main(sys.argv[1:])
