"""The optimizers and the values that a chart shows where there are too many of them."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from sgdbench.tables.rank import leaders

T = TypeVar("T")

MAX_OPTIMIZERS = 7  # more have no colors that can be told apart


def best_optimizers(ranked: pd.DataFrame) -> list[str]:
    """Return the names of the optimizers, or of the best ones where there are many; `ranked` is a ranking."""
    names = sorted(map(str, ranked["optimizer"].unique()))
    return names if len(names) <= MAX_OPTIMIZERS else [*map(str, leaders(ranked)["optimizer"].head(MAX_OPTIMIZERS))]


def in_grid_order(names: Iterable[str], column: pd.Series) -> list[str]:
    """Return names in the order in which the grid has them, where the column of a frame knows it."""
    categories = column.cat.categories.tolist() if isinstance(column.dtype, pd.CategoricalDtype) else []
    return sorted(names, key=lambda name: categories.index(name) if name in categories else len(categories))


def spread_evenly(values: Sequence[T], most: int) -> list[T]:
    """Return at most `most` of the values: the first, the last and some evenly between."""
    places = np.linspace(0, len(values) - 1, min(most, len(values)))
    return [values[i] for i in places.round().astype(int)]
