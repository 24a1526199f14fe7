"""Ctrl-C, SIGTERM and SIGHUP: the work ends as by Ctrl-C in Python, after what is done has reached the disk."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130
# A handler that was called while modules are imported looks again after so many seconds.
PATIENCE = 0.02
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interruption:
    """What has happened.

    Attributes
    ----------
    signal : int or None
        The signal that ends the command.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._waiting: int | None = None

    @property
    def exit_code(self) -> int:
        """The code of a command that was interrupted, as shells count: 128 and the signal."""
        return INTERRUPTED if self.signal is None else 128 + self.signal

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, when it is safe."""
        if self.signal in _ENDING and signum != signal.SIGINT:
            return  # a terminal that is closed sends SIGHUP, and so does its shell
        impatient = signum == self._waiting == signal.SIGINT
        if _is_importing(frame) and not impatient:
            self._look_again(signum)
            return
        self._waiting, self.signal = None, signum
        raise KeyboardInterrupt

    def _look_again(self, signum: int) -> None:
        """Come back soon: an import that is interrupted leaves half a module, or turns the interrupt into an error."""
        self._waiting = signum
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def forget(self) -> None:
        """Deliver nothing that still waits: the command is ending."""
        self._waiting = None

    def handle_timer(self, _signum: int, frame: FrameType | None) -> None:
        """Deliver the signal that had to wait."""
        if self._waiting is None:
            return
        waiting = self._waiting
        if _is_importing(frame):
            self._look_again(waiting)
        else:
            self.handle(waiting, None)

    def handle_unraisable(self, unraisable: Any) -> None:
        """Deliver an interrupt once more that came where none can be raised, such as in a destructor."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._look_again(self.signal or signal.SIGINT)
        else:
            sys.__unraisablehook__(unraisable)


_heeded: list[Interruption] = []


def is_interrupt(error: BaseException) -> bool:
    """Return whether an error is an interrupt, or what it has become.

    Not all libraries let one pass: LLVM calls numba for each function that it has compiled, where nothing can be
    raised, and numba then misses what it was called for.
    """
    struck = any(interruption.signal is not None for interruption in _heeded)
    return isinstance(error, KeyboardInterrupt) or (struck and isinstance(error, Exception))


def _is_importing(frame: FrameType | None) -> bool:
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let signals end the block with KeyboardInterrupt; signals that are ignored, as by nohup, stay so."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    if not hasattr(signal, "setitimer"):  # Windows
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield interruption
        return
    before: dict[int, Any] = {
        number: signal.signal(number, interruption.handle)
        for number in (signal.SIGINT, *_ENDING)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, interruption.handle_timer)
    hook, sys.unraisablehook = sys.unraisablehook, interruption.handle_unraisable
    _heeded.append(interruption)
    try:
        yield interruption
    finally:
        _heeded.remove(interruption)
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shielded_from_ctrl_c(*, brief: bool = False) -> Iterator[None]:
    """Keep Ctrl-C, which a terminal sends to all processes, from those that are started here or by these threads.

    They inherit what is blocked. This process gets it afterwards, and ends them in good order. In a `brief` block it
    gets afterwards all that would end it: a process that has begun to start would miss what it is to do, and say so.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing.resource_tracker import ensure_running  # noqa: PLC0415 (a process is started, seldom)

    ensure_running()  # which unblocks Ctrl-C where it starts a process
    struck: list[int] = []
    # Another thread may take the signal, such as those of NumPy's BLAS, and it then strikes here all the same; and one
    # that had to wait for an import comes with the timer.
    numbers = (signal.SIGINT, *_ENDING, signal.SIGALRM) if brief else ()
    waiting = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, lambda signum, _: struck.append(signum)) for number in waiting}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(struck):
            signal.raise_signal(number)
