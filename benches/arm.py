#!/usr/bin/env python3
"""memobj on 64-bit Arm: Debian's kernel and Pythons, in a virtual machine without acceleration.

    apt-get install qemu-system-arm
    python3 benches/arm.py --programs FOLDER [--suite trixie] [--kernel linux-image-cloud-arm64] [--keep FOLDER]

FOLDER has the programs of `cargo xtask dist`, built for aarch64. Fetches the packages by apt-get, with lists of their own, and makes a root
file system in memory. In it, for each Python of the suite: a census of `tests/heap/fixture.py` is compared with what that process counted
itself, type by type; so are a snapshot and a core file of the same process. Then memobj finds the leak of `examples/leaky_bot.py`, with the
line that adds to it, and pauses it while it works. Prints what the machine prints. With `--keep` a snapshot and a core file are written to
that folder, to be read on another machine. `--kernel linux-image-arm64-16k` has pages of 16 KiB (Debian 13 and later).
"""

import argparse
import base64
import gzip
import os
import pathlib
import shutil
import subprocess
import tempfile

import tracking

TOP = pathlib.Path(__file__).resolve().parent.parent
LEFT_OUT = "test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "config-*", "__pycache__", "doc", "man", "locale", "share"
RUN = """
uname -rm
python=$(ls /usr/bin/python3.* | grep -x '.*[0-9]' | tail -n 1)
for each in $(ls /usr/bin/python3.* | grep -x '.*[0-9]'); do $python -B /check.py $each {keep}; done
"""
# Runs in the machine.
CHECK = r'''
import base64, collections, gzip, json, os, resource, subprocess, sys, time

python, keep = sys.argv[1], "keep" in sys.argv[2:]
FILE = "/tmp/objects"


def memobj(*args):
    done = subprocess.run(["memobj", *args], capture_output=True, text=True)
    print(done.stderr.strip() or "", end="\n" if done.stderr.strip() else "")
    return done.stdout


def census(*args):
    line = json.loads(memobj(*args, "--format", "jsonl").splitlines()[0])
    return line, {row["type"]: (row["count"], row["size_bytes"]) for row in line["types"]}


def own():
    """What the process counted: tracked objects of each type, and their bytes."""
    types, counts = {}, collections.defaultdict(lambda: [0, 0])
    for line in open(FILE):
        words = line.split()
        if words[0] == "T":
            types[words[1]] = words[3] if words[2] == "builtins" else words[2] + "." + words[3]
        elif words[0] == "O":
            counts[types[words[2]]][0] += 1
            counts[types[words[2]]][1] += max(0, int(words[3]))
    return {name: tuple(sums) for name, sums in counts.items()}


def compare(what, found, expected):
    """Compares the rows of a census: those of the types with the most bytes."""
    other = {name: (sums, expected.get(name)) for name, sums in found.items() if sums != expected.get(name)}
    print(f"{what}: {len(found) - len(other)} of {len(found)} types have the same count and bytes {other or ''}")


def write(name, path):
    text = base64.b64encode(gzip.compress(open(path, "rb").read(), 6)).decode()
    print(f"FILE {name}", *(text[at : at + 4000] for at in range(0, len(text), 4000)), "END", sep="\n", flush=True)


def start(*args):
    return subprocess.Popen([python, "-I", "-B", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
open("/proc/sys/kernel/core_pattern", "w").write("/tmp/core")
begun = time.time()
print(f"== {python}, pages of {os.sysconf('SC_PAGE_SIZE') // 1024} KiB", flush=True)
target = start("-S", "/fixture.py", FILE)
while target.stdout.readline() != b"ready\n":
    pass
pid = str(target.pid)
record, counts = census("-p", pid, "--scope", "tracked")
expected = own()
total = sum(count for count, _ in expected.values())
print(f"method {record['method']}, paused for {record['pause_seconds']} s; {record['tracked_objects']} objects, it counted {total}")
compare("asleep", counts, expected)
counts = census("-p", pid)[1]
memobj("-p", pid, "--save-snapshot", "/tmp/snapshot")
compare("snapshot", census("--snapshot", "/tmp/snapshot")[1], counts)
target.send_signal(6)
target.wait()
compare("core", census("--core", "/tmp/core")[1], counts)
if keep:
    write("snapshot", "/tmp/snapshot")
    write("core", "/tmp/core")
os.unlink("/tmp/core"), os.unlink("/tmp/snapshot")

# All is slow here: what grows at the start is no leak.
bot = start("/leaky_bot.py")
time.sleep(25)
pid = str(bot.pid)
leaks = json.loads(memobj("--leaks", "--for", "60s", "-p", pid, "--format", "jsonl"))
for leak in leaks["leaks"]:
    print("leak:", leak["holder"], json.dumps(leak["additions"]))
print("verdict:", leaks["verdict"])
memory = census("-p", pid, "--memory")[0]["memory"]
print("memory:", {name: value for name, value in memory.items() if not isinstance(value, list)}, flush=True)
for row in memory["rows"]:
    print("   ", row)
bot.kill()
busy = start("-c", """
import threading
kept = [[number] for number in range(200000)]
def work():
    mine = []
    while True: mine.append(len(mine)); mine.pop()
threading.Thread(target=work, daemon=True).start()
work()""")
time.sleep(10)
for line in memobj("-p", str(busy.pid), "-i", "5s", "--count", "3", "--max-pause", "60s", "--format", "jsonl").splitlines():
    record = json.loads(line)
    if record["type"] == "census":
        print("busy:", {name: record[name] for name in ("method", "pause_seconds", "total_objects", "threads_stopped") if name in record})
print("alive:", busy.poll() is None)
busy.kill()
print(f"{time.time() - begun:.0f} s", flush=True)
'''


class Apt:
    """Packages of a suite for Arm: nothing of the system's, and none counts as installed."""

    def __init__(self, suite, folder):
        self.suite = suite
        self.folder = folder
        self.run("apt-get", "update")

    def run(self, *command, cwd=None):
        environment = {**os.environ, "folder": str(self.folder), "architectures": "arm64"}
        call = ["bash", "-c", '. "$0" && apt "$@"', TOP / "packaging/apt.bash", self.suite, *command]
        return subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, cwd=cwd, env=environment).stdout

    def pythons(self):
        names = self.run("apt-cache", "pkgnames", "python3.").split()
        return sorted(name for name in names if name[8:].isdigit())

    def unpack(self, root, *packages):
        """The packages with all that they need."""
        self.run("apt-get", "install", "--yes", "--download-only", *packages)
        self.unpack_all((self.folder / "apt" / self.suite / "archives").glob("*.deb"), root)

    def unpack_alone(self, root, package):
        """The package alone, or the newest one that it stands for."""
        depends = self.run("apt-cache", "depends", package).splitlines()
        names = [line.split()[-1] for line in depends if "Depends: linux-image" in line]
        with tempfile.TemporaryDirectory() as made:
            self.run("apt-get", "download", *(names or [package]), cwd=made)
            self.unpack_all(pathlib.Path(made).glob("*.deb"), root)

    @staticmethod
    def unpack_all(archives, root):
        for archive in archives:
            subprocess.run(["dpkg-deb", "-x", archive, root], check=True)


def machine(kernel, image, keep):
    command = ["qemu-system-aarch64", "-machine", "virt", "-accel", "tcg,thread=multi", "-cpu", "max,pauth-impdef=on", "-smp", "2", "-m", "3G"]
    command += ["-nographic", "-nic", "none", "-no-reboot", "-kernel", kernel, "-initrd", image, "-append", "console=ttyAMA0 panic=-1 quiet"]
    file = None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as running:
        for line in running.stdout:
            line = line.decode(errors="replace").rstrip()
            if line.startswith("FILE ") and keep:
                file = (line[5:], [])
            elif file and line == "END":
                (keep / file[0]).write_bytes(gzip.decompress(base64.b64decode("".join(file[1]))))
                file = None
            elif file:
                file[1].append(line)
            else:
                print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the folder of the programs for aarch64")
    parser.add_argument("--suite", default="trixie", help="the suite of the Pythons")
    parser.add_argument("--kernel", default="linux-image-cloud-arm64", help="the package of the kernel, in Debian 13")
    parser.add_argument("--cache", type=pathlib.Path, help="where fetched packages stay; a new folder without it")
    parser.add_argument("--keep", type=pathlib.Path, help="where a snapshot and a core file are written")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        cache = chosen.cache or folder
        unpacked, root = folder / "unpacked", folder / "root"
        pythons = Apt(chosen.suite, cache)
        pythons.unpack(unpacked, *pythons.pythons())
        system = Apt("trixie", cache)
        system.unpack_alone(unpacked, "busybox-static")
        system.unpack_alone(folder / "kernel", chosen.kernel)
        for name in ("usr/lib", "lib"):
            if (unpacked / name).exists():
                ignored = shutil.ignore_patterns(*LEFT_OUT)
                shutil.copytree(unpacked / name, root / name, symlinks=True, ignore=ignored)
        if not (root / "lib").exists():
            (root / "lib").symlink_to("usr/lib")
        for name in ("bin", "dev", "usr/bin"):
            (root / name).mkdir(parents=True)
        for python in (unpacked / "usr/bin").glob("python3.*"):
            shutil.copy2(python, root / "usr/bin")
        shutil.copy2(unpacked / "usr/bin/busybox", root / "bin")
        for program in ("memobj", "memmon"):
            shutil.copy2(chosen.programs / program, root / "bin")
        for name in ("tests/heap/fixture.py", "examples/leaky_bot.py"):
            shutil.copy2(TOP / name, root)
        run = RUN.format(keep="keep" if chosen.keep else "")
        for name, text in (("init", tracking.INIT), ("run.sh", run), ("check.py", CHECK)):
            (root / name).write_text(text)
            (root / name).chmod(0o755)
        if chosen.keep:
            chosen.keep.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / "root.img", "wb", compresslevel=1) as image:
            tracking.cpio(root, image)
        machine(next((folder / "kernel/boot").glob("vmlinuz*")), folder / "root.img", chosen.keep)


if __name__ == "__main__":
    main()
