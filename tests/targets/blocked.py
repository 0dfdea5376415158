"""System calls that block, and how each of them ends: blocked.py MILLISECONDS

One thread works, and one for each kind of wait calls the kernel directly, without the retries that Python has for every call of its own.
Prints `ready PID` when all wait, and, when its stdin closes, one line

    verdict {NAME: {"0" or the name of an errno: how often the call ended so, "early": how often before its time}}

Waits take MILLISECONDS each, so that there are many of them; a call that ends without an error has waited to its end.
"""

import ctypes
import errno
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import warnings

# A child that only sleeps and leaves is safe to fork beside threads.
warnings.simplefilter("ignore")

libc = ctypes.CDLL(None, use_errno=True)
ending = threading.Event()

CLOCK_MONOTONIC = 1
IPC_PRIVATE, IPC_CREAT, IPC_RMID = 0, 0o1000, 0
P_PID, WEXITED = 1, 4
# Numbers of x86-64: the C library has no function for these two.
SYS_FUTEX, SYS_EPOLL_PWAIT2 = 202, 441
FUTEX_WAIT_PRIVATE = 128

# The kernel counts this time limit in timer ticks (sock_set_timeout, net/core/sock.c). On a busy virtual machine ticks come late and then
# several at once, so the wait ends early without anyone's doing.
IN_TICKS = {"recv SO_RCVTIMEO"}


def timespec(milliseconds):
    return (ctypes.c_long * 2)(milliseconds // 1000, milliseconds % 1000 * 1000000)


def kinds(ms):
    """Name → a call that returns what the C library does, and takes `ms` if nothing cuts it short."""
    reader, _ = os.pipe()
    epoll = select.epoll()
    epoll.register(reader, select.EPOLLIN)
    ours, kept = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", ms // 1000, ms % 1000 * 1000))
    semaphores = libc.semget(IPC_PRIVATE, 1, IPC_CREAT | 0o600)
    timer = libc.timerfd_create(CLOCK_MONOTONIC, 0)
    inotify = libc.inotify_init1(0)
    pollfd = struct.pack("ihh", reader, select.POLLIN, 0)
    never = ctypes.create_string_buffer(128)
    ctypes.memset(never, 0, 128)
    ctypes.cast(never, ctypes.POINTER(ctypes.c_uint64))[0] = 1 << (signal.SIGRTMIN - 1)
    word = ctypes.c_int(0)
    space = ctypes.create_string_buffer(4096)
    buffer = struct.pack("HhH", 0, -1, 0)

    def read_timer():
        libc.timerfd_settime(timer, 0, (ctypes.c_long * 4)(0, 0, ms // 1000, ms % 1000 * 1000000), None)
        return libc.read(timer, ctypes.create_string_buffer(8), 8)

    def child():
        """A child that lives that long; the C library's fork, so that no code of Python's runs in it but this."""
        pid = os.fork()
        if pid == 0:
            libc.usleep(ms * 1000)
            os._exit(0)
        return pid

    def waitpid():
        return libc.waitpid(child(), None, 0)

    def waitid():
        pid = child()
        done = libc.waitid(P_PID, pid, ctypes.create_string_buffer(128), WEXITED)
        if done != 0:
            number = ctypes.get_errno()
            os.waitpid(pid, 0)
            ctypes.set_errno(number)
        return done

    def poll_inotify():
        return libc.poll(struct.pack("ihh", inotify, select.POLLIN, 0), 1, ms)

    calls = {
        "nanosleep": lambda: libc.nanosleep(timespec(ms), None),
        "clock_nanosleep": lambda: libc.clock_nanosleep(CLOCK_MONOTONIC, 0, timespec(ms), None),
        "futex": lambda: libc.syscall(SYS_FUTEX, ctypes.byref(word), FUTEX_WAIT_PRIVATE, 0, timespec(ms), None, 0),
        "poll": lambda: libc.poll(pollfd, 1, ms),
        "ppoll": lambda: libc.ppoll(pollfd, 1, timespec(ms), None),
        "poll inotify": poll_inotify,
        "select": lambda: libc.select(0, None, None, None, (ctypes.c_long * 2)(ms // 1000, ms % 1000 * 1000)),
        "read timerfd": read_timer,
        "wait4": waitpid,
        "waitid": waitid,
        "epoll_wait": lambda: libc.epoll_wait(epoll.fileno(), space, 1, ms),
        "epoll_pwait2": lambda: libc.syscall(SYS_EPOLL_PWAIT2, epoll.fileno(), space, 1, timespec(ms), None, 8),
        "semtimedop": lambda: libc.semtimedop(semaphores, buffer, 1, timespec(ms)),
        "rt_sigtimedwait": lambda: libc.sigtimedwait(never, None, timespec(ms)),
        "recv SO_RCVTIMEO": lambda: libc.recv(ours.fileno(), space, 1, 0),
    }

    def clean():
        libc.semctl(semaphores, 0, IPC_RMID)
        # Held till now, or its end would be seen by who receives.
        kept.close()
        epoll.close()

    return calls, clean


def work():
    while not ending.is_set():
        sum(range(1000))


def main(ms):
    # Each thread inherits this.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
    calls, clean = kinds(ms)
    ends = {name: {} for name in calls}
    waiting = threading.Barrier(len(calls) + 1)

    def repeat(name, call):
        # An own count for each thread: none waits for another.
        own = ends[name]
        waiting.wait()
        while not ending.is_set():
            start = time.monotonic()
            ctypes.set_errno(0)
            done = call()
            number = ctypes.get_errno()
            took = time.monotonic() - start
            # clock_nanosleep returns its error, as POSIX has it.
            number = done if name == "clock_nanosleep" else number if done < 0 else 0
            word = errno.errorcode.get(number, str(number))
            own[word if number else "0"] = own.get(word if number else "0", 0) + 1
            if number != errno.EINTR and name not in IN_TICKS and took < ms / 1000 - 0.0005:
                own["early"] = own.get("early", 0) + 1

    threads = [threading.Thread(target=repeat, args=item) for item in calls.items()]
    # Without this thread, memobj copies the program while all threads wait, and stops none.
    threads.append(threading.Thread(target=work))
    for thread in threads:
        thread.start()
    waiting.wait()
    print("ready", os.getpid(), flush=True)
    while os.read(0, 4096):
        pass
    ending.set()
    for thread in threads:
        thread.join()
    clean()
    print("verdict", json.dumps(ends), flush=True)


main(int(sys.argv[1]))
