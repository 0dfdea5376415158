"""Fails a test that leaks: copy this file into your tests, and mark tests with `@pytest.mark.no_leak`.

A marked test is called again and again while `memobj --leaks` watches this process from outside. If a container or
the number of open files grows with the calls, the test fails, and names the container and the line that adds to it. It needs memobj on the PATH (or its path in MEMOBJ), and Linux.
"""

import ctypes
import json
import os
import shutil
import subprocess
import tempfile
import time

import pytest

SECONDS = 5
PAUSE = 0.01  # seconds between two calls
FILES = 10  # so many more open files are a leak
PR_SET_PTRACER = 0x59616D61  # "Yama": prctl(2)


def pytest_configure(config):
    config.addinivalue_line("markers", "no_leak: call the test repeatedly; it fails if memory grows with the calls")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if pyfuncitem.get_closest_marker("no_leak") is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    # The first calls fill caches.
    for _ in range(10):
        pyfuncitem.obj(**arguments)
    for leak in leaks_of(lambda: pyfuncitem.obj(**arguments)):
        pytest.fail(leak, pytrace=False)
    return True


def leaks_of(call):
    """A text for each leak that memobj sees while `call` is repeated."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        command = [os.environ.get("MEMOBJ", "memobj"), "--leaks", "--for", f"{SECONDS}s", "-i", "0.5s", "--format", "jsonl"]
        if shutil.which(command[0]) is None:
            pytest.fail(f"no_leak needs {command[0]}: install it, or set MEMOBJ to its path", pytrace=False)
        memobj = subprocess.Popen([*command, "-p", str(os.getpid())], stdout=output, stderr=errors)
        # Where ptrace is restricted to children (Yama), memobj, which is our child, may look at us.
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, memobj.pid, 0, 0, 0)
        try:
            while memobj.poll() is None:
                call()
                # Without a pause, a leak would use up the memory or the open files before memobj has looked.
                time.sleep(PAUSE)
        finally:
            memobj.kill()
            memobj.wait()
        output.seek(0)
        errors.seek(0)
        if memobj.returncode not in (0, 1):
            pytest.fail(f"memobj cannot look at this process: {errors.read().strip()}", pytrace=False)
        verdict = json.loads(output.read().splitlines()[-1])
    leaks = [describe(leak) for leak in verdict["leaks"]]
    files = verdict.get("fds") or {"first_count": 0, "last_count": 0}
    if not leaks and files["last_count"] >= files["first_count"] + FILES:
        leaks = [f"leak: open files grow from {files['first_count']} to {files['last_count']}"]
    return leaks


def describe(leak):
    lines = [f"leak: {leak.get('container_name') or leak['holder']} grows"]
    if leak.get("added_fds"):
        lines.append(f"  with {leak['added_fds']} more open files")
    seen = [line["frames"][0] for line in (leak.get("additions") or {}).get("lines", [])]
    # Where the kernel permits no watchpoints, the sources show who may add.
    for frame in seen or leak.get("candidates", []):
        lines.append(f"  added by {frame['function']}, {frame['file']}:{frame['line']}")
    return "\n".join(lines)
