"""Progress bars on standard error, one per stage of a command; none in a pipe."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from sgdbench.kernels.base.announcements import listen

Advance = Callable[[float], None]
"""Called with the share of a stage that is done so far."""


class Stages:
    """The progress bars of a command's stages; `begun` has the stages' names."""

    def __init__(self, *, hidden: bool = False) -> None:
        self.begun: set[str] = set()
        self._activity = ""
        described = Column(no_wrap=True, overflow="ellipsis")
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", table_column=described, markup=False),
            BarColumn(20),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            disable=hidden or not sys.stderr.isatty(),
        )

    @contextmanager
    def stage(self, what: str, count: int | None = None) -> Iterator[Advance]:
        """Show the bar of a stage while the block runs; with a `count`, also how many are done."""
        self.begun.add(what)
        task = self._bars.add_task(what, total=None)

        def advance(share: float) -> None:
            done = f"{what}, {round(share * count):,} of {count:,}" if count else what
            self._bars.update(task, description=done, completed=share, total=1.0)

        def describe(activity: str | None) -> None:
            self._bars.update(task, description=f"{what}: {activity}" if activity else what, refresh=True)

        with listen(describe):
            yield advance
        self._bars.update(task, completed=1.0, total=1.0)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide the bars while the block prints."""
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()


@contextmanager
def show_stages(*, hidden: bool = False) -> Iterator[Stages]:
    """Show progress bars if standard error is a terminal; they are removed at the end."""
    stages = Stages(hidden=hidden)
    with stages._bars:
        yield stages


@contextmanager
def show_progress(what: str, total: int, *, hidden: bool = False) -> Iterator[Callable[[int], None]]:
    """Show the progress bar of one stage; the block passes the number done to the function it gets."""
    with show_stages(hidden=hidden) as stages, stages.stage(what, total) as advance:
        yield lambda done: advance(done / max(1, total))
