"""Opens files and starts threads all the time. With `leak` it closes no file and ends no thread.

Prints twice a second how many it leaks in an hour: files, then threads.
"""
import os
import sys
import threading
import time

leak = sys.argv[1] == "leak"
files, threads, never = [], 0, threading.Event()
print("ready", os.getpid(), flush=True)
begun = time.monotonic()
turn = 0
while True:
    turn += 1
    files.append(os.open("/dev/null", os.O_RDONLY))
    if not leak:
        os.close(files.pop())
    if turn % 2 == 0:
        thread = threading.Thread(target=never.wait if leak else time.time, daemon=True)
        thread.start()
        threads += 1
        if not leak:
            thread.join()
            threads -= 1
    if turn % 10 == 0:
        hours = (time.monotonic() - begun) / 3600
        print("rates", len(files) / hours, threads / hours, flush=True)
    time.sleep(0.05)
