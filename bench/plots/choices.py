"""The runs of a frame that a figure shows."""

import re
from collections.abc import Sequence

import pandas as pd

from bench.tables.choice_ranking import ranking
from bench.tables.ranking import best_choices
from bench.tables.run_costs import CHOICES

MAX_OPTIMIZERS = 7  # more have no colors that can be told apart


def start_families(starts: pd.Series) -> "pd.Series[str]":
    """Return the names of starts without the index of a random start: `random[0]` and `random[1]` are both `random`."""
    return starts.astype(str).map({name: re.sub(r"\[\d+\]$", "", str(name)) for name in starts.unique()})


def select_best_runs(frame: pd.DataFrame, names: Sequence[str] = CHOICES, *, by: str = "optimizer") -> pd.DataFrame:
    """Return the runs that share the given settings with the best choice of their optimizer, or of another setting.

    The choice that is recommended is the best one of all.
    """
    ranked = ranking(frame).sort_values("recommended", ascending=False, kind="stable")
    chosen = ranked.drop_duplicates(by)
    shared = [name for name in CHOICES if name == by or name in names]
    return frame.merge(chosen[shared], on=shared)


def best_optimizers(frame: pd.DataFrame, most: int = MAX_OPTIMIZERS) -> list[str]:
    """Return the names of the best optimizers, best first, at most so many."""
    return [str(name) for name in best_choices(frame, ["optimizer"])["optimizer"].head(most)]
