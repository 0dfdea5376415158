"""Reads a log and the plot that memplot made of it, independently of memplot, and compares them to half a pixel.

    oracle.py WHAT LOG SVG

Every corner of a line must be a value of the log, and no value of the log may be away from its line, but for those between
the least and the greatest of one column of pixels. Exits 1 and says where, if they differ.
"""

import datetime
import json
import math
import re
import sys
import xml.etree.ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"


def moment(text):
    return datetime.datetime.fromisoformat(text).timestamp() * 1000


def read_log(what, path):
    """The values of each series, as lists of (moment, value); and the rows, for what is stacked."""
    series, rows = {}, []
    for line in open(path, encoding="utf-8"):
        record = json.loads(line)
        at = moment(record["timestamp"])
        values = {}
        if record["type"] == "census":
            if what.startswith("types"):
                values = {row["type"]: row["size_bytes"] for row in record["types"]}
            elif what == "counts":
                values = {row["type"]: row["count"] for row in record["types"]}
            elif what == "modules":
                values = {row["module"]: row["size_bytes"] for row in record["modules"]}
            elif what == "holders":
                values = {row["holder"]: row["size_bytes"] for row in record["holders"]}
            elif what == "caches":
                values = {row["name"]: row["size_bytes"] for row in record["caches"]}
        elif record["type"] == "process":
            field = {"processes-pss": "pss_bytes", "threads": "threads"}.get(what, "rss_bytes")
            processes = [record, *record["children"]]
            if what == "total":
                values = {"sum of RSS": record["total_rss_bytes"], "sum of PSS": record["total_pss_bytes"]}
            else:
                values = {process["name"]: process[field] for process in processes}
        else:
            continue
        for name, value in values.items():
            series.setdefault(name, []).append((at, value))
        rows.append((at, values))
    if what.endswith("delta"):
        series = {name: [(at, value - points[0][1]) for at, value in points] for name, points in series.items()}
    return series, rows


NUMBER = re.compile(r"[MhvlzL]|-?\d*\.?\d+")


def corners(data):
    """The corners of a relative path."""
    tokens = NUMBER.findall(data)
    points, x, y, index, command = [], 0.0, 0.0, 0, ""
    while index < len(tokens):
        if tokens[index].isalpha():
            command = tokens[index]
            index += 1
            if command == "z":
                continue
        if command == "M":
            x, y, index = float(tokens[index]), float(tokens[index + 1]), index + 2
        elif command == "h":
            x, index = x + float(tokens[index]), index + 1
        elif command == "v":
            y, index = y + float(tokens[index]), index + 1
        elif command == "l":
            x, y, index = x + float(tokens[index]), y + float(tokens[index + 1]), index + 2
        points.append((x, y))
    return points


class Plot:
    def __init__(self, path):
        root = ET.parse(path).getroot()
        axes = next(group for group in root.iter(SVG + "g") if group.get("class") == "axes")
        read = lambda name: float(axes.get("data-" + name))
        self.left, self.right, self.top, self.bottom = map(read, ("left", "right", "top", "bottom"))
        self.first, self.last, self.min, self.max = map(read, ("from", "to", "min", "max"))
        self.log = axes.get("data-scale") == "log"
        self.shapes = {}
        for group in root.iter(SVG + "g"):
            if group.get("class") in ("line", "area", "total"):
                paths = [corners(path.get("d")) for path in group.findall(SVG + "path")]
                paths += [[(float(c.get("cx")), float(c.get("cy")))] for c in group.findall(SVG + "circle")]
                self.shapes[group.get("class"), group.get("data-series")] = paths

    def place(self, at, value):
        part = (value - self.min) / (self.max - self.min)
        if self.log:
            part = math.log2(max(value, self.min) / self.min) / math.log2(self.max / self.min)
        x = self.left + (self.right - self.left) * (at - self.first) / (self.last - self.first)
        return x, self.bottom - (self.bottom - self.top) * part


HALF = 0.5


def on_line(paths, x, y):
    """How far, at most, a point is above or below a line near it."""
    best = math.inf
    for path in paths:
        if len(path) == 1 and abs(path[0][0] - x) <= HALF:
            best = min(best, abs(path[0][1] - y))
        if any(abs(cx - x) <= HALF and abs(cy - y) <= HALF for cx, cy in path):
            return 0
        for (x0, y0), (x1, y1) in zip(path, path[1:]):
            if min(x0, x1) - HALF <= x <= max(x0, x1) + HALF:
                low, high = min(y0, y1), max(y0, y1)
                if x1 - x0 > 1:
                    on = y0 + (y1 - y0) * (x - x0) / (x1 - x0)
                    low = high = on
                best = min(best, 0 if low <= y <= high else min(abs(y - low), abs(y - high)))
    return best


def compare_line(plot, name, paths, points):
    places = [plot.place(at, value) for at, value in points]
    by_column = {}
    for x, y in places:
        by_column.setdefault(math.floor(x), []).append((x, y))
    # Every corner is a value of the log.
    for path in paths:
        for x, y in path:
            near = [p for column in range(math.floor(x) - 1, math.floor(x) + 2) for p in by_column.get(column, [])]
            if not any(abs(px - x) <= HALF and abs(py - y) <= HALF for px, py in near):
                yield f"{name}: the corner ({x:.1f}, {y:.1f}) is no value of the log"
    # And of each column of pixels the extremes are on the line.
    for column in by_column.values():
        ends = {min(column, key=lambda p: p[1]), max(column, key=lambda p: p[1])} if len(column) > 4 else column
        for x, y in ends:
            away = on_line(paths, x, y)
            if away > HALF:
                yield f"{name}: the value at ({x:.1f}, {y:.1f}) is {away:.1f} px off its line"


def top_edge(path, bottom):
    """The upper side of an area: all but its last corners on the axis."""
    edge = list(path)
    while len(edge) > 2 and abs(edge[-1][1] - bottom) <= 0.11:
        edge.pop()
    return edge


def compare_stack(plot, rows):
    areas = [(name, paths) for (kind, name), paths in plot.shapes.items() if kind == "area"]
    areas.reverse()  # Drawn from the top down.
    names = [name for name, _ in areas if not name.endswith(("other", "others"))]
    total = max(sum(values.values()) for _, values in rows)
    for number, (name, paths) in enumerate(areas):
        edges = [top_edge(path, plot.bottom) for path in paths]
        by_column = {}
        for at, values in rows:
            known = names[: number + 1] if name in names else list(values)
            if name in names and name not in values:
                continue
            height = sum(values.get(other, 0) for other in known)
            x, y = plot.place(at, height)
            whole = sum(values.values())
            by_column.setdefault(math.floor(x), []).append((whole, x, y))
        for column in by_column.values():
            ends = {min(column), max(column)} if len(column) > 4 else column
            for _, x, y in ends:
                away = on_line(edges, x, y)
                if away > HALF:
                    yield f"{name}: the edge at ({x:.1f}, {y:.1f}) is {away:.1f} px away"
    peak = plot.place(rows[0][0], total)[1]
    drawn = min(y for paths in [p for (kind, _), p in plot.shapes.items() if kind == "total"] for path in paths for _, y in path)
    if abs(peak - drawn) > HALF:
        yield f"the greatest sum is drawn at {drawn:.1f}, not at {peak:.1f}"


def main():
    what, log, svg = sys.argv[1:]
    series, rows = read_log(what, log)
    plot = Plot(svg)
    if what == "stack":
        faults = list(compare_stack(plot, rows))
        count = len([1 for kind, _ in plot.shapes if kind == "area"])
    else:
        lines = {name: paths for (kind, name), paths in plot.shapes.items() if kind == "line"}
        lines = {name: paths for name, paths in lines.items() if not name.endswith(("other", "others"))}
        faults = [f for name, paths in lines.items() for f in compare_line(plot, name, paths, series[name])]
        # What is not drawn has no higher peak than what is.
        if not what.endswith("delta"):
            hidden = [max(v for _, v in points) for name, points in series.items() if name not in lines]
            least = min(max(v for _, v in series[name]) for name in lines)
            faults += [f"a series with a peak of {peak} is not drawn" for peak in hidden if peak > least]
        count = len(lines)
    if faults or not count:
        print("\n".join(faults[:20]) or "nothing is drawn")
        sys.exit(1)
    print(f"{count} series agree")


main()
