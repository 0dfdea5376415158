"""Loses a parent in between: orphan.py

Forks a child that forks a grandchild. Prints `ready PID CHILD GRANDCHILD`; at a line on stdin the child ends, which leaves the
grandchild an orphan, and `orphaned` is printed. The grandchild and this process end when stdin closes.
"""

import os
import sys


def main():
    life, keep_alive = os.pipe()
    leave, ask_to_leave = os.pipe()
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(keep_alive)
        os.close(ask_to_leave)
        grandchild = os.fork()
        if grandchild == 0:
            os.close(0)
            os.read(life, 1)
            os._exit(0)
        os.write(tell, b"%d\n" % grandchild)
        os.read(leave, 1)
        os._exit(0)
    grandchild = int(os.read(told, 32))
    print("ready", os.getpid(), child, grandchild, flush=True)
    if sys.stdin.readline():
        os.write(ask_to_leave, b".")
        os.waitpid(child, 0)
        print("orphaned", flush=True)
        sys.stdin.read()


main()
