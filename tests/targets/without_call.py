"""Runs a command that the kernel denies a system call, as seccomp profiles of containers do: without_call.py CALL COMMAND"""

import ctypes
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"perf_event_open": 298, "ptrace": 101},
    "aarch64": {"perf_event_open": 241, "ptrace": 117},
}
NUMBER = NUMBERS[platform.machine()][sys.argv[1]]
# Load the number of the system call; if it is that one, return EPERM, else allow it (seccomp(2), linux/bpf_common.h).
PROGRAM = struct.pack("HBBI", 0x20, 0, 0, 0)
PROGRAM += struct.pack("HBBI", 0x15, 0, 1, NUMBER)
PROGRAM += struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | 1)
PROGRAM += struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)


class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
    PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Filter(4, PROGRAM))
):
    sys.exit("no seccomp here: %s" % os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
