"""Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt, so that results reach the disk before the command ends."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130
# Seconds after which an interrupt that came where nothing can be raised is delivered again.
PATIENCE = 0.02
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """A signal that ends a command.

    Where a plain KeyboardInterrupt leaves text that `exec` runs, as of dataclasses, Python ends itself by Ctrl-C's
    signal at its end, with no regard to the exit code.
    """


class Interruption:
    """The signal that ends a command; None as long as there is none."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._again: threading.Timer | None = None

    @property
    def exit_code(self) -> int:
        """The code of a command that was interrupted, as shells count: 128 and the signal."""
        return INTERRUPTED if self.signal is None else 128 + self.signal

    def handle(self, signum: int, _frame: FrameType | None) -> None:
        """Raise a KeyboardInterrupt."""
        again, self._again = self._again, None
        if self.signal in _ENDING and signum != signal.SIGINT and again is None:
            return  # a terminal that is closed sends SIGHUP, and so does its shell
        self.signal = signum
        raise Interrupted

    def handle_unraisable(self, unraisable: Any) -> None:
        """Deliver an interrupt once more that came where none can be raised, such as in a destructor."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        main = threading.main_thread().ident
        self._again = threading.Timer(PATIENCE, signal.pthread_kill, (main, self.signal or signal.SIGINT))
        self._again.daemon = True
        self._again.start()

    def forget(self) -> None:
        """Cancel an interrupt that is to be delivered again: the command is ending."""
        if self._again:
            self._again.cancel()


_active: list[Interruption] = []


def is_interrupt(error: BaseException) -> bool:
    """Return whether an error is an interrupt, or another error that a library has made of one.

    LLVM calls numba for each function that it has compiled: an interrupt cannot be raised there, and numba then fails
    for lack of that function.
    """
    struck = any(interruption.signal is not None for interruption in _active)
    return isinstance(error, KeyboardInterrupt) or (struck and isinstance(error, Exception))


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """End the block with KeyboardInterrupt on a signal; signals that are ignored, as by nohup, stay so."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    if not hasattr(signal, "pthread_kill"):  # Windows
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield interruption
        return
    before: dict[int, Any] = {
        number: signal.signal(number, interruption.handle)
        for number in (signal.SIGINT, *_ENDING)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    hook, sys.unraisablehook = sys.unraisablehook, interruption.handle_unraisable
    _active.append(interruption)
    try:
        yield interruption
    finally:
        interruption.forget()
        _active.remove(interruption)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


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
