"""Four forked workers of one program, of which one leaks. Ends with its stdin."""
import os
import sys
import time


class Job:
    def __init__(self, n):
        self.text = "j" * 80 + str(n)


kept = []


def work(leaks):
    for n in range(1 << 62):
        job = Job(n)
        if leaks:
            kept.append(job)
        time.sleep(0.005)


children = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        work(number == 2)
    children.append(pid)
print("ready", os.getpid(), flush=True)
sys.stdin.read()
for pid in children:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
