"""The choice of the inputs of a table, of other names for its columns, and of a model where none is said."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np

from bench.data.batches import column_headings, count_rows, read_batches, table_files
from bench.data.table_errors import NoNumbersError, find_columns, join_names, match_columns
from kernels.base.checks import list_names
from kernels.base.run import Floats
from kernels.losses.loss import Loss
from kernels.model.column_names import (
    ALL_INPUTS,
    column_name,
    column_names,
    is_name,
    is_numbered,
    refuse_misspelt,
)
from kernels.model.expression import names as names_in
from kernels.model.expression import parse
from kernels.model.inputs import Given

MOST_INPUTS = 10_000
# A weighted sum of more inputs is written as a product of vectors.
MOST_TERMS = 12
# Headings of columns that may do no more than number the rows, and those of an index of pandas without a name, which
# has gaps where rows were left out.
ROW_NUMBERS, UNNAMED = ("id", "index"), ("unnamed: 0", "__index_level_0__")


class Inputs(NamedTuple):
    """The inputs of a table, their names in the expression as from `find_inputs`, and the expression.

    `left_out` has the reason, in a few words, for each column that is left out by default, or called like a parameter.
    """

    columns: list[str]
    names: Given | None
    expression: str
    left_out: dict[str, str]


def choose_inputs(path: str | Path, x: Sequence[str] | None, y: str, model: str | None, loss: Loss) -> Inputs:
    """Return the inputs and the model for a table: all columns of numbers but `y`, and a weighted sum, unless given.

    The inputs `x` are as for `find_inputs`; the model is an expression, or that of a ready-made one. No inputs, or more
    than 10,000, are a ValueError.
    """
    names: Given | None = None
    words = _words_of(model)
    if x:
        columns, names = find_inputs(path, x, y)
        left_out = find_namesakes(path, columns, y, model, names)
    else:
        columns, left_out = numeric_columns(Path(path), y, words)
        if words:
            columns = _choose_used(str(model), words, columns, left_out)
    check_count(path, len(columns))
    return Inputs(columns, names, model or default_expression(names or column_names(columns), loss, y), left_out)


def ask_for_target(path: Path) -> str:
    """Return an error that asks for the target, with the columns of a table."""
    headings = column_headings(table_files(path)[0])
    return f"--y must name the column of {path} that is to be fitted: {join_names(headings)}"


def _words_of(model: str | None) -> set[str]:
    """Return the names in an expression; none of a ready-made model, or of a mistake that is told where it is made."""
    try:
        return set(names_in(parse(model, products=True))) if model else set()
    except ValueError:
        return set()


def find_namesakes(
    path: str | Path, columns: Sequence[str], y: str, model: str | None, names: Given | None
) -> dict[str, str]:
    """Return why columns of a table that are called like parameters of a model are no inputs.

    The inputs are `columns`, which the model calls by `names`, or by their own where there are none.
    """
    params = _words_of(model).difference(names or column_names(columns))
    headings = column_headings(table_files(Path(path))[0], y) if params else []
    others = [heading for heading in headings if heading not in {*columns, y}]
    return {heading: "not named as an input: it is a parameter" for heading in others if column_name(heading) in params}


def _choose_used(model: str, words: set[str], columns: list[str], left_out: Mapping[str, str]) -> list[str]:
    """Return the columns that an expression names, or all of them if it takes inputs by place or names no column.

    An expression that names a column that is left out, or probably misspells one, is refused.
    """
    if lost := next((name for name in left_out if column_name(name) in words), None):
        raise ValueError(
            f"{model!r} uses the column {lost!r}, which is no input ({left_out[lost]}); name others with --x"
        )
    called = column_names(columns)
    used = [column for column, name in zip(columns, called, strict=True) if name in words]
    by_place = any(word == ALL_INPUTS or is_numbered(word) for word in words.difference(called))
    if by_place or not used:
        return columns
    refuse_misspelt(model, sorted(words), words.intersection(called), called)
    return used


def check_count(path: str | Path, count: int) -> None:
    """Refuse more inputs than a model may have."""
    if count > MOST_INPUTS:
        raise ValueError(
            f"{path} has {count:,} columns for the inputs of a model, which are at most {MOST_INPUTS:,}; name some "
            "with --x, also by wildcards"
        )


def find_inputs(path: str | Path, x: Sequence[str], y: str) -> tuple[list[str], Given | None]:
    """Return the columns that texts name, and the names that an expression has for them.

    The texts `x` are columns, such as ``"hp"``; columns with names, such as ``"x=Engine Power (PS)"``; wildcards, such
    as ``"pixel_*"``, which do not match the target `y`; and wildcards with the name of a group, such as
    ``"x=pixel_*"``. A heading of the table may have wildcards and an equals sign of its own.

    The names are in the order of the columns; where there is a group they are a table, by name of a column or the
    group's columns; they are None where nothing is given a name: then there are several ways to call them.
    """
    headings = [heading for heading in column_headings(table_files(Path(path))[0], y) if heading != y]
    columns: list[str] = []
    called: list[tuple[str, list[str] | str]] = []
    named = False
    for text in x:
        name, column = (None, text) if text in headings else _split_rename(text)
        found = match_columns(column, headings, str(path))
        named |= name is not None
        columns += found or [column]
        if found and name:
            called.append((name, found))
        else:
            called += [(name or column_name(one), one) for one in found or [column]]
    if not named:
        return columns, None
    names = [name for name, _ in called]
    if not any(isinstance(value, list) for _, value in called):
        return columns, names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"x must give each column or group a name of its own, and {twice!r} is there twice")
    return columns, dict(called)


def _split_rename(text: str) -> tuple[str | None, str]:
    name, equals, column = text.partition("=")
    return (name.strip(), column.strip()) if equals and is_name(name.strip()) else (None, text)


def default_expression(inputs: Given, loss: Loss, y: str = "") -> str:
    """Return a weighted sum of inputs and a constant, such as ``a*hp + b*weight + c``.

    Of more than twelve inputs, and for scores of classes, it is ``w @ x + b``; of groups and single inputs the sum of
    all, such as ``w @ x + c*age + b``. No parameter is called like an input or the target `y`.
    """
    taken = [*inputs, y]
    if isinstance(inputs, Mapping):
        return _sum_of_groups(inputs, loss, taken)
    if len(inputs) > MOST_TERMS or loss.by_class:
        return _sum_of_groups({ALL_INPUTS: inputs}, loss, taken)
    letters = [letter for letter in ascii_lowercase if letter not in taken]
    terms = [f"{letter}*{name}" for letter, name in zip(letters, inputs, strict=False)]
    return " + ".join([*terms, letters[len(terms)]])


def _sum_of_groups(inputs: Mapping[str, str | Sequence[str]], loss: Loss, taken: list[str]) -> str:
    """Return the sum of a product for each group and a term for each single input, and a constant."""
    terms = []
    for name, columns in inputs.items():
        weights = _unused(taken, ("Wu" if loss.by_class else "wvu") if not isinstance(columns, str) else "acd")
        terms.append(f"{weights}*{name}" if isinstance(columns, str) else f"{weights} @ {name}")
        taken.append(weights)
    return " + ".join([*terms, _unused(taken, "bc")])


def _unused(taken: Sequence[str], letters: str) -> str:
    """Return the first of some letters that is not taken; else the first of them with a number."""
    candidates = [*letters, *(f"{letters[0]}{number}" for number in range(1, len(taken) + 2))]
    free: str = next(name for name in candidates if name not in taken)
    return free


def describe_left_out(left_out: Mapping[str, str]) -> str:
    """Return the columns that are no inputs and the reasons, in a line."""
    return list_names(f"{name or 'a column'} ({reason})" for name, reason in left_out.items())


def numeric_columns(path: Path, y: str, named: Collection[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Return the columns of a table besides `y` that hold numbers and vary, and why the others are left out.

    So are, beside others, columns that number the rows or are an index without a name, unless an expression names them.
    """
    files = table_files(path)
    headings = column_headings(files[0], y)
    find_columns(files[0], [y], headings)
    check_count(path, len(headings) - 1)
    counts = Counter(headings)
    others = [name for name in counts if name != y]
    reasons = {name: f"{counts[name]} columns have this heading" if counts[name] > 1 else "" for name in others}
    reasons |= {"": "it has no heading"} if counts[""] == 1 else {}
    reasons |= _describe_values(files, [name for name in others if not reasons[name]])
    found = [name for name, reason in reasons.items() if not reason]
    counted = {name: _describe_index(files, name) for name in found if column_name(name) not in named}
    counted = {name: reason for name, reason in counted.items() if reason}
    if len(counted) < len(found):
        reasons |= counted
        found = [name for name in found if name not in counted]
    left_out = {name: reason for name, reason in reasons.items() if reason}
    if not found:
        listed = f": left out are {describe_left_out(left_out)}" if left_out else ""
        raise ValueError(f"{path} has no column of numbers besides {y!r}{listed}; name the inputs with --x")
    return found, left_out


def _describe_values(files: Sequence[Path], names: Sequence[str]) -> dict[str, str]:
    """Return why columns are no inputs, by name; an empty text for those that hold numbers which vary."""
    reasons: dict[str, str] = {}
    left = list(names)
    while left:
        try:
            ranges = _find_ranges(files, left)
        except NoNumbersError as error:
            # Without these columns, the others are read once more.
            reasons |= error.faults
            left = [name for name in left if name not in error.faults]
            continue
        for name, (lowest, highest) in zip(left, ranges.tolist(), strict=True):
            reasons[name] = "no values" if lowest > highest else "" if lowest < highest else f"always {lowest:.15g}"
        break
    return reasons


def _describe_index(files: Sequence[Path], name: str) -> str:
    """Return why a column is an index of the rows; an empty text for others.

    One that is called like row numbers is one if its ends are as far apart as those of the rows.
    """
    if name.lower() in UNNAMED:
        return "an index without a name"
    if name.lower() not in ROW_NUMBERS:
        return ""
    ((lowest, highest),) = _find_ranges(files, [name]).tolist()
    is_count = highest - lowest == sum(count_rows(file, [name]) for file in files) - 1
    return "it numbers the rows" if is_count else ""


def _find_ranges(files: Sequence[Path], names: Sequence[str]) -> Floats:
    """Return the lowest and the highest value of columns, shape (columns, 2); inf and -inf where none is."""
    ranges = np.tile([np.inf, -np.inf], (len(names), 1))
    for file in files:
        for batch in read_batches(file, names, has_target=False):
            for k, column in enumerate(batch.columns):
                values = column[~np.isnan(column)]
                ranges[k] = values.min(initial=ranges[k, 0]), values.max(initial=ranges[k, 1])
    return ranges
