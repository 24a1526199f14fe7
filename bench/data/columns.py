"""Which columns a table has, which of them hold numbers, and other names for them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.data.table import column_headings, load_table
from kernels.column_names import column_name, is_name

# Each column of a table is looked at by itself.
MOST_COLUMNS = 1000


def split_renames(x: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return the columns that are named, and what an expression calls them where one of them is given a name.

    Parameters
    ----------
    x : sequence of str
        Columns, such as "hp", or a name and a column, such as "x=Engine Power (PS)".

    Returns
    -------
    columns : list of str
    names : list of str or None
        None where no column is given a name: then there are several ways to call them.
    """
    parts = [text.partition("=") for text in x]
    renamed = [bool(equals) and is_name(name.strip()) for name, equals, _ in parts]
    columns = [part[2].strip() if other else text for text, part, other in zip(x, parts, renamed, strict=True)]
    if not any(renamed):
        return columns, None
    pairs = zip(columns, parts, renamed, strict=True)
    return columns, [part[0].strip() if other else column_name(column) for column, part, other in pairs]


def numeric_columns(path: str | Path, y: str) -> list[str]:
    """Return the columns of a file, besides `y`, that hold numbers and vary.

    Raises
    ------
    ValueError
        If the file cannot be read, `y` is none of its columns, there are too many to look at, or none is left.
    """
    headings = column_headings(path)
    if y not in headings:
        load_table(path, headings[0] if headings else "x", y)  # says it, and which columns there are
    if len(headings) > MOST_COLUMNS:
        raise ValueError(f"{path} has {len(headings):,} columns, more than {MOST_COLUMNS:,}; name the inputs with --x")
    found = [name for name in headings if name and name != y and headings.count(name) == 1 and _varies(path, name, y)]
    if not found:
        raise ValueError(f"{path} has no column of numbers besides {y!r}; name the inputs with --x")
    return found


def _varies(path: str | Path, name: str, y: str) -> bool:
    """Return whether a column holds numbers, not all of them the same."""
    try:
        values = load_table(path, name, y, drop_missing=True).x
    except ValueError:
        return False
    return bool(np.ptp(values) > 0)
