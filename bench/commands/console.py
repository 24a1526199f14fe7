"""What a person sees in a terminal: tables, and progress with the time left; plain text and no progress in a pipe."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
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

from bench.tables.formatting import display, text, to_rich

PATIENCE = 1.0  # seconds without a word


Advance = Callable[[int], None]
"""Called with how much is done by now."""


def print_table(table: pd.DataFrame, title: str) -> None:
    """Print a table: drawn on a terminal, as aligned text in a pipe."""
    if sys.stdout.isatty():
        console, drawn = Console(), to_rich(table, title)
        drawn.box, drawn.show_edge = SIMPLE_HEAD, False
        _fit_columns(drawn, console.width)
        console.print(drawn)
        console.print()
    else:
        print(f"{text(title)}\n{display(table).to_string(index=False)}\n")


def _fit_columns(table: Table, width: int) -> None:
    """Where a table is too wide, break its headers first and its numbers last; nothing is cut off."""
    cells = [max((cell_len(str(cell)) for cell in column.cells), default=0) for column in table.columns]
    headers = [str(column.header) for column in table.columns]
    words = [max(map(len, header.split()), default=0) for header in headers]
    syllables = [min(6, word) for word in words]
    for least, gap in ((list(map(len, headers)), 2), (words, 2), (words, 1), (syllables, 1), ([1] * len(words), 1)):
        widths = list(map(max, cells, least))
        if sum(widths) + gap * len(widths) <= width:
            break
    table.padding = (0, gap - 1, 0, 0)
    for column, needed in zip(table.columns, widths, strict=True):
        column.width = needed if sum(widths) + gap * len(widths) <= width else None
        column.overflow = "fold"


def print_sentence(about: str, sentence: str) -> None:
    """Print a sentence and what it is about; a terminal breaks it between words."""
    if sys.stdout.isatty():
        Console().print(Text.assemble((f"{about}: ", "bold"), text(sentence)))
    else:
        print(f"{about}: {text(sentence)}")


class _Rate(ProgressColumn):
    """How many are done in a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{text(float(f'{speed:.3g}'))}/s" if speed else "")


@contextmanager
def progress(what: str, total: int, *, hidden: bool = False) -> Iterator[Advance]:
    """Show a progress bar on a terminal's standard error once the work has taken a second; in a pipe, nothing."""
    bar = Progress(
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
    # A clock of its own: the first step alone may take longer than anybody waits.
    patience = Timer(PATIENCE, bar.start)
    patience.daemon = True
    patience.start()
    try:
        yield lambda done: bar.update(task, completed=done)
    finally:
        patience.cancel()
        patience.join()
        bar.stop()
