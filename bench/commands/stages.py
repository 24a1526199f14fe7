"""One progress bar over all stages of a command, whose lengths are estimates in seconds."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from threading import RLock

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from bench.commands.console import OneLineProgress, shown_late
from kernels.base.announcements import listen

Advance = Callable[[float], None]
"""Called with the share of a stage that is done so far."""


class _TimeLeft(ProgressColumn):
    """The seconds that the remaining stages take by estimate."""

    def render(self, task: Task) -> Text:
        left = max(0, round((task.total or 0) - task.completed))
        return Text(f"time left {timedelta(seconds=left)}")


class Stages:
    """A progress bar on standard error that goes on from one stage to the next.

    `seconds` are estimates of how long each stage takes, in their order. The time that the current stage still takes is
    estimated anew from the share of it that is done.
    """

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds, self._began = dict(seconds), time.monotonic()
        self._bar = OneLineProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            _TimeLeft(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("", total=sum(seconds.values()))
        self._what, self._lock, self._shown = "", RLock(), False

    def stop(self) -> None:
        """Remove the bar."""
        self._bar.stop()

    def show(self) -> None:
        """Show the bar."""
        with self._lock:
            self._shown = True
            self._bar.start()

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
        done = time.monotonic() - self._began
        total = done + seconds + sum(self._seconds.values())
        self._bar.update(self._task, description=self._what, completed=done, total=total)

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
def show_stages(seconds: Mapping[str, float]) -> Iterator[Stages]:
    """Show a progress bar over stages, once they have taken a second, if standard error is a terminal."""
    stages = Stages(seconds)
    try:
        with shown_late(stages.show), listen(stages.describe_activity):
            yield stages
    finally:
        stages.stop()
