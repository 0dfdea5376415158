"""Tells of signals: signals.py [CODE]

Prints `ready PID`, then `got NAME` for each of SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 that arrives. Exits with CODE (0
without) when stdin closes, or cannot be read any more, as a terminal that is gone.
"""

import os
import signal
import sys

NAMES = ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"]


def say(line):
    # One write: the interrupted program may be in the middle of another one of Python's.
    os.write(1, (line + "\n").encode())


def main(code):
    for name in NAMES:
        signal.signal(getattr(signal, "SIG" + name), lambda *_, name=name: say("got " + name))
    say("ready %d" % os.getpid())
    while os.read(0, 65536):
        pass
    os._exit(code)


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
