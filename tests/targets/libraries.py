"""Caches of libraries. Prints the truth about each as JSON, by the name that memobj is to give it; then `ready PID`, and waits."""
import asyncio
import json
import os
import sys
import time

import aiocache
import async_lru
import cachetools
from django.conf import settings

# So long entries last that are to be past their time.
SHORT = 0.2


def fill(cache, entries):
    for n in range(entries):
        cache[f"key{n}"] = [n * 1.5]
    return cache


ttl = fill(cachetools.TTLCache(maxsize=100, ttl=SHORT), 40)
lru = fill(cachetools.LRUCache(maxsize=50), 48)
lfu = fill(cachetools.LFUCache(maxsize=20), 10)
unlimited = fill(cachetools.Cache(maxsize=float("inf")), 9)
sized = cachetools.LRUCache(maxsize=10_000, getsizeof=len)
for number in range(9):
    sized[f"key{number}"] = bytes(1000)


class Own(cachetools.TLRUCache):
    pass


own = fill(Own(maxsize=30, ttu=lambda key, value, now: now + (1000 if int(key[3:]) % 2 else SHORT)), 20)


@cachetools.cached(cache=cachetools.LRUCache(maxsize=32))
def double(n):
    return n * 2


@cachetools.cached(cache={})
def triple(n):
    return n * 3


for number in range(100):
    double(number % 40)
    triple(number % 30)


memory = aiocache.SimpleMemoryCache()


@async_lru.alru_cache(maxsize=16)
async def slow(n):
    return n * 5


async def work():
    for n in range(30):
        await memory.set(f"key{n}", f"value{n}", ttl=100 if n % 2 else None)
    for n in range(20):
        await slow(n)


asyncio.run(work())

backend = "django.core.cache.backends.locmem.LocMemCache"
settings.configure(CACHES={
    "default": {"BACKEND": backend},
    "other": {"BACKEND": backend, "LOCATION": "snowflake", "OPTIONS": {"MAX_ENTRIES": 60}},
})

from django.core.cache import caches  # noqa: E402

for number in range(50):
    caches["default"].set(f"key{number}", number, timeout=SHORT if number < 20 else 300)
    caches["other"].set(f"key{number}", number, timeout=None)

time.sleep(2 * SHORT)
local = "django.core.cache.backends.locmem"
truth = {
    "ttl": {"kind": "cachetools.TTLCache", "entries": 40, "max_entries": 100, "expired_entries": 40, "clock": "monotonic"},
    "lru": {"kind": "cachetools.LRUCache", "entries": len(lru), "max_entries": lru.maxsize,
            "fill_ratio": lru.currsize / lru.maxsize, "warnings": ["above_90"]},
    "lfu": {"kind": "cachetools.LFUCache", "entries": len(lfu), "max_entries": lfu.maxsize},
    "unlimited": {"kind": "cachetools.Cache", "entries": len(unlimited), "max_entries": None},
    "sized": {"entries": len(sized), "max_entries": None, "fill_ratio": sized.currsize / sized.maxsize,
              "warnings": ["above_75"]},
    "own": {"kind": "__main__.Own", "entries": 20, "max_entries": 30, "expired_entries": 10},
    "double.cache": {"kind": "cachetools.LRUCache", "entries": 32, "max_entries": 32},
    "triple.cache": {"kind": "dict", "entries": 30, "max_entries": None},
    "memory._cache": {"kind": "dict", "entries": 30, "clock": "monotonic", "expired_entries": 0},
    "slow._LRUCacheWrapper__cache": {"entries": 16, "max_entries": 16, "hits": slow.cache_info().hits,
                                     "misses": slow.cache_info().misses},
}
truth = {"__main__." + name: each for name, each in truth.items()}
truth[local + "._caches[\u2026]"] = {"entries": 50, "max_entries": 300, "expired_entries": 20, "clock": "wall"}
truth[local + "._caches[\"snowflake\"]"] = {"entries": 50, "max_entries": 60, "warnings": ["above_75"]}
print(json.dumps(truth), flush=True)
print("ready", os.getpid(), flush=True)
sys.stdin.readline()
