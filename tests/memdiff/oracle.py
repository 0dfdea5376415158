"""Reads logs by itself and says what changed: oracle.py LOG [LOG]

One log: its first records with its last; two: the last of each. Prints one JSON object: `rss` and `types` map names to
[before, after], null where one side has none. Processes are named by command line; a type that one side lacks is null if
that side's list was cut, and 0 otherwise.
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
    record = side.get("process")
    members = [record] + record["children"] if record else []
    root = ["root"]
    return {(root.pop() if root else " ".join(m["cmdline"] or [m["name"]])): m["rss_bytes"] for m in members}


def types(side):
    record = side.get("census", {"types": [], "types_omitted": {}})
    return {t["type"]: t["size_bytes"] for t in record["types"]}, record.get("types_omitted") is not None


def joined(before, after, missing_before, missing_after):
    names = set(before) | set(after)
    return {name: [before.get(name, missing_before), after.get(name, missing_after)] for name in names}


def main(paths):
    if len(paths) == 1:
        before, after = sides(paths[0])
    else:
        before, after = [sides(path)[1] for path in paths]
    (types_before, cut_before), (types_after, cut_after) = types(before), types(after)
    zero = [None if cut else 0 for cut in (cut_before, cut_after)]
    answer = {
        "rss": joined(processes(before), processes(after), None, None),
        "types": joined(types_before, types_after, *zero),
    }
    print(json.dumps(answer))


main(sys.argv[1:])
