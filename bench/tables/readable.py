"""Tables as a page and a Markdown report show them: the columns that people read, and no speed-up unverified."""

import re
from typing import NamedTuple

import pandas as pd

from bench.tables.formatting import MISSING, display
from bench.tables.ranking import varies
from bench.tables.scoreboard import budget, remarks, scoreboard

_NUMBER = re.compile(r"-?[\d∞]")


class Column(NamedTuple):
    """A heading, and whether numbers are below it."""

    title: str
    numeric: bool


class Sheet(NamedTuple):
    """A table as text."""

    columns: list[Column]
    rows: list[list[str]]


def sheet(table: pd.DataFrame) -> Sheet:
    """The text of a table, cell by cell."""
    shown = display(table)
    rows = shown.to_numpy().tolist()
    columns = [Column(str(title), _numeric([row[i] for row in rows])) for i, title in enumerate(shown.columns)]
    return Sheet(columns, rows)


def _numeric(cells: list[str]) -> bool:
    told = [cell for cell in cells if cell != MISSING]
    return bool(told) and all(_NUMBER.match(cell) for cell in told)


def readable(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """The columns of evidence that people read; of speeds and times a shorter table."""
    match name:
        case "speed":
            shown = scoreboard(_verified(table))
            shown = shown.loc[:, (shown != MISSING).any()]
            return shown.assign(verified=[f"{'✗' if how.startswith('no') else '✓'} {how}" for how in shown["verified"]])
        case "targets":
            return budget(table)
        case "times":
            from bench.timing.epoch import fastest  # noqa: PLC0415 (it loads every variant)

            table = fastest(table)
        case "check":
            table = table.assign(verified=table["verified"].map({True: "✓ yes", False: "✗ no"}))
    same = [column for column in ("schedule", "shuffle") if column in table and not varies(table, column)]
    return table.drop(columns=["config_id", *same], errors="ignore")


_SAID = {
    "speed": "Medians with their 95 % intervals. Each variant was held against the reference before it was timed.",
    "times": "The best choice of each optimizer with each kernel; success with Wilson's 95 % interval.",
    "theory": "The rate from which training diverges, by the matrix of one epoch, beside what the runs did at first.",
    "rates": "The factor that an epoch puts on the distance to the solution, by that matrix, and in the runs.",
}


def said_of(name: str, table: pd.DataFrame) -> str:
    """What has to be said beside a table: what it holds, which variants were not measured, and why."""
    missing = remarks(_verified(table)) if name == "speed" else []
    return " ".join([*([_SAID[name]] if name in _SAID else []), *(f"{remark}." for remark in missing)])


def _verified(speed: pd.DataFrame) -> pd.DataFrame:
    """What is not found equal to the reference has no speed worth telling."""
    return speed.assign(ns=speed["ns"].where(speed["verified"].fillna(False).astype(bool)))
