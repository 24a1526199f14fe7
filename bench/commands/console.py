"""Output for a terminal, tables and progress bars with the time left; in a pipe, plain text and no progress."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from bench.data.choose_loss import ChosenLoss
from bench.data.columns import describe_left_out
from bench.tables.formatting import display, text, to_rich
from bench.tables.layout import GAP, lay_out, stack_rows
from kernels.base.announcements import listen
from kernels.losses.classes import Classes

PATIENCE = 1.0  # seconds before a progress bar is shown
SHORTEST_BAR = 4  # characters

Advance = Callable[[int], None]
"""Called with the amount that is done so far."""


def print_table(table: pd.DataFrame, title: str) -> None:
    """Print a table: drawn on a terminal, in parts that fit its width, and as aligned text in a pipe."""
    if not sys.stdout.isatty():
        print(f"{text(title)}\n{display(table).to_string(index=False)}\n")
        return
    console = Console()
    panels = lay_out(display(table), console.width)
    console.print(Text(text(title), "italic"))
    if panels is None:
        console.print(Text(stack_rows(display(table), console.width)))
    for panel in panels or []:
        drawn = to_rich(table)
        drawn.columns = [replace(drawn.columns[k], _index=place) for place, k in enumerate(panel.columns)]
        drawn.box, drawn.show_edge, drawn.padding = SIMPLE_HEAD, False, (0, GAP - 1, 0, 0)
        for column, width in zip(drawn.columns, panel.widths, strict=True):
            column.width = width
        console.print(drawn)
    console.print()


def print_sentence(about: str, sentence: str) -> None:
    """Print a sentence after its subject; on a terminal, lines break between words."""
    if sys.stdout.isatty():
        Console().print(Text.assemble((f"{about}: ", "bold"), text(sentence)))
    else:
        print(f"{about}: {text(sentence)}")


def print_choices(left_out: Mapping[str, str], loss: ChosenLoss, classes: Classes | None) -> None:
    """Print which columns of a table were left out as inputs, the loss if it was chosen, and the classes of labels."""
    if left_out:
        print_sentence("Left out", f"{describe_left_out(left_out)}.")
    if loss.reason:
        print_sentence("Loss", loss.reason)
    if classes:
        print_sentence("Classes", f"{classes}.")


def mapping_display(*, quiet: bool = False) -> dict[str, Any]:
    """Return the arguments of `bench.data.open_table` that announce the columns that it writes and show a bar."""
    announce = (lambda sentence: None) if quiet else partial(print_sentence, "Columns")
    return {"announce": announce, "progress": progress}


def print_place(what: str, path: Path) -> None:
    """Print the path of a file or folder on one line, so that it can be copied."""
    print(f"{what}: {text(str(path))}")


@contextmanager
def shown_late(show: Callable[[], None]) -> Iterator[None]:
    """Call `show` once the block has taken a second, by a clock of its own: its first step alone may take long."""
    patience = Timer(PATIENCE, show)
    patience.daemon = True
    patience.start()
    try:
        yield
    finally:
        patience.cancel()
        patience.join()


class OneLineProgress(Progress):
    """A progress bar in one line: on a narrow terminal the bar is shorter, and the description is cut off."""

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        """Return the line as a table."""
        table = super().make_tasks_table(tasks := list(tasks))
        if not tasks:  # and the console may not be there yet
            return table
        kinds = list(zip(self.columns, table.columns, strict=True))
        fixed = [column for kind, column in kinds if not isinstance(kind, BarColumn)]  # the bar alone may be squeezed
        described = next(column for kind, column in kinds if isinstance(kind, TextColumn))
        room = self.console.width - SHORTEST_BAR - (len(kinds) - 1)
        for column in fixed:
            column.no_wrap, column.overflow = True, "ellipsis"
            if column is not described:
                widths = (Measurement.get(self.console, self.console.options, cell).maximum for cell in column.cells)
                room -= max(widths, default=0)
        described.max_width = max(1, room)
        return table


class _Rate(ProgressColumn):
    """The number that is done in a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{text(speed, 3)}/s" if speed else "")


@contextmanager
def progress(what: str, total: int, *, hidden: bool = False) -> Iterator[Advance]:
    """Show a progress bar on standard error once the work has taken a second, if that is a terminal."""
    bar = OneLineProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TextColumn("time left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=hidden or not sys.stderr.isatty(),
    )
    task = bar.add_task(what, total=total)

    def show_activity(activity: str | None) -> None:
        bar.update(task, description=f"{what}: {activity}" if activity else what, refresh=True)

    try:
        with shown_late(bar.start), listen(show_activity):
            yield lambda done: bar.update(task, completed=done)
    finally:
        bar.stop()
