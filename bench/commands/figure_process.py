"""A process of its own for the figures of a run: it imports what draws, and draws, while this one trains and checks.

It is started as new, not forked: this one has threads, some of which compile. It gets the run as data and answers with
the captions of what it has written. Whatever goes wrong with it, the figures are drawn here instead.
"""

import atexit
import gc
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bench.commands.interrupts import shielded_from_ctrl_c
from bench.commands.streams import format_warning
from bench.system.environment import processors

if TYPE_CHECKING:
    from bench.report.figure_list import Stage
    from bench.report.run_data import RunData


# By which figures choose what they show.
_RANKINGS: dict["Stage", tuple[str, ...]] = {
    "timed": ("effects", "choices", "choices_of_best_optimizer"),
    "analyzed": ("choices",),
    "confirmed": ("compared",),
    "measured": (),
}


class FigureProcess:
    """Draws the figures of one run, stage by stage; see `bench.report.figure_list`."""

    def __init__(self, pool: ProcessPoolExecutor, *, svg: bool) -> None:
        self._pool, self._svg = pool, svg
        self._drawn: dict[Stage, Future[dict[str, str]]] = {}
        self._ready = pool.submit(_import)

    def draw(self, stage: "Stage", run_data: "RunData") -> None:
        """Begin to draw what can be drawn after a stage, and return at once.

        The rankings go with it: they need a package of statistics, whose import takes as long as many figures.
        """
        if run_data.result.run.rules:  # rules of the user's own, which that process does not know
            return
        for name in _RANKINGS[stage]:
            getattr(run_data, name)
        with suppress(BrokenExecutor):
            self._drawn[stage] = self._pool.submit(_write_figures, run_data, stage, svg=self._svg)

    def wait(self) -> None:
        """Wait until it has nothing to do: what is timed must have the machine for itself."""
        wait(self._drawn.values())
        wait([self._ready])

    def captions(self, run_data: "RunData") -> dict[str, str]:
        """Return the captions of all figures by name, in the order of the report, when they are written.

        What it has not drawn is drawn here, from the complete run.
        """
        from bench.report.figure_list import FIGURES, STAGES  # noqa: PLC0415

        self.wait()
        found: dict[str, str] = {}
        missing = []
        for stage in STAGES:
            future = self._drawn.get(stage)
            if future and future.exception() is None:
                found |= future.result()
            else:
                missing.append(stage)
        if missing:
            from bench.report.drawing import write_figures  # noqa: PLC0415 (matplotlib)

            found |= write_figures(run_data, svg=self._svg, stages=missing)
        return {name: found[name] for name in FIGURES if name in found}


@contextmanager
def figure_process(*, svg: bool) -> Iterator[FigureProcess | None]:
    """Start the process, which has ended when the block has, however that ends.

    Yields
    ------
    FigureProcess or None
        None where there is nothing to be gained: with one processor, or where this process can draw already.
    """
    if processors() == 1 or "matplotlib.figure" in sys.modules:
        yield None
        return
    others = set(active_children())
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_prepare)
    ended = False
    try:
        with shielded_from_ctrl_c(brief=True), _without_main():
            figures = FigureProcess(pool, svg=svg)
        yield figures
        ended = True
    finally:
        if not ended:
            for child in set(active_children()) - others:
                child.terminate()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _without_main() -> Iterator[None]:
    """Let a process start without the program that starts it: it needs nothing of it, and a script might run again."""
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _prepare() -> None:
    """Warn as the command does; end with the process that has started this one, and on SIGTERM with clean files.

    Ctrl-C, which a terminal sends to both, is for that one.
    """
    warnings.formatwarning = format_warning
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    Thread(target=_end_with_parent, daemon=True).start()
    atexit.register(_leave)


def _end(*_: Any) -> None:
    """Remove what is half written, and answer: the process then ends, as it is given nothing more to do."""
    raise SystemExit


def _end_with_parent() -> None:
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _leave() -> None:
    """Leave without taking all modules apart, which takes a tenth of a second."""
    sys.stderr.flush()
    os._exit(0)


def _import() -> None:
    """Import what draws, while nothing else is to be done."""
    gc.disable()
    from bench.report import drawing  # noqa: F401, PLC0415 (matplotlib)

    gc.freeze()
    gc.enable()


def _write_figures(run_data: "RunData", stage: "Stage", *, svg: bool) -> dict[str, str]:
    from bench.report.drawing import write_figures  # noqa: PLC0415 (matplotlib)

    return write_figures(run_data, svg=svg, stages=[stage])
