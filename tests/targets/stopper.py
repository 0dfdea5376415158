"""Has a stopped child: stopper.py

Forks a child that stops itself (SIGSTOP), prints `ready PID CHILD` when it has, and ends it when stdin closes.
"""

import os
import signal


def main():
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    print("ready", os.getpid(), child, flush=True)
    while os.read(0, 65536):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


main()
