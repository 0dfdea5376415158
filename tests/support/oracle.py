"""Says what psutil and the kernel's files say of processes: oracle.py

For each line of pids on stdin it prints one: `answer`, its number from 1, and a JSON object with `system` and, in
`processes`, an object for each pid under memmon's names of fields. Ends when stdin closes.
"""

import json
import sys

import psutil


def status(pid):
    """The `Key: 123 kB` lines of /proc/PID/status, in bytes."""
    fields = {}
    with open("/proc/%d/status" % pid, "rb") as lines:
        for line in lines:
            key, _, value = line.partition(b":")
            words = value.split()
            if len(words) == 2 and words[1] == b"kB":
                fields[key.decode()] = int(words[0]) * 1024
    return fields


def look(pid):
    process = psutil.Process(pid)
    with process.oneshot():
        full = process.memory_full_info()
        times = process.cpu_times()
        own = status(pid)
        return {
            "pid": pid,
            "ppid": process.ppid(),
            "name": process.name(),
            "cmdline": process.cmdline(),
            "state": process.status(),
            "rss_bytes": full.rss,
            "vms_bytes": full.vms,
            "pss_bytes": full.pss,
            "uss_bytes": full.uss,
            "swap_bytes": full.swap,
            "rss_peak_bytes": own["VmHWM"],
            "rss_anon_bytes": own["RssAnon"],
            "rss_file_bytes": own["RssFile"],
            "rss_shmem_bytes": own["RssShmem"],
            "threads": process.num_threads(),
            "fds": process.num_fds(),
            "started": process.create_time(),
            "cpu_seconds": times.user + times.system,
        }


def main():
    print("ready", flush=True)
    for number, line in enumerate(sys.stdin, 1):
        memory = psutil.virtual_memory()
        answer = {
            "processes": [look(int(pid)) for pid in line.split()],
            "system": {"total_bytes": memory.total, "available_bytes": memory.available},
        }
        print("answer", number, json.dumps(answer), flush=True)


main()
