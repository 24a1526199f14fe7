"""The default inputs and model of a table, and the renaming of columns."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import NamedTuple, NoReturn

import numpy as np

from sgdbench.data.batches import column_headings, count_rows, read_batches, table_files
from sgdbench.data.categories import NO_CATEGORIES, find_categories, named_categories
from sgdbench.data.table_errors import NoNumbersError, find_columns, join_names, match_columns
from sgdbench.kernels.base.checks import list_names
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.categories import Categories, indicator_name
from sgdbench.kernels.model.column_names import (
    ALL_INPUTS,
    column_name,
    column_names,
    is_name,
    is_numbered,
    refuse_misspelt,
)
from sgdbench.kernels.model.expression import names as names_in
from sgdbench.kernels.model.expression import parse
from sgdbench.kernels.model.inputs import Given
from sgdbench.kernels.model.models import has_vectors

MAX_INPUTS = 10_000
# A weighted sum of more inputs is written as a product of vectors.
MAX_TERMS = 12
# Headings of columns that may only number the rows, and headings of an unnamed pandas index, which has gaps where rows
# were dropped.
ROW_NUMBER_NAMES, UNNAMED_INDEX_NAMES = ("id", "index"), ("unnamed: 0", "__index_level_0__")


class Inputs(NamedTuple):
    """The inputs of a table, their names in the expression as from `find_inputs`, and the expression.

    `left_out` has a short reason for each column that is ignored by default, or named like a parameter. Inputs may be
    indicators of `categories`.
    """

    columns: list[str]
    names: Given | None
    expression: str
    left_out: dict[str, str]
    categories: Categories = NO_CATEGORIES


def choose_inputs(
    path: str | Path, x: Sequence[str] | None, y: str, model: str | None, loss: Loss, *, no_categories: bool = False
) -> Inputs:
    """Return the inputs and the model for a table, by default all usable columns except `y` and a weighted sum.

    Columns of numbers are usable and, unless `no_categories`, columns of few texts. The inputs `x` are as for
    `find_inputs`; the model is an expression or a ready-made model. No inputs, or more than 10,000, raise a ValueError.
    """
    names: Given | None = None
    words = _words_of(model)
    if x:
        categories = NO_CATEGORIES if no_categories else named_categories(path, x, y)
        columns, names = find_inputs(path, x, y, categories)
        left_out = find_namesakes(path, columns, y, model, names)
    else:
        usable, left_out, categories = usable_columns(Path(path), y, words, no_categories=no_categories)
        columns = categories.expand(usable)
        if model and not has_vectors(model):  # it takes only the indicators that it names
            columns = [name for name in columns if name in words or name not in categories.indicators]
            unused = [name for name in categories.levels if name not in categories.sources(columns)]
            left_out |= {
                name: f"texts: the model names none of {list_names(categories.of_column(name))}" for name in unused
            }
        if words:
            texts = {
                name: f"texts: its columns are {list_names(categories.of_column(name))}" for name in categories.levels
            }
            columns = _choose_used(str(model), words, columns, texts | left_out)
        if not columns:
            _refuse_no_inputs(path, y, left_out)
    _refuse_references({*words, *columns}, categories)
    check_count(path, len(columns))
    expression = model or default_expression(names or column_names(columns), loss, y)
    return Inputs(columns, names, expression, left_out, categories.take(columns) or NO_CATEGORIES)


def _refuse_references(names: Collection[str], categories: Categories) -> None:
    """Refuse the indicator of a reference value, which does not exist and would become a parameter."""
    for column, (value, *_) in categories.levels.items():
        if (name := indicator_name(column, value)) in names and name not in categories.indicators:
            raise ValueError(
                f"{name!r} is not a column: {value!r} is the value of {column!r} with which the others are compared; "
                "omit it"
            )


def ask_for_target(path: Path) -> str:
    """Return an error message that asks for the target and lists the columns of a table."""
    headings = column_headings(table_files(path)[0])
    return f"--y must name the column of {path} that is to be fitted: {join_names(headings)}"


def _words_of(model: str | None) -> set[str]:
    """Return the names in an expression; none for a ready-made model, or an error that is reported elsewhere."""
    try:
        return set(names_in(parse(model, products=True))) if model else set()
    except ValueError:
        return set()


def find_namesakes(
    path: str | Path, columns: Sequence[str], y: str, model: str | None, names: Given | None
) -> dict[str, str]:
    """Return, for columns of a table that are named like parameters of a model, why they are not inputs.

    The inputs are `columns`, under the names `names` in the model, or under their own if these are None.
    """
    params = _words_of(model).difference(names or column_names(columns))
    headings = column_headings(table_files(Path(path))[0], y) if params else []
    others = [heading for heading in headings if heading not in {*columns, y}]
    return {heading: "a parameter has this name" for heading in others if column_name(heading) in params}


def _choose_used(model: str, words: set[str], columns: list[str], left_out: Mapping[str, str]) -> list[str]:
    """Return the columns that an expression names, or all if it takes inputs by position or names no column.

    An expression that names an ignored column, or probably misspells a column, is refused.
    """
    if lost := next((name for name in left_out if column_name(name) in words), None):
        raise ValueError(
            f"{model!r} uses the column {lost!r}, which is not an input ({left_out[lost]}); name others with --x"
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
    if count > MAX_INPUTS:
        raise ValueError(
            f"{path} has {count:,} columns for the inputs of a model, which are at most {MAX_INPUTS:,}; name some "
            "with --x, also by wildcards"
        )


def find_inputs(
    path: str | Path, x: Sequence[str], y: str, categories: Categories = NO_CATEGORIES
) -> tuple[list[str], Given | None]:
    """Return the columns that texts name, and their names in an expression.

    The texts `x` are columns, such as ``"hp"``; columns with names, such as ``"x=Engine Power (PS)"``; wildcards, such
    as ``"pixel_*"``, which do not match the target `y`; and wildcards with the name of a group, such as
    ``"x=pixel_*"``. A heading of the table may itself contain wildcards and an equals sign. A column of `categories`
    stands for its indicators, which also have names.

    The names are in the order of the columns; with a group they are a mapping from names to columns or groups of
    columns; None if no names are given, which leaves several ways to refer to the columns.
    """
    headings = [heading for heading in column_headings(table_files(Path(path))[0], y) if heading != y]
    columns: list[str] = []
    called: list[tuple[str, list[str] | str]] = []
    named = False
    for text in x:
        name, column = (None, text) if text in headings else _split_rename(text)
        matched = match_inputs(column, headings, categories, str(path))
        named |= name is not None
        if name and matched and column in categories.levels and len(matched) == 1:
            (column,), matched = matched, None  # a categorical column of two values
        columns += matched or [column]
        if matched and name:
            called.append((name, matched))
        else:
            called += [(name or column_name(one), one) for one in matched or [column]]
    if not named:
        return columns, None
    names = [name for name, _ in called]
    if not any(isinstance(value, list) for _, value in called):
        return columns, names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"x must give each column or group a name of its own, and {twice!r} occurs twice")
    return columns, dict(called)


def match_inputs(text: str, headings: Sequence[str], categories: Categories, place: str) -> list[str] | None:
    """Return the inputs that a text with wildcards or a categorical column stands for; None for any other name.

    Errors are those of `sgdbench.data.table_errors.match_columns`.
    """
    matched = match_columns(text, list(dict.fromkeys([*headings, *categories.indicators])), place)
    if matched is None and text not in categories.levels:
        return None
    return list(dict.fromkeys(categories.expand(matched or [text])))


def _split_rename(text: str) -> tuple[str | None, str]:
    name, equals, column = text.partition("=")
    return (name.strip(), column.strip()) if equals and is_name(name.strip()) else (None, text)


def default_expression(inputs: Given, loss: Loss, y: str = "") -> str:
    """Return a weighted sum of inputs and a constant, such as ``a*hp + b*weight + c``.

    For more than twelve inputs, and for class scores, it is ``w @ x + b``; for groups and single inputs the sum of all,
    such as ``w @ x + c*age + b``. No parameter is named like an input or the target `y`.
    """
    used = [*inputs, y]
    if isinstance(inputs, Mapping):
        return _sum_of_groups(inputs, loss, used)
    if len(inputs) > MAX_TERMS or loss.by_class:
        return _sum_of_groups({ALL_INPUTS: inputs}, loss, used)
    letters = [letter for letter in ascii_lowercase if letter not in used]
    terms = [f"{letter}*{name}" for letter, name in zip(letters, inputs, strict=False)]
    return " + ".join([*terms, letters[len(terms)]])


def _sum_of_groups(inputs: Mapping[str, str | Sequence[str]], loss: Loss, used: list[str]) -> str:
    """Return the sum of a product per group, a term per single input, and a constant."""
    terms = []
    for name, columns in inputs.items():
        weights = _unused(used, ("Wu" if loss.by_class else "wvu") if not isinstance(columns, str) else "acd")
        terms.append(f"{weights}*{name}" if isinstance(columns, str) else f"{weights} @ {name}")
        used.append(weights)
    return " + ".join([*terms, _unused(used, "bc")])


def _unused(used: Sequence[str], letters: str) -> str:
    """Return the first of some letters that is not taken; otherwise the first letter with a number."""
    candidates = [*letters, *(f"{letters[0]}{number}" for number in range(1, len(used) + 2))]
    free: str = next(name for name in candidates if name not in used)
    return free


def describe_left_out(left_out: Mapping[str, str]) -> str:
    """Return the columns that are not inputs and the reasons, on one line."""
    return list_names(f"{name or 'a column'} ({reason})" for name, reason in left_out.items())


def usable_columns(
    path: Path, y: str, named: Collection[str] = (), *, no_categories: bool = False
) -> tuple[list[str], dict[str, str], Categories]:
    """Return the columns of a table besides `y` that vary, why others are ignored, and which are categorical.

    Ignored columns include those that number the rows or are an unnamed index, unless an expression names them.
    """
    files = table_files(path)
    headings = column_headings(files[0], y)
    find_columns(files[0], [y], headings)
    check_count(path, len(headings) - 1)
    counts = Counter(headings)
    others = [name for name in counts if name != y]
    reasons = {name: f"{counts[name]} columns have this heading" if counts[name] > 1 else "" for name in others}
    reasons |= {"": "it has no heading"} if counts[""] == 1 else {}
    numeric, texts = _describe_values(files, [name for name in others if not reasons[name]])
    categories = NO_CATEGORIES
    if texts and not no_categories:
        categories, texts = find_categories(files, texts, headings)
    reasons |= numeric | texts
    usable = [name for name, reason in reasons.items() if not reason]
    numbers = [name for name in usable if name in numeric and column_name(name) not in named]
    counted = {name: _describe_index(files, name) for name in numbers}
    counted = {name: reason for name, reason in counted.items() if reason}
    if len(counted) < len(usable):
        reasons |= counted
        usable = [name for name in usable if name not in counted]
    left_out = {name: reason for name, reason in reasons.items() if reason}
    if not usable:
        _refuse_no_inputs(path, y, left_out)
    return usable, left_out, categories


def _refuse_no_inputs(path: str | Path, y: str, left_out: Mapping[str, str]) -> NoReturn:
    listed = f"; ignored: {describe_left_out(left_out)}" if left_out else ""
    raise ValueError(f"{path} has no usable numeric input besides {y!r}{listed}; name the inputs with --x")


def _describe_values(files: Sequence[Path], names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return why numeric columns are not inputs, by name (empty for columns that vary), and what other columns hold."""
    reasons: dict[str, str] = {}
    texts: dict[str, str] = {}
    left = list(names)
    while left:
        try:
            ranges = _find_ranges(files, left)
        except NoNumbersError as error:
            # The other columns are read again without these.
            texts |= error.faults
            left = [name for name in left if name not in error.faults]
            continue
        for name, (lowest, highest) in zip(left, ranges.tolist(), strict=True):
            reasons[name] = "no values" if lowest > highest else "" if lowest < highest else f"always {lowest:.15g}"
        break
    return reasons, texts


def _describe_index(files: Sequence[Path], name: str) -> str:
    """Return why a column is an index of the rows; an empty text for others.

    A column named like row numbers is an index if its range matches the number of rows.
    """
    if name.lower() in UNNAMED_INDEX_NAMES:
        return "an index without a name"
    if name.lower() not in ROW_NUMBER_NAMES:
        return ""
    ((lowest, highest),) = _find_ranges(files, [name]).tolist()
    is_count = highest - lowest == sum(count_rows(file, [name]) for file in files) - 1
    return "it numbers the rows" if is_count else ""


def _find_ranges(files: Sequence[Path], names: Sequence[str]) -> Floats:
    """Return the lowest and the highest value of columns, shape (columns, 2); inf and -inf if there is none."""
    ranges = np.tile([np.inf, -np.inf], (len(names), 1))
    for file in files:
        for batch in read_batches(file, names, has_target=False):
            for k, column in enumerate(batch.columns):
                values = column[~np.isnan(column)]
                ranges[k] = values.min(initial=ranges[k, 0]), values.max(initial=ranges[k, 1])
    return ranges
