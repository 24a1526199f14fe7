"""Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt, so that results reach the disk before the command ends."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_received: list[int] = []


class Interrupted(KeyboardInterrupt):
    """A signal that ends a command.

    After a plain KeyboardInterrupt in text that `exec` runs, as dataclasses do, Python kills itself with SIGINT at its
    end, whatever the exit code.
    """


def is_interrupted() -> bool:
    """Return whether a signal ends the command, also where a library has made another error of the interrupt."""
    return bool(_received)


def exit_code() -> int:
    """Return the exit code of a command that was interrupted, as shells count: 128 and the signal."""
    return 128 + _received[0] if _received else 130


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt on a signal in the block; signals that are ignored, as by nohup, stay so."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}

    def interrupt(received: int, _frame: FrameType | None) -> None:
        _received.append(received)
        for number in before.keys() - {signal.SIGINT}:  # a terminal that is closed sends SIGHUP, and so does its shell
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
    """Keep Ctrl-C, which a terminal sends to all processes, from processes that are started in the block.

    They inherit what is blocked. This process gets it afterwards, and ends them in good order.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing.resource_tracker import ensure_running  # noqa: PLC0415 (a process is started, seldom)

    ensure_running()  # which unblocks Ctrl-C where it starts a process
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
