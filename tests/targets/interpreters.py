"""Makes three interpreters besides its own, each with a list of its own, says `ready` and how many it has, and waits for the end of its stdin."""

import sys

made = 0
for name in ("_interpreters", "_xxsubinterpreters"):
    try:
        interpreters = __import__(name)
    except ImportError:
        continue
    run = getattr(interpreters, "run_string", None) or interpreters.exec
    for number in range(3):
        run(interpreters.create(), "class Kept: pass\nkept = [Kept() for _ in range(1000)]")
        made += 1
    break
print("ready", made + 1, flush=True)
sys.stdin.read()
