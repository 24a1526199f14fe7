"""The choice of the inputs of a table, of other names for its columns, and of a model where none is said."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np

from bench.data.batches import column_headings, read_batches, table_files
from bench.data.table_errors import NoNumbersError, find_columns
from kernels.model.column_names import column_name, column_names, is_name
from kernels.model.layers import MAX_PARAMS

# Every column of a table without named inputs is read by itself.
MOST_COLUMNS = 1000
# Columns left out that are named.
SHOWN = 8


class Inputs(NamedTuple):
    """The inputs of a table, their names in the expression as from `split_renames`, and the expression.

    `left_out` has the reason, in a few words, for each column that is left out by default.
    """

    columns: list[str]
    names: list[str] | None
    expression: str
    left_out: dict[str, str]


def choose_inputs(path: str | Path, x: Sequence[str] | None, y: str, model: str | None) -> Inputs:
    """Return the inputs and the model for a table: all columns of numbers but `y`, and a weighted sum, unless given.

    The inputs `x` may have names, as in "x=Engine Power (PS)"; the model is an expression, or that of a ready-made one.
    """
    if x:
        columns, names = split_renames(x)
        left_out: dict[str, str] = {}
    else:
        (columns, left_out), names = numeric_columns(Path(path), y), None
    return Inputs(columns, names, model or linear_expression(names or column_names(columns)), left_out)


def split_renames(x: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return columns and their names in an expression, from texts such as "hp" or "x=Engine Power (PS)".

    The names are None where no column is given a name: then there are several ways to call them.
    """
    renames = [_split_rename(text) for text in x]
    columns = [column for _, column in renames]
    if not any(name for name, _ in renames):
        return columns, None
    return columns, [name or column_name(column) for name, column in renames]


def _split_rename(text: str) -> tuple[str | None, str]:
    name, equals, column = text.partition("=")
    return (name.strip(), column.strip()) if equals and is_name(name.strip()) else (None, text)


def linear_expression(inputs: Sequence[str]) -> str:
    """Return a weighted sum of inputs and a constant, such as ``a*hp + b*weight + c``."""
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
    """Return the columns that are no inputs and the reasons, in a line."""
    named = [f"{name} ({reason})" for name, reason in left_out.items()]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return ", ".join(named[:SHOWN]) + more


def numeric_columns(path: Path, y: str) -> tuple[list[str], dict[str, str]]:
    """Return the columns of a table besides `y` that hold numbers and vary, and why the others are left out."""
    files = table_files(path)
    headings = column_headings(files[0])
    find_columns(files[0], [y], headings)
    if len(headings) > MOST_COLUMNS:
        raise ValueError(f"{path} has {len(headings):,} columns, more than {MOST_COLUMNS:,}; name the inputs with --x")
    reasons = {name: _why_left_out(files, name, headings.count(name)) for name in headings if name != y}
    found = [name for name, reason in reasons.items() if not reason]
    left_out = {name: reason for name, reason in reasons.items() if reason}
    if not found:
        others = f": left out are {describe_left_out(left_out)}" if left_out else ""
        raise ValueError(f"{path} has no column of numbers besides {y!r}{others}; name the inputs with --x")
    return found, left_out


def _why_left_out(files: Sequence[Path], name: str, count: int) -> str:
    """Return why a column is no input; an empty text for one that holds numbers which vary."""
    if count > 1:
        return f"{count} columns have this heading"
    if not name:
        return "it has no heading"
    lowest, highest = np.inf, -np.inf
    try:
        for file in files:
            for batch in read_batches(file, [name]):
                finite = batch.columns[0][np.isfinite(batch.columns[0])]
                lowest, highest = finite.min(initial=lowest), finite.max(initial=highest)
    except NoNumbersError as error:
        return f"no numbers: {error.found}"
    if lowest > highest:
        return "no values"
    return "" if lowest < highest else f"always {lowest:g}"
