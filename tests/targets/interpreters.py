"""Makes three interpreters besides its own, each with a list of its own, says `ready` and how many it has, and waits for the end of its stdin."""

import sys

# Up to 3.12 an interpreter ends with the last reference to its number.
made = []
for name in ("_interpreters", "_xxsubinterpreters"):
    try:
        interpreters = __import__(name)
    except ImportError:
        continue
    run = getattr(interpreters, "run_string", None) or interpreters.exec
    for number in range(3):
        made.append(interpreters.create())
        run(made[-1], "class Kept: pass\nkept = [Kept() for _ in range(1000)]")
    break
print("ready", len(made) + 1, flush=True)
sys.stdin.read()
