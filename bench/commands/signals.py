"""Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt, so that results reach the disk before the command ends."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_received: list[int] = []


class Interrupted(KeyboardInterrupt):
    """A signal that ends a command.

    After a plain KeyboardInterrupt in text that `exec` runs, as dataclasses do, Python kills itself with SIGINT at
    exit, whatever the exit code.
    """


def is_interrupted() -> bool:
    """Return whether a signal ends the command, even if a library converted the interrupt into another error."""
    return bool(_received)


def exit_code() -> int:
    """Return the exit code of an interrupted command by shell convention: 128 plus the signal."""
    return 128 + _received[0] if _received else 130


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt on a signal in the block; signals that are ignored, as by nohup, stay ignored."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}

    def interrupt(received: int, _frame: FrameType | None) -> None:
        _received.append(received)
        for number in before.keys() - {signal.SIGINT}:  # closing a terminal sends SIGHUP, and its shell sends another
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received.clear()


@contextmanager
def shielded_from_ctrl_c() -> Iterator[None]:
    """Shield processes started in the block from Ctrl-C, which a terminal sends to all processes.

    They inherit the blocked signal. This process receives it afterwards, and ends them in order.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing.resource_tracker import ensure_running  # noqa: PLC0415 (a process is started, seldom)

    ensure_running()  # it would unblock Ctrl-C if it started its process later
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
