"""A process that draws the figures of a run while this one verifies, analyzes and writes, and never while it times.

Whatever goes wrong there, this process draws what is missing.
"""

import ctypes
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection

from bench.report.run_data import RunData
from bench.store.evidence import read_tables
from bench.system.atomic import unsynced_files
from bench.system.environment import processors
from kernels.train.compile_together import FEEDER

FIGURES = {
    "rate_map": "theory",
    "loss_by_optimizer": "",
    "optimizer_ratios": "",
    "setting_importance": "",
    "fitted_curve": "",
    "confusion": "",
    "weights": "",
    "contours": "typical_paths",
    "sensitivity": "",
    "basin": "basin",
    "speed": "speed",
}
"""The figures in the order of the report, with the table of evidence that each shows besides the runs."""
PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent dies
MOST_SECONDS = 60.0  # for a figure, or it is drawn here
PATIENCE = 2.0  # seconds in which the process ends by itself: a figure takes a quarter of one


class Painter:
    """The process, as the one that it draws for sees it.

    `asked` are the figures that it was asked for, and `captions` those of the figures that it has drawn: None for one
    that turned out to be empty.
    """

    def __init__(self, connection: Connection | None = None, pid: int = 0) -> None:
        self.asked: set[str] = set()
        self.captions: dict[str, str | None] = {}
        self._connection, self._pid = connection, pid

    def draw(self, *evidence: str) -> None:
        """Let figures that show these tables of evidence be drawn; "" are those that show none."""
        names = [name for name, shown in FIGURES.items() if shown in evidence]
        self.asked |= set(names)
        if self._connection:
            with suppress(OSError):  # the process has gone, as `wait` finds out
                self._connection.send(names)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the process during the block."""
        self._signal("SIGSTOP")
        try:
            yield
        finally:
            self._signal("SIGCONT")

    def _signal(self, name: str) -> None:
        if self._connection:
            with suppress(OSError):
                os.kill(self._pid, getattr(signal, name))

    def wait(self, progress: Callable[[int], None]) -> None:
        """Wait for the figures that were asked for; `progress` is told how many are done."""
        awaited = self.asked.copy()
        while self._connection and awaited:
            try:
                if not self._connection.poll(MOST_SECONDS):
                    return
                name, is_drawn, caption = self._connection.recv()
            except (EOFError, OSError):
                return
            awaited.discard(name)
            if is_drawn:
                self.captions[name] = caption
            progress(len(self.captions))


@contextmanager
def painting(run_data: RunData, *, svg: bool) -> Iterator[Painter]:
    """Start a process that draws the figures of a run, and reads there what is stored later; it ends with the block.

    Only a process without other threads is forked, and only where there is another processor to draw on.
    """
    # A process that has imported JAX has threads of JAX, which a fork may leave waiting.
    if sys.platform != "linux" or processors() < 2 or _other_threads() or "jax" in sys.modules:
        yield Painter()
        return
    here, there = get_context("fork").Pipe()
    process = get_context("fork").Process(target=_paint, args=(here, there, run_data, svg), daemon=True)
    # Ctrl-C, which a terminal sends to all processes, is for this one, which ends the other.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    has_room = True
    try:
        with warnings.catch_warnings():
            # Python warns of threads; the only ones are those of OpenBLAS and Arrow, which know of forks.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
    except OSError:
        has_room = False
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()
    if not has_room:
        here.close()
        yield Painter()
        return
    try:
        with suppress(EOFError, OSError):
            if here.poll(MOST_SECONDS):
                here.recv()  # from now on it may be stopped
        yield Painter(here, process.pid or 0)
    finally:
        here.close()
        process.join(PATIENCE)
        process.kill()


def _other_threads() -> list[threading.Thread]:
    """Return the other threads of Python's but those that only wait, for a time or for other processes to compile."""
    others = set(threading.enumerate()) - {threading.current_thread()}
    return [thread for thread in others if not isinstance(thread, threading.Timer) and thread.name != FEEDER]


def _paint(there: Connection, connection: Connection, run_data: RunData, svg: bool) -> None:
    """Draw figures as a `Painter` asks for them, and answer with their captions, until it has gone."""
    there.close()  # or this process would wait for itself
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # A stopped process does not notice that the other one is killed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(EOFError, OSError), unsynced_files():
        connection.send(None)
        from bench.report.figures import write_figure  # noqa: PLC0415 (takes a fifth of a second)

        # One that warns is drawn again where the user sees it.
        warnings.simplefilter("error")
        names = connection.recv()
        while True:
            for name in names:
                caption, is_drawn = None, False
                with suppress(Exception):
                    caption, is_drawn = write_figure(run_data, name, svg=svg), True
                connection.send((name, is_drawn, caption))
            names = connection.recv()
            with suppress(Exception):
                run_data = run_data.with_evidence(read_tables(run_data.result.run.folder))
