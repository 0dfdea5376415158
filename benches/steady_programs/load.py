"""What the programs share: a steady load, a free port, and the choice of a program by its name."""
import os
import socket
import sys
import threading
import time


def ready():
    print("ready", os.getpid(), flush=True)


def every(rate, action, *, prints=True):
    """Calls `action(n)` so many times a second, for ever. The first call follows `ready`: the warm-up is seen."""
    if prints:
        ready()
    begin = time.monotonic()
    n = 0
    while True:
        action(n)
        n += 1
        time.sleep(max(0.0, begin + n / rate - time.monotonic()))


def double(n):
    """A job for a worker, in a module that is not `__main__`."""
    return 2 * n


def in_thread(function, *args, **kwargs):
    thread = threading.Thread(target=function, args=args, kwargs=kwargs, daemon=True)
    thread.start()
    return thread


def listener():
    """A listening socket on 127.0.0.1, and its port."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(64)
    return sock, sock.getsockname()[1]


def request(port, path, body=None, headers=None, connections={}):
    """One request to this machine over a connection that is kept; the body of the answer."""
    import http.client

    kept = connections.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=10))
    try:
        kept.request("GET" if body is None else "POST", path, body, headers or {})
        return kept.getresponse().read()
    except (http.client.HTTPException, OSError):
        kept.close()
        return b""


def run(programs):
    """Runs the program that the argument names, or lists the names."""
    by_name = {program.__name__: program for program in programs}
    if len(sys.argv) < 2:
        print("\n".join(by_name))
        return
    by_name[sys.argv[1]]()
