"""A storm of short lives: storm.py SECONDS

Prints `ready PID`, waits for a line (or the end) of stdin, then forks children that live about a millisecond, as fast as it
can, a few at a time. In the end prints how many there were, and the pid and exit code of each, as one JSON object:
{"made": 2, "exits": [[4711, 0], [4712, 1]]}. Codes go round from 0 to 255.
"""

import json
import os
import sys
import time

AT_ONCE = 4


def main(seconds):
    print("ready", os.getpid(), flush=True)
    sys.stdin.readline()
    exits = []
    made = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(exits) < made:
        if time.monotonic() < end and made - len(exits) < AT_ONCE:
            if os.fork() == 0:
                time.sleep(0.001)
                os._exit(made % 256)
            made += 1
        else:
            pid, status = os.wait()
            exits.append((pid, status >> 8))
    print(json.dumps({"made": made, "exits": exits}), flush=True)


main(float(sys.argv[1]))
