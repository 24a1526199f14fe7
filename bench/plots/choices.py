"""What a figure shows, of runs and of values that are too many."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from bench.tables.ranking import leaders, ranking
from bench.tables.run_costs import choice_columns
from bench.tables.standard_tables import best_choices

T = TypeVar("T")

MAX_OPTIMIZERS = 7  # more have no colors that can be told apart


def select_best_runs(
    frame: pd.DataFrame,
    names: Sequence[str] | None = None,
    *,
    by: Sequence[str] = ("optimizer",),
    ranked: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the runs that share the given settings, or all, with the best choice of each value of others.

    The choice that is recommended is the best one of all. `ranked` is `ranking(frame)` where that is known: to rank
    thousands of runs takes as long as to draw them.
    """
    ranked = ranking(frame) if ranked is None else ranked
    chosen = leaders(ranked, list(by))
    shared = [name for name in choice_columns(frame) if names is None or name in by or name in names]
    return frame.merge(chosen[shared], on=shared)


def best_optimizers(frame: pd.DataFrame, most: int = MAX_OPTIMIZERS) -> list[str]:
    """Return the names of the optimizers, or of the best ones where there are many."""
    names = sorted(map(str, frame["optimizer"].unique()))
    if len(names) <= most:  # to rank them takes as long as to draw them
        return names
    return [str(name) for name in best_choices(frame, ["optimizer"])["optimizer"].head(most)]


def spread_evenly(values: Sequence[T], most: int) -> list[T]:
    """Keep at most `most` of the values: the first, the last and what lies evenly between."""
    places = np.linspace(0, len(values) - 1, min(most, len(values)))
    return [values[i] for i in places.round().astype(int)]
