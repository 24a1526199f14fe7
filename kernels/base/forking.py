"""Locks that a fork waits for.

A forked process has only the thread that forked, and every lock as it stood. A lock that another thread held then is
never released: the child would wait for it forever.
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
        Reentrant, in the order in which a thread takes several of them.
    """
    if not hasattr(os, "register_at_fork"):  # Windows does not fork
        return
    for lock in reversed(locks):  # the last one registered is called first
        release = partial(lock.__exit__, None, None, None)
        os.register_at_fork(before=lock.__enter__, after_in_parent=release, after_in_child=release)
