"""Announcements of slow work (compilation, evaluation), for code that shows progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str | None], None]
"""Called with a description of the work, and with None when it is over."""

_listeners: list[Listener] = []


@contextmanager
def announce(work: str) -> Iterator[None]:
    """Announce to all listeners the work that the block does."""
    for listener in _listeners:
        listener(work)
    try:
        yield
    finally:
        for listener in _listeners:
            listener(None)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Call `listener` with every announcement within the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
