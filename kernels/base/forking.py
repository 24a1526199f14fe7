"""Locks that a fork waits for.

A forked process has only the thread that forked, but a copy of every lock in its current state. A lock held by another
thread is never released in the child, which would wait for it forever.
"""

import logging  # noqa: F401 (see the handler below)
import os
from contextlib import AbstractContextManager
from threading import RLock
from typing import Any

IMPORT_LOCK = RLock()
"""Held by imports on first use: a forked process never finishes an import that another thread has begun."""

# Imports take locks of the compiler, so a fork that held these while it waited for an import would never end. The lock
# of imports is therefore first, and no thread may acquire it while it holds another one of these locks.
_locks: list[AbstractContextManager[Any]] = [IMPORT_LOCK]
_held: list[AbstractContextManager[Any]] = []


def wait_when_forking(*locks: AbstractContextManager[Any]) -> None:
    """Make `os.fork` wait until no other thread holds any of these locks.

    Parameters
    ----------
    *locks : context managers
        Reentrant, in the order in which a thread acquires several of them.
    """
    _locks.extend(locks)


def _acquire() -> None:
    for lock in _locks:  # including those that an import registers while the fork waits for it
        lock.__enter__()
        _held.append(lock)


def _release() -> None:
    while _held:
        _held.pop().__exit__(None, None, None)


# Handlers run in reverse order of registration, and that of `logging` acquires its lock, which imports and the compiler
# use. It is registered before this one, so that no fork holds that lock while it waits for them.
if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(before=_acquire, after_in_parent=_release, after_in_child=_release)
