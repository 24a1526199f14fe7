"""What a person sees in a terminal: tables, and progress with the time left; plain text and no progress in a pipe."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.render import display, to_rich

PATIENCE = 1.0  # seconds without a word


class Advance(Protocol):
    """Called with how much is done by now."""

    def __call__(self, done: int, /) -> None: ...


def show(table: pd.DataFrame, title: str) -> None:
    """Print a table: drawn on a terminal, as aligned text in a pipe."""
    if sys.stdout.isatty():
        Console().print(to_rich(table, title))
    else:
        print(f"{title}\n{display(table).to_string(index=False)}\n")


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """A bar on a terminal's standard error, once the work has taken a second."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("time left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    task = bar.add_task(what, total=total)
    started = time.monotonic()

    def advance(done: int) -> None:
        bar.update(task, completed=done)
        if not bar.live.is_started and time.monotonic() - started > PATIENCE:
            bar.start()

    try:
        yield advance
    finally:
        bar.stop()
