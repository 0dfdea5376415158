"""Makes multidicts of many sizes, and says what they are: multidicts.py

Prints `made` with JSON: of each type, by its full name, how many and what `sys.getsizeof` says of all of them. Waits until stdin closes.
"""

import json
import os
import sys

import multidict

LENGTHS = (0, 1, 5, 6, 10, 11, 21, 22, 1000, 30000)
kept = [
    kind((key(number), number) for number in range(length))
    for kind in (multidict.MultiDict, multidict.CIMultiDict)
    for key in (str, lambda number: multidict.istr(number))
    for length in LENGTHS
]
found = {}
for made in kept:
    kind = type(made)
    name = "%s.%s" % (kind.__module__, kind.__qualname__)
    count, size = found.get(name, (0, 0))
    found[name] = (count + 1, size + sys.getsizeof(made))
os.write(1, ("made %s\n" % json.dumps(found)).encode())
sys.stdin.read()
