#!/usr/bin/env python3
"""From a fresh Debian to a named leak: the seconds of each step, for each way to install.

Unpacks the root file systems given, and does in each, as root, what docs/install.md says: installs what Debian has, installs a package of
target/dist, starts examples/leaky_bot.py and lets memobj name its leak. The machine itself stays as it is.

    cargo xtask dist
    mmdebstrap --variant=minbase bookworm bookworm.tar
    benches/installing.py [--ways pip,deb] 12=bookworm.tar...

Needs root, unshare(1) and the network. Prints the table of docs/install.md; the exit code is 1 if a way did not lead to the leak.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

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
exec env -i HOME=/try PATH=/usr/sbin:/usr/bin:/sbin:/bin SSL_CERT_FILE=/try/certificates PIP_CERT=/try/certificates \\
  chroot "$0" sh -ec "$1"
"""
APT = "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq >/dev/null; apt-get install -qq --no-install-recommends"
LEAK = "python3 -u /try/leaky_bot.py >/dev/null & sleep 1; {} --format text --leaks --for 20s -n leaky_bot.py > /try/verdict || [ $? = 1 ]; kill $!"
# A way: what the machine must have, the installation, and the command.
WAYS = {
    "pip": (
        f"{APT} python3 python3-venv >/dev/null",
        "python3 -m venv /venv; /venv/bin/pip install -q /try/*.whl",
        "/venv/bin/memobj",
    ),
    "pipx": (
        f"{APT} python3 python3-venv >/dev/null; python3 -m venv /tools; /tools/bin/pip install -q pipx",
        "/tools/bin/pipx install /try/*.whl >/dev/null 2>&1",
        "/try/.local/bin/memobj",
    ),
    "uvx": (
        f"{APT} python3 python3-venv >/dev/null; python3 -m venv /tools; /tools/bin/pip install -q uv",
        "true",
        "/tools/bin/uvx -q --offline --from /try/*.whl memobj",
    ),
    "deb": (
        f"{APT} python3 >/dev/null",
        f"{APT} /try/*.deb >/dev/null",
        "memobj",
    ),
}


def inside(root, script):
    """The seconds that a script took in a root; raises if it failed."""
    begin = time.monotonic()
    subprocess.run([*APART, ENTER, root, script], check=True, timeout=400, stdin=subprocess.DEVNULL)
    return time.monotonic() - begin


def try_way(way, tar, packages):
    """The seconds of the steps, and the first line of the verdict."""
    before, install, memobj = WAYS[way]
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["tar", "-xf", tar, "-C", root, "--exclude=./dev/*"], check=True)
        for folder in ("try", "proc", "dev"):
            pathlib.Path(root, folder).mkdir(exist_ok=True)
        for file in packages:
            shutil.copy(file, pathlib.Path(root, "try"))
        steps = [inside(root, script) for script in (before, install, LEAK.format(memobj))]
        verdict = pathlib.Path(root, "try/verdict").read_text(encoding="utf-8")
    return steps, verdict.partition("\n")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="+", metavar="NAME=TAR", help="the version of Debian, and its root file system")
    parser.add_argument("--ways", default=",".join(WAYS), help="the ways, separated by commas")
    parser.add_argument("--dist", type=pathlib.Path, default=ROOT / "target/dist", help="the folder of the packages")
    args = parser.parse_args()
    packages = [*args.dist.glob("*.whl"), *args.dist.glob("*.deb"), ROOT / "examples/leaky_bot.py"]
    rows, failed = [], False
    for root in args.roots:
        name, _, tar = root.partition("=")
        for way in args.ways.split(","):
            try:
                steps, verdict = try_way(way, tar, packages)
            except subprocess.SubprocessError as error:
                steps, verdict = [], f"failed: {error.__class__.__name__}"
                print(error, file=sys.stderr)
            named = verdict.startswith("LEAK  __main__.bot.sessions")
            failed |= not named
            print(f"Debian {name}, {way}: {verdict[:150]}", flush=True)
            seconds = [f"{step:.1f}" for step in [*steps, sum(steps[1:])]] if named else ["–"] * 4
            rows.append(f"| {name} | {way} | {' | '.join(seconds)} |")
    print("\n| Debian | way | Python, pipx, uv | install | start, and name the leak | the last two |")
    print("|---|---|--:|--:|--:|--:|", *rows, sep="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
