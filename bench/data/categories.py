"""The categorical columns of a table: columns of few texts, which become indicators."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from sgdbench.data.batches import column_headings, read_batches, table_files
from sgdbench.data.choose_loss import stands_for_number
from sgdbench.data.label_numbers import LabelNumbers
from sgdbench.data.table_errors import NoNumbersError
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.categories import MAX_LEVELS, Categories, levels_of
from sgdbench.kernels.model.column_names import column_name

NO_CATEGORIES = Categories({})


def find_categories(
    files: Sequence[Path], texts: Mapping[str, str], headings: Collection[str]
) -> tuple[Categories, dict[str, str]]:
    """Return the categories among columns of texts, and why other columns are not categorical.

    A column of 2 to 30 different texts is categorical, unless all of them are dates, times or amounts, or most rows
    have a unique text, such as names. The most frequent value is the reference, with ties in alphabetical order.

    Parameters
    ----------
    files : sequence of Path
        The files of the table.
    texts : mapping
        From the columns that are not purely numeric to a description of their content, which is the reason unless there
        is a better one.
    headings : collection of str
        The columns of the table, whose names no indicator may have.
    """
    reasons, values = dict(texts), dict[str, tuple[str, ...]]()
    used = {*headings, *map(column_name, headings)}
    for name, counts in _count_values(files, list(texts)).items():
        if len(counts) < 2 or all(map(stands_for_number, counts)):
            continue
        levels = levels_of(counts)
        alike = next((one for one in Categories({name: levels}).indicators if one in used), None)
        if len(counts) > MAX_LEVELS:
            if not any(map(stands_for_number, counts)):  # otherwise these are flawed numbers
                reasons[name] = f"more than {MAX_LEVELS} different texts"
        elif counts.total() < 2 * len(counts):
            continue
        elif alike:
            reasons[name] = f"an indicator {alike!r}, as another column is called"
        else:
            values[name] = levels
            del reasons[name]
    return Categories({name: values[name] for name in headings if name in values}), reasons


def _count_values(files: Sequence[Path], names: list[str]) -> dict[str, Counter[str]]:
    """Return how often columns have each text; counting ends at more than 30 texts."""
    counters: dict[str, Counter[str]] = {}
    while names:
        labels, counts = {name: LabelNumbers() for name in names}, {name: Counter[int]() for name in names}
        try:
            for batch in (batch for file in files for batch in read_batches(file, names, labels, has_target=False)):
                for name, column in zip(names, batch.columns, strict=True):
                    numbers, times = np.unique(column[~np.isnan(column)].astype(int), return_counts=True)
                    counts[name].update(dict(zip(numbers.tolist(), times.tolist(), strict=True)))
                if any(len(counts[name]) > MAX_LEVELS for name in names):
                    break
        except NoNumbersError as error:  # such as dates of a Parquet file
            names = [name for name in names if name not in error.faults]
            continue
        many = [name for name in names if len(counts[name]) > MAX_LEVELS]
        for name in many or names:
            counters[name] = Counter()
            for number, count in counts[name].items():
                counters[name][str(labels[name].labels[number]).strip()] += count
        # The other columns are read again without those of many texts, which may not fit into memory.
        names = [name for name in names if name not in many] if many else []
    return counters


def named_categories(path: str | Path, x: Sequence[str], y: str) -> Categories:
    """Return the categories among the columns of a table that texts `x` name, including by wildcards.

    If one of the texts names no column (it may be an indicator such as ``"cut_good"``), all columns are considered.
    Columns of texts are looked for in the first rows. One with too many texts raises a ValueError.
    """
    files = table_files(Path(path))
    headings = column_headings(files[0], y)
    others = [heading for heading in headings if heading and heading != y and headings.count(heading) == 1]
    requested = [text if text in headings else text.partition("=")[2].strip() or text for text in x]
    matches = [{one for one in others if one == text or fnmatchcase(one, text)} for text in requested]
    named = set[str]().union(*matches)
    faults = _find_texts(files[0], [one for one in others if one in named or not all(matches)])
    categories, reasons = find_categories(files, faults, headings)
    for name, reason in reasons.items():
        if name in named and reason != faults[name]:
            raise ValueError(f"{path}: column {name!r} has {reason}; an input has numbers, or 2 to {MAX_LEVELS} texts")
    return categories


def _find_texts(file: Path, names: list[str]) -> dict[str, str]:
    """Return the columns that are not numeric in the first rows, and what they hold."""
    faults: dict[str, str] = {}
    while names:
        try:
            next(read_batches(file, names, has_target=False), None)
            break
        except NoNumbersError as error:
            faults |= error.faults
            names = [name for name in names if name not in error.faults]
    return faults


def make_inputs(
    names: Sequence[str],
    columns: Mapping[str, Floats],
    labels: Mapping[str, list[Any]],
    categories: Categories,
    what: str,
    locate: Callable[[int], str],
) -> list[Floats]:
    """Return the inputs of these names from the columns of a file, and the indicators of columns of `labels`.

    Error messages begin with `what`, the file, and end with the place of the row.
    """
    made = dict(columns)
    for column in categories.sources(names):
        if column in categories.levels:
            texts = np.array(labels[column], object)[columns[column].astype(np.int64)]
            made |= categories.indicate(column, texts, f"{what}: column {column!r}", locate)
    return [made[name] for name in names]
