"""Bears a hostile name and hostile arguments: hostile_name.py [LENGTH]

Runs itself anew with arguments that hold a line end, terminal sequences, quotes, bytes that are no UTF-8, a text that
reads backwards and one of LENGTH bytes (100000 without), and takes a name with the like. Then prints `ready PID` and
stays until stdin closes.
"""

import os
import sys

HOSTILE = [
    b"line\nend",
    b"\x1b[2J\x1b]0;title\x07\x1b[31mred",
    b"quotes \" ' \\ and , ; $(commands)",
    b"no UTF-8: \xff\xfe\xc3\x28",
    "\u202eback\u2066wards\u0085".encode("utf-8"),
    b"",
]


def main():
    if sys.argv[-1] != "hostile":
        length = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
        args = [os.fsencode(sys.executable), b"-B", os.fsencode(__file__)]
        os.execv(sys.executable, args + HOSTILE + [b"x" * length, b"hostile"])
    # The kernel keeps 15 bytes. It is set last, as running anew names a process after its file.
    with open("/proc/self/comm", "wb") as comm:
        comm.write(b"a) R 1\n\x1b[31m\xff\"")
    print("ready", os.getpid(), flush=True)
    while os.read(0, 65536):
        pass


main()
