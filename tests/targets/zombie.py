"""Has a child that ended and that it takes no notice of: zombie.py

Prints `ready PID CHILD`, and takes notice when stdin closes.
"""

import os


def main():
    child = os.fork()
    if child == 0:
        os._exit(3)
    # Waits for the end without taking note of it.
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    print("ready", os.getpid(), child, flush=True)
    while os.read(0, 65536):
        pass
    os.waitpid(child, 0)


main()
