"""Locks that a fork waits for.

A forked process has only the thread that forked, but a copy of every lock in its current state. A lock held by another
thread is never released in the child, which would wait for it forever.
"""

import os
from contextlib import AbstractContextManager
from functools import partial
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
        release = partial(lock.__exit__, None, None, None)
        os.register_at_fork(before=lock.__enter__, after_in_parent=release, after_in_child=release)
