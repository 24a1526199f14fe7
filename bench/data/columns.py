"""Which columns of a table are inputs, other names for them, and the model where none is said."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np

from bench.data.table import NoNumbersError, column_headings, read_numbers, read_table
from kernels.model.column_names import column_name, column_names, is_name
from kernels.model.model import MAX_PARAMS

# Each column of a table is looked at by itself.
MOST_COLUMNS = 1000
# So many columns that are left out are named.
SHOWN = 8


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


class Inputs(NamedTuple):
    """What a model of a table is made of.

    Attributes
    ----------
    columns : list of str
    names : list of str or None
        What the expression calls them, as from `split_renames`.
    expression : str
    left_out : dict
        From columns that were left out without being asked for to the reason, in a few words.
    """

    columns: list[str]
    names: list[str] | None
    expression: str
    left_out: dict[str, str]


def choose_inputs(path: str | Path, x: Sequence[str] | None, y: str, model: str | None) -> Inputs:
    """Return the inputs and the model for a table: all other columns of numbers and a weighted sum, unless said.

    Parameters
    ----------
    path : str or Path
    x : sequence of str or None
        Columns, also with a name, as in "x=Engine Power (PS)".
    y : str
        The column to be fitted.
    model : str or None
        An expression, or the name of a ready-made model.

    Raises
    ------
    ValueError
        As from `numeric_columns` and `linear_expression`.
    """
    found, left_out = (x, {}) if x else numeric_columns(path, y)
    columns, names = split_renames(found) if x else (list(found), None)
    return Inputs(columns, names, model or linear_expression(names or column_names(columns)), left_out)


def linear_expression(inputs: Sequence[str]) -> str:
    """Return a weighted sum of inputs and a constant, such as ``a*hp + b*weight + c``.

    Raises
    ------
    ValueError
        If there are more inputs than a model has room for.
    """
    if len(inputs) >= MAX_PARAMS:
        raise ValueError(
            f"a model has at most {MAX_PARAMS - 1} inputs of its own, not {len(inputs)}; name some with --x"
        )
    letters = [letter for letter in ascii_lowercase if letter not in inputs]
    if len(letters) <= len(inputs):
        letters = [name for k in range(2 * MAX_PARAMS) if (name := f"w{k}") not in inputs]
    terms = [f"{letter}*{name}" for letter, name in zip(letters, inputs, strict=False)]
    return " + ".join([*terms, letters[len(terms)]])


def describe_left_out(left_out: Mapping[str, str]) -> str:
    """Return in a line which columns are no inputs, and why."""
    named = [f"{name} ({reason})" for name, reason in left_out.items()]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return ", ".join(named[:SHOWN]) + more


def numeric_columns(path: str | Path, y: str) -> tuple[list[str], dict[str, str]]:
    """Return the columns of a file, besides `y`, that hold numbers and vary, and why the others are left out.

    Raises
    ------
    ValueError
        If the file cannot be read, `y` is none of its columns, there are too many to look at, or none is left.
    """
    headings = column_headings(path)
    if y not in headings:
        read_table(path, headings[0] if headings else "x", y)  # says it, and which columns there are
    if len(headings) > MOST_COLUMNS:
        raise ValueError(f"{path} has {len(headings):,} columns, more than {MOST_COLUMNS:,}; name the inputs with --x")
    reasons = {name: _why_left_out(path, name, headings.count(name)) for name in headings if name != y}
    found = [name for name, reason in reasons.items() if not reason]
    left_out = {name: reason for name, reason in reasons.items() if reason}
    if not found:
        others = f": left out are {describe_left_out(left_out)}" if left_out else ""
        raise ValueError(f"{path} has no column of numbers besides {y!r}{others}; name the inputs with --x")
    return found, left_out


def _why_left_out(path: str | Path, name: str, count: int) -> str:
    """Return why a column is no input; empty for one that holds numbers which vary."""
    if count > 1:
        return f"{count} columns have this heading"
    if not name:
        return "it has no heading"
    try:
        values = read_numbers(path, name)
    except NoNumbersError as error:
        return f"no numbers: {error.found}"
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "no values"
    return "" if np.ptp(finite) > 0 else f"always {finite[0]:g}"
