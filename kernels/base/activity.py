"""What takes seconds before any training, announced to what shows progress to a person."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str | None], None]
"""Called with what is being done, and with None when it is over."""

_listeners: list[Listener] = []


@contextmanager
def announce(what: str) -> Iterator[None]:
    """Tell all listeners what the block does."""
    _tell(what)
    try:
        yield
    finally:
        _tell(None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call a function, within the block, with what is announced."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _tell(what: str | None) -> None:
    for listener in _listeners:
        listener(what)
