"""Announcements of work before any training that takes seconds, for code that shows progress to a person."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str | None], None]
"""Called with a description of the work, and with None when it is over."""

_listeners: list[Listener] = []


@contextmanager
def announce(work: str) -> Iterator[None]:
    """Tell all listeners which work the block does."""
    for listener in _listeners:
        listener(work)
    try:
        yield
    finally:
        for listener in _listeners:
            listener(None)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Call a function with all announcements within the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
