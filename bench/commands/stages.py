"""One progress bar with the time left, over all stages of a command; none in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from threading import RLock, Timer

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from kernels.base.announcements import listen

PATIENCE = 1.0  # seconds before a progress bar is shown
# Characters of a line beside the description: the spinner, the shortest bar, the time left, and what is between them.
BESIDE = 1 + 4 + len("time left 0:00:00") + 3

Advance = Callable[[float], None]
"""Called with the share of a stage that is done so far."""


class _TimeLeft(ProgressColumn):
    """The seconds that the remaining stages take by estimate, if there is one."""

    def render(self, task: Task) -> Text:
        left = "-:--:--" if task.total is None else timedelta(seconds=max(0, round(task.total - task.completed)))
        return Text(f"time left {left}")


class Stages:
    """A progress bar on standard error that goes on from one stage to the next.

    `seconds` are estimates of how long each stage takes, in their order, or 0. The time that the current stage still
    takes is estimated anew from the share of it that is done.
    """

    def __init__(self, seconds: Mapping[str, float], *, hidden: bool = False) -> None:
        self._seconds, self._began = dict(seconds), time.monotonic()
        console = Console(stderr=True)
        # In one line: on a narrow terminal the bar is shorter, and the description is cut off.
        described = Column(no_wrap=True, overflow="ellipsis", max_width=max(1, console.width - BESIDE))
        self._bar = Progress(
            SpinnerColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.description}", table_column=described),
            BarColumn(),
            _TimeLeft(table_column=Column(no_wrap=True)),
            console=console,
            transient=True,
            redirect_stdout=False,
            disable=hidden or not sys.stderr.isatty(),
        )
        self._what, self._lock, self._shown = next(iter(seconds)), RLock(), False
        self._task = self._bar.add_task(self._what, total=sum(seconds.values()) or None)

    def stop(self) -> None:
        """Remove the bar."""
        self._bar.stop()

    def show(self) -> None:
        """Show the bar."""
        with self._lock:
            self._shown = True
            self._bar.start()

    def is_waiting(self, what: str) -> bool:
        """Return whether a stage that was announced has not begun."""
        return what in self._seconds

    def describe_activity(self, activity: str | None) -> None:
        """Show what a stage is doing, such as compiling."""
        what = f"{self._what}: {activity}" if activity else self._what
        self._bar.update(self._task, description=what, refresh=True)

    @contextmanager
    def stage(self, what: str, count: int | None = None) -> Iterator[Advance]:
        """Show a stage, one of those announced, while the block runs; of `count` things, also how many are done."""
        self._what, estimate = what, self._seconds.pop(what)
        first: tuple[float, float] | None = None

        def advance(share: float) -> None:
            nonlocal first
            now = time.monotonic()
            if count is not None:
                self._what = f"{what}, {round(share * count):,} of {count:,}"
            # What comes before the first share, such as compiling, comes once.
            first = first or (now, share)
            pace = (now - first[0]) / (share - first[1]) if share > first[1] else 0.0
            self._show_time_left((1 - share) * max(estimate, pace))

        self._show_time_left(estimate)
        yield advance

    def _show_time_left(self, seconds: float) -> None:
        """Update the bar, where a stage takes so much longer."""
        done, left = time.monotonic() - self._began, seconds + sum(self._seconds.values())
        self._bar.update(self._task, description=self._what, completed=done, total=done + left if left else None)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Remove the bar while the block prints; where there was none, it is shown afterwards."""
        with self._lock:
            self._bar.stop()
            try:
                yield
            finally:
                if self._shown:
                    self._bar.start()


@contextmanager
def show_stages(seconds: Mapping[str, float], *, hidden: bool = False) -> Iterator[Stages]:
    """Show a progress bar over stages, once they have taken a second, if standard error is a terminal."""
    stages = Stages(seconds, hidden=hidden)
    patience = Timer(PATIENCE, stages.show)  # a clock of its own: the first step alone may take long
    patience.daemon = True
    patience.start()
    try:
        with listen(stages.describe_activity):
            yield stages
    finally:
        patience.cancel()
        patience.join()
        stages.stop()


@contextmanager
def progress(what: str, total: int, *, hidden: bool = False) -> Iterator[Callable[[int], None]]:
    """Show a progress bar of one stage; the block calls what it is given with the number that is done."""
    with show_stages({what: 0.0}, hidden=hidden) as stages, stages.stage(what, total) as advance:
        yield lambda done: advance(done / max(1, total))
