"""A program of several modules that import objects from each other; `N` objects of a class of its own are in each.

Prints `ready PID`, then waits for the end of its input.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from logging import root

from app import settings
from app.models import rows
from app.registry import plugins
from app.store import Table, sessions, table

N = 40


def new(name):
    """Objects of a class of that name in this module."""
    made = type(name, (), {"__module__": "__main__"})
    return [made() for _ in range(N)]


settings.update(enumerate(new("InParent")))
rows.extend(new("InSubmodule"))
table.entries.update(enumerate(new("InInstance")))
sessions.update(enumerate(new("InDict")))
Table.made.extend(new("InClass"))
plugins.extend(new("InRegistry"))
root.handlers.extend(new("InHandler"))
print("ready", os.getpid(), flush=True)
sys.stdin.read()
os._exit(0)
