"""Does nothing: prints `ready PID` and waits until stdin closes. Runs on an interpreter that can load no extension module."""

import os
import sys

os.write(1, b"ready %d\n" % os.getpid())
sys.stdin.read()
