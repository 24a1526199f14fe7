"""Which runs of a frame a figure is about, and how long their epochs take."""

import re
from collections.abc import Sequence

import pandas as pd

from bench.tables.ranking import CHOICES, best_choices

# What decides how long an epoch takes, besides the model and the data.
COSTS = ["optimizer", "batch_size", "shuffle"]


def families(starts: pd.Series) -> "pd.Series[str]":
    """The names of starts, random starts of one name as one: `random[0]` and `random[1]` are both `random`."""
    return starts.astype(str).map({name: re.sub(r"\[\d+\]$", "", str(name)) for name in starts.unique()})


def at_best(frame: pd.DataFrame, names: Sequence[str] = CHOICES, *, by: str = "optimizer") -> pd.DataFrame:
    """Keep the runs that share the given settings with the best choice of their optimizer, or of another setting."""
    chosen = best_choices(frame, [by])
    shared = [name for name in chosen if name == by or name in names]
    return frame.merge(chosen[shared], on=shared)


def with_epoch_seconds(frame: pd.DataFrame, times: pd.DataFrame | None = None) -> pd.DataFrame:
    """Add `epoch_seconds`, how long an epoch takes, where it is not there.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration.
    times : DataFrame, optional
        `optimizer`, `batch_size`, `shuffle` and `epoch_seconds`, as it was measured. Without it, or for what is not in
        it, an epoch takes as long as all epochs of the runs that share these three took, by their number: one run
        alone says little, as blocks of runs are over together.

    Returns
    -------
    DataFrame
        The same rows.
    """
    if "epoch_seconds" in frame:
        return frame
    sums = frame[["seconds", "epochs"]].groupby([frame[name].astype(object) for name in COSTS]).transform("sum")
    found = sums["seconds"] / sums["epochs"].clip(lower=1)
    if times is not None:
        measured = frame[COSTS].merge(times.drop_duplicates(COSTS), on=COSTS, how="left")["epoch_seconds"]
        found = measured.set_axis(frame.index).fillna(found)
    return frame.assign(epoch_seconds=found)
