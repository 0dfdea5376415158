#!/usr/bin/env python3
"""memobj on a kernel that tracks writes: Debian's, in a virtual machine without acceleration.

    apt-get install qemu-system-x86 busybox-static
    cargo build --release --bin memobj && cargo test --no-run --test integration
    python3 benches/tracking.py --python PYTHON --test target/debug/deps/integration-... [--against OTHER_MEMOBJ] [--long] [--heap 100]

Downloads the kernel of `--package` by apt-get, and makes a root file system in memory of busybox, an interpreter and the programs. In it the
test stopping::copies_ahead compares copies page by page with the memory of a process that changes it in every way (`--long`: 1,000 copies,
an hour). Then a program that wakes 40 times a second, with a heap of small objects, measures how late it wakes beside nothing and beside each
memobj: all is some ten times slower than on the processor itself, so compare the rows only. Takes some 5 minutes, and 4 GB.
"""

import argparse
import gzip
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

PACKAGE = "linux-image-cloud-amd64"
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mkdir -p /proc /sys /tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
sh /run.sh
poweroff -f
"""
SERVICE = """
import asyncio, json, os, sys, time
heap = [{"number": number, "name": f"name {number}", "tags": [number, str(number)]} for number in range(int(sys.argv[1]) * 1900)]
waits = []
async def main():
    print("ready", flush=True)
    due = time.perf_counter()
    while True:
        due = max(due + 0.025, time.perf_counter())
        await asyncio.sleep(due - time.perf_counter())
        waits.append((time.perf_counter() - due) * 1000)
        json.dumps(heap[:100])
        if os.path.exists("/tmp/ask"):
            os.unlink("/tmp/ask")
            ordered = sorted(waits)
            print(f"{ordered[-1]:.0f} ms | {ordered[len(ordered) * 99 // 100]:.0f} ms |", flush=True)
            waits.clear()
asyncio.run(main())
"""
RUN = """
uname -r
mkdir -p {temporary}
{test}
mkfifo /tmp/said; {python} -B /service.py {heap} > /tmp/said & service=$!
exec 3< /tmp/said; read ready <&3
ask() {{ touch /tmp/ask; read said <&3; echo "| $1 | $said $2"; }}
ask warm-up > /dev/null; sleep 20; ask nothing "|"
for memobj in {memobjs}; do
    timeout -s INT 45 $memobj -i 8 --max-pause 60s --format jsonl -p $service > /tmp/log
    ask $memobj "$(grep -o '"method":"[a-z]*"\\|"pause_seconds":[0-9.e-]*' /tmp/log | sed 's/.*://' | tr -d '"' | tr '\\n' ' ')|"
done
"""


def kernel(package, folder):
    """The image of the newest kernel of a package of Debian."""
    depends = subprocess.run(["apt-cache", "depends", package], check=True, capture_output=True, text=True).stdout
    named = [line.split()[-1] for line in depends.splitlines() if "Depends: linux-image" in line] or [package]
    subprocess.run(["apt-get", "download", named[0]], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for archive in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, folder / "kernel"], check=True)
    return next((folder / "kernel/boot").glob("vmlinuz*"))


def add(root, source, name=None):
    """Copies a program or library to its own path below root, or to `name`, with the libraries that it needs."""
    goal = root / (name or str(source)).lstrip("/")
    if goal.exists():
        return
    goal.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, goal)
    for line in subprocess.run(["ldd", source], capture_output=True, text=True).stdout.splitlines():
        for word in line.split():
            if word.startswith("/"):
                add(root, os.path.realpath(word), word)


def add_python(root, python):
    say = "import sys, os; print(os.path.realpath(sys.executable), sys.base_prefix, 'python%d.%d' % sys.version_info[:2])"
    executable, prefix, name = subprocess.run([python, "-c", say], check=True, capture_output=True, text=True).stdout.split()
    add(root, executable)
    library = f"{prefix}/lib/{name}"
    left_out = shutil.ignore_patterns("test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "site-packages", "config-*", "__pycache__", "_tkinter*")
    shutil.copytree(library, root / library.lstrip("/"), ignore=left_out)
    for module in (root / library.lstrip("/") / "lib-dynload").iterdir():
        module.unlink()
        add(root, f"{library}/lib-dynload/{module.name}")
    # Where the tests look for interpreters.
    found = root / ".pyenv/versions/it/bin"
    found.mkdir(parents=True)
    (found / "python").symlink_to(executable)
    return executable


def cpio(root, out):
    """Writes the folder in the format that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def entry(number, name, mode, data):
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        head = ("070701" + "".join(f"{field:08x}" for field in fields) + name + "\0").encode()
        out.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    for number, path in enumerate(sorted(root.rglob("*")), 1):
        mode = path.lstat().st_mode
        data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if stat.S_ISREG(mode) else b""
        entry(number, str(path.relative_to(root)), mode, data)
    entry(0, "TRAILER!!!", 0, b"")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="an interpreter without a virtual environment")
    parser.add_argument("--memobj", default="target/release/memobj", help="the memobj to measure")
    parser.add_argument("--against", help="another memobj")
    parser.add_argument("--test", help="the program of the integration tests")
    parser.add_argument("--long", action="store_true", help="1,000 copies instead of 10")
    parser.add_argument("--heap", type=int, default=100, help="MiB of small objects")
    parser.add_argument("--package", default=PACKAGE, help="the package of the kernel")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        root = folder / "root"
        for name in ("bin", "dev"):
            (root / name).mkdir(parents=True)
        add(root, shutil.which("busybox"), "bin/busybox")
        python = add_python(root, chosen.python)
        memobjs = {"this": chosen.memobj, **({"earlier": chosen.against} if chosen.against else {})}
        for name, program in memobjs.items():
            add(root, program, f"bin/{name}")
        test = ""
        if chosen.test:
            add(root, chosen.test, "bin/integration")
            subprocess.run(["strip", root / "bin/integration"], check=True)
            test = f"{'MEMTOOLS_LONG=1 ' * chosen.long}integration --exact stopping::copies_ahead::copy_ahead_and_its_rest_are_exact --nocapture"
        # Where the tests note what they skip.
        temporary = pathlib.Path(chosen.test).resolve().parents[2] / "tmp" if chosen.test else "/tmp"
        run = RUN.format(temporary=temporary, test=test, python=python, heap=chosen.heap, memobjs=" ".join(memobjs))
        for name, text in (("init", INIT), ("run.sh", run), ("service.py", SERVICE)):
            (root / name).write_text(text)
            (root / name).chmod(0o755)
        with gzip.open(folder / "root.img", "wb", compresslevel=1) as image:
            cpio(root, image)
        command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "3G", "-nographic", "-no-reboot"]
        command += ["-kernel", kernel(chosen.package, folder), "-initrd", folder / "root.img", "-append", "console=ttyS0 panic=-1 quiet"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as machine:
            for line in machine.stdout:
                print(line.decode(errors="replace").rstrip(), flush=True)


if __name__ == "__main__":
    main()
