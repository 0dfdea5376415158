"""Tells of signals: signals.py [CODE]

Prints `ready PID`, then `got NAME` for each of SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 that arrives. Exits with CODE (0
without) when stdin closes, or cannot be read any more, as a terminal that is gone.
"""

import os
import select
import signal
import sys

NAMES = ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"]


def say(line):
    os.write(1, (line + "\n").encode())


def has_more():
    try:
        return os.read(0, 65536)
    except OSError:
        return b""


def main(code):
    # What arrives just before a read blocks would wait for the next signal. So the C handler writes into a pipe
    # (signal.set_wakeup_fd), which select() waits for as well.
    arrived, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    numbers = {int(getattr(signal, "SIG" + name)): name for name in NAMES}
    for number in numbers:
        signal.signal(number, lambda *_: None)
    say("ready %d" % os.getpid())
    while True:
        ready = select.select([0, arrived], [], [])[0]
        if arrived in ready:
            for number in os.read(arrived, 64):
                say("got " + numbers[number])
        elif not has_more():
            os._exit(code)


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
