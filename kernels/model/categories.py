"""Categorical columns as numeric columns: one indicator per value except the first, which is the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.kernels.base.checks import check_unmasked, describe, describe_row, did_you_mean
from sgdbench.kernels.base.columns import Inputs, column_names
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.column_names import column_name
from sgdbench.kernels.model.expression import MAX_NAME

MAX_VALUES_SHOWN = 12
MAX_LEVELS = 30


class Categories:
    """The values of categorical columns, which become indicators: columns of 0 and 1.

    An indicator is named as a column with the heading ``"cut Very Good"`` would be, ``cut_very_good``; if that name is
    taken, a number is appended.

    Parameters
    ----------
    levels : mapping of column names to sequences of str
        At least two values per column. The first is the reference, which has no indicator: the weights of the others
        are differences from it.

    Attributes
    ----------
    levels : dict
    indicators : dict
        From the name of each indicator to its column and its value, in order.
    """

    def __init__(self, levels: Mapping[str, Sequence[str]]) -> None:
        for column, given in levels.items():
            texts = [] if isinstance(given, str) else list(given)
            if len(texts) < 2 or len(set(texts)) < len(texts) or not all(isinstance(text, str) for text in texts):
                raise ValueError(f"categories[{column!r}] must be two or more distinct texts, not {describe(given)}")
        self.levels = {column: tuple(given) for column, given in levels.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Categories) and self.levels == other.levels

    def __hash__(self) -> int:
        return hash(tuple(self.levels.items()))

    def __repr__(self) -> str:
        return f"Categories({self.levels})"

    def __str__(self) -> str:
        return ", ".join(
            f"{column} ({len(values)} values; baseline {values[0]!r})" for column, values in self.levels.items()
        )

    @cached_property
    def indicators(self) -> dict[str, tuple[str, str]]:
        """The column and the value of each indicator, by its name."""
        indicators: dict[str, tuple[str, str]] = {}
        for column, (_, *others) in self.levels.items():
            for value in others:
                name = stem = indicator_name(column, value)
                number = 1
                while name in indicators or name in self.levels:
                    number += 1
                    name = f"{stem[: MAX_NAME - 4]}_{number}"
                indicators[name] = column, value
        return indicators

    def of_column(self, column: str) -> list[str]:
        """Return the names of the indicators of a column; its own name if it has none."""
        return [name for name, (of, _) in self.indicators.items() if of == column] or [column]

    def expand(self, columns: Sequence[str]) -> list[str]:
        """Return column names with each categorical column replaced by its indicators."""
        return [name for column in columns for name in self.of_column(column)]

    def sources(self, names: Sequence[str]) -> list[str]:
        """Return the columns of a table that some inputs are made from, each once."""
        return list(dict.fromkeys(self.indicators.get(name, (name,))[0] for name in names))

    def take(self, names: Sequence[str]) -> Categories | None:
        """Return the categories that some inputs are made from; None if there are none."""
        used = {self.indicators[name][0] for name in names if name in self.indicators}
        return Categories({column: self.levels[column] for column in self.levels if column in used}) if used else None

    @classmethod
    def of_table(cls, table: Any) -> Categories | None:
        """Return the categories of a table of named columns, such as a data frame; None if no column holds text.

        The most frequent value of a column is its reference. A single value, or more than 30, raise a ValueError.
        """
        found = {}
        for name in column_names(table) or []:
            values = np.asarray(table[name])
            texts = (
                [label.strip() for label in values.ravel() if isinstance(label, str)]
                if values.dtype.kind in "OU"
                else []
            )
            if texts:
                found[str(name)] = levels_of(Counter(texts))
                if not 2 <= len(found[str(name)]) <= MAX_LEVELS:
                    raise ValueError(
                        f"x[{name!r}] holds {len(found[str(name)]):,} different texts; a column of categories has 2 to "
                        f"{MAX_LEVELS}"
                    )
        return cls(found) if found else None

    def encode(self, table: Inputs) -> Inputs:
        """Return a table of named columns, such as a data frame, with indicators added; return an array unchanged.

        Raises
        ------
        ValueError
            If a column and its indicators are both absent, or a value is missing or unknown.
        """
        names = column_names(table)
        if names is None:
            return table
        columns: dict[Any, Any] = {name: table[name] for name in names}  # type: ignore[call-overload, index]
        for column in self.levels:
            if column in columns:
                columns = self.indicate(column, columns[column], f"x[{column!r}]") | columns
            elif not set(self.of_column(column)) <= set(columns):
                raise ValueError(f"x must have the column {column!r}, and its columns are {describe(names)}")
        return columns

    def indicate(
        self, column: str, texts: ArrayLike, what: str, locate: Callable[[int], str] = describe_row
    ) -> dict[str, Floats]:
        """Return the indicators of a column's values by name, each of shape (n,).

        Spaces around a value are ignored. A missing or unknown value is refused with its place.
        """
        import pandas as pd  # noqa: PLC0415 (only where there are categories)

        check_unmasked(what, texts)
        values = self.levels[column]
        places, distinct = pd.factorize(np.asarray(texts, object))
        labels = [str(label).strip() for label in distinct]
        codes = np.array([values.index(label) if label in values else -1 for label in labels] + [-1])[places]
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            label = labels[places[row]] if places[row] >= 0 else None
            listed = f"{', '.join(map(repr, values[:MAX_VALUES_SHOWN]))}{', ...' * (len(values) > MAX_VALUES_SHOWN)}"
            is_what = "is missing" if label is None else f"is {describe(label)}{did_you_mean(label, values)}"
            raise ValueError(f"{what} {is_what} in {locate(row)}; expected the values that training had: {listed}")
        dummies = pd.get_dummies(pd.Categorical.from_codes(codes, pd.Index(values)), drop_first=True, dtype=np.float64)
        return dict(zip(self.of_column(column), dummies.to_numpy().T, strict=True))


def levels_of(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return values with the most frequent first, ties alphabetically."""
    reference = min(counts, key=lambda value: (-counts[value], value))
    return (reference, *sorted(counts.keys() - {reference}))


def indicator_name(column: str, value: str) -> str:
    """Return the name of the indicator of a value, if no other indicator has it."""
    return column_name(f"{column} {value}")
