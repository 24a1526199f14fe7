"""Locks that a fork waits for.

A forked process has only the thread that forked, but a copy of every lock in its current state. A lock held by another
thread is never released in the child, which would wait for it forever.
"""

import os
from contextlib import AbstractContextManager
from functools import partial
from threading import RLock
from typing import Any


def wait_when_forking(*locks: AbstractContextManager[Any]) -> None:
    """Make `os.fork` wait until no other thread holds any of these locks.

    Parameters
    ----------
    *locks : context managers
        Reentrant, in the order in which a thread acquires several of them.
    """
    if not hasattr(os, "register_at_fork"):  # Windows cannot fork
        return
    for lock in reversed(locks):  # handlers run in reverse order of registration
        held: list[AbstractContextManager[Any]] = []
        release = partial(_release, held)
        os.register_at_fork(before=partial(_acquire, lock, held), after_in_parent=release, after_in_child=release)


def _acquire(lock: AbstractContextManager[Any], held: list[AbstractContextManager[Any]]) -> None:
    lock.__enter__()
    held.append(lock)


def _release(held: list[AbstractContextManager[Any]]) -> None:
    """Release the lock, unless it was registered while the fork already waited for another one."""
    if held:
        held.pop().__exit__(None, None, None)


IMPORT_LOCK = RLock()
"""Held by imports on first use: a forked process never finishes an import that another thread has begun."""

wait_when_forking(IMPORT_LOCK)
