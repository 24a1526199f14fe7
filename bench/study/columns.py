"""The columns of a study: wildcards are expanded, and columns ordered like the inputs that the model names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sgdbench.data.batches import column_headings, table_files
from sgdbench.data.categories import named_categories
from sgdbench.data.columns import check_count, match_inputs
from sgdbench.data.table_errors import has_wildcard, join_columns, match_columns
from sgdbench.kernels.base.checks import did_you_mean
from sgdbench.kernels.model.categories import Categories
from sgdbench.kernels.model.inputs import read_inputs
from sgdbench.study.schema import Study


def expand_columns(study: Study) -> Study:
    """Return the study with wildcards and categorical columns in `x` replaced by columns of its table.

    A table that cannot be read, or a wildcard without a match, raises a ValueError.
    """
    data = study.data
    if data.path is None or data.x is None or not Path(data.path).exists():
        return study

    y = str(data.y)
    categories_of_table = (
        named_categories(data.path, data.x, y) if data.categories is None else Categories(data.categories)
    )
    if not categories_of_table.levels and not any(map(has_wildcard, data.x)):
        return study
    headings = [heading for heading in column_headings(table_files(Path(data.path))[0], y) if heading != y]
    columns = [
        column for text in data.x for column in match_inputs(text, headings, categories_of_table, data.path) or [text]
    ]
    join_columns(columns, y)
    check_count(data.path, len(columns))
    used = categories_of_table.take(columns)
    categories = used and {column: list(values) for column, values in used.levels.items()}
    return _with_columns(study, columns, categories=categories or data.categories)


def order_columns(study: Study, columns: Sequence[str]) -> Study:
    """Return the study with its columns `x` in the order of the model's inputs, if these are given as columns by name.

    A name of no column of the data, and a column that is in no input or in two, raise a ValueError.
    """
    if not isinstance(study.model.inputs, Mapping):
        return study

    inputs: dict[str, str | list[str]] = {}
    for name, value in study.model.inputs.items():
        texts = [value] if isinstance(value, str) else value
        positions = [match_columns(text, columns, "x of data") for text in texts]
        listed = [column for text, many in zip(texts, positions, strict=True) for column in many or [text]]
        if unknown := next((column for column in listed if column not in columns), None):
            close = did_you_mean(unknown, columns)
            raise ValueError(f"inputs.{name} names {unknown!r}, which is not a column of x{close}")
        inputs[name] = value if isinstance(value, str) and positions == [None] else listed
    ordered = read_inputs(inputs).columns
    if left := next((column for column in columns if column not in ordered), None):
        raise ValueError(f"inputs must have all columns of x, and {left!r} is in none of them")
    named = study.model_copy(update={"model": study.model.model_copy(update={"inputs": inputs})})
    return named if study.data.path is None else _with_columns(named, list(ordered))


def _with_columns(study: Study, columns: list[str], **others: Any) -> Study:
    return study.model_copy(update={"data": study.data.model_copy(update={"x": columns, **others})})
