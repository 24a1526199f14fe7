"""Checks of tables, with the same messages for every kind of file."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa

from sgdbench.kernels.base.checks import check_sequence, describe, list_names
from sgdbench.kernels.model.column_names import did_you_mean_column
from sgdbench.system.files import TABLE_SUFFIXES, check_regular_file

STREAM_ADVICE = "'sgdbench fit --stream' (sgdbench.data.open_table) maps such a table from the disk"

MAX_NAME_LENGTH = 100


class NoNumbersError(ValueError):
    """Some columns are not purely numeric; `faults` describes briefly, by name, what each holds."""

    def __init__(self, message: str, faults: dict[str, str]) -> None:
        super().__init__(message)
        self.faults = faults


@contextmanager
def explain_failures(path: Path, accepted: Sequence[str] = TABLE_SUFFIXES) -> Iterator[None]:
    """Report in one line that a file cannot be read, or that it is damaged."""
    try:
        check_regular_file(path)
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; give a {either(accepted)} file") from error
    try:
        yield
    except pa.ArrowMemoryError as error:
        hint = f"; {STREAM_ADVICE}" if accepted == TABLE_SUFFIXES else ""
        raise ValueError(f"{path} does not fit into memory{hint}") from error
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from error


def join_columns(x: str | Sequence[str], y: str) -> tuple[str, ...]:
    """Return the names of inputs and of the target, which must be distinct strings."""
    inputs = [x] if isinstance(x, str) or not isinstance(x, Iterable) else list(check_sequence("x", x))
    if wrong := [name for name in (*inputs, y) if not isinstance(name, str)]:
        raise ValueError(f"x and y must name columns, by texts such as 'hp', not {describe(wrong[0])}")
    if y in inputs:
        raise ValueError(f"x and y must be different columns, not both {y!r}")
    check_inputs(inputs)
    return (*inputs, y)


def check_inputs(inputs: Sequence[str]) -> None:
    """Refuse an empty list of inputs, and a column that is listed twice."""
    if not inputs:
        raise ValueError("x must name at least one column")
    for name, count in Counter(inputs).items():
        if count > 1:
            raise ValueError(f"x must name each column once, not {name!r} {count} times")


def find_columns(path: Path, names: Sequence[str], existing: Sequence[str]) -> list[int]:
    """Return the indices of columns in a file; refuse one that is missing, with a suggestion, or duplicated."""
    counts, places = Counter(existing), {name: place for place, name in enumerate(existing)}
    for name in names:
        if name not in counts:
            close = did_you_mean_columns(name, existing)
            raise ValueError(f"{path} has no column {name!r}{close}; its columns are {join_names(existing)}")
        if counts[name] > 1:
            raise ValueError(f"{path} has {counts[name]} columns {name!r}: rename all but one")
    return [places[name] for name in names]


def did_you_mean_columns(text: str, existing: Sequence[str]) -> str:
    """Return a suggestion for a text that names no column; it may combine several columns with commas."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and all(any(fnmatchcase(name, part) for name in existing) for part in parts):
        return f" (did you mean {join_names(parts)}, each named by itself?)"
    return did_you_mean_column(text, existing)


def has_wildcard(text: str) -> bool:
    """Return whether a text may stand for several columns: with ``*``, ``?`` or ``[``, as in `fnmatch`."""
    return any(mark in text for mark in "*?[")


def match_columns(text: str, headings: Sequence[str], place: str) -> list[str] | None:
    """Return the headings that a text with wildcards matches, in order; None for a name without wildcards.

    A text that is itself a heading, such as ``temperature [C]``, has no wildcards. If none matches, a ValueError names
    the `place` that has the columns.
    """
    if text in headings or not has_wildcard(text):
        return None
    matched = [heading for heading in dict.fromkeys(headings) if heading and fnmatchcase(heading, text)]
    if not matched:
        close = did_you_mean_columns(text, headings)
        raise ValueError(f"{place} has no column that matches {text!r}{close}; its columns are {join_names(headings)}")
    return matched


def describe_gap(value: float, column: str) -> str:
    """Return what a row of a table, the subject of the sentence, has in a column whose value is not finite."""
    return f"has no value in column {column!r}" if np.isnan(value) else f"holds {value:g} in column {column!r}"


def either(words: Sequence[str]) -> str:
    """Return alternatives as a text: "a, b or c"."""
    *most, last = words
    return f"{', '.join(most)} or {last}"


def join_names(names: Sequence[str]) -> str:
    """Return quoted names as a list for an error message, shortened if they are many or long."""
    quoted = map(repr, names)
    return list_names(f"{text[:MAX_NAME_LENGTH]}..." if len(text) > MAX_NAME_LENGTH else text for text in quoted)
