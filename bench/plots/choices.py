"""The runs of a frame that a figure shows, and how long their epochs take."""

import re
from collections.abc import Sequence

import pandas as pd

from bench.tables.ranking import CHOICES, COST_SETTINGS, best_choices


def start_families(starts: pd.Series) -> "pd.Series[str]":
    """Return the names of starts without the index of a random start: `random[0]` and `random[1]` are both `random`."""
    return starts.astype(str).map({name: re.sub(r"\[\d+\]$", "", str(name)) for name in starts.unique()})


def select_best_runs(frame: pd.DataFrame, names: Sequence[str] = CHOICES, *, by: str = "optimizer") -> pd.DataFrame:
    """Return the runs that share the given settings with the best choice of their optimizer, or of another setting."""
    chosen = best_choices(frame, [by])
    shared = [name for name in chosen if name == by or name in names]
    return frame.merge(chosen[shared], on=shared)


def add_epoch_seconds(frame: pd.DataFrame, times: pd.DataFrame | None = None) -> pd.DataFrame:
    """Add the column `epoch_seconds`, the time of an epoch, if it is missing.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration.
    times : DataFrame, optional
        The measured `epoch_seconds` for each `optimizer`, `batch_size` and `shuffle`. Where there is no measurement,
        `epoch_seconds` is the mean over all epochs of the runs that share these three settings. The time of a single
        run would tell little, because runs are trained in blocks that end together.

    Returns
    -------
    DataFrame
        The same rows.
    """
    if "epoch_seconds" in frame:
        return frame
    sums = frame[["seconds", "epochs"]].groupby([frame[name].astype(object) for name in COST_SETTINGS]).transform("sum")
    epoch_seconds = sums["seconds"] / sums["epochs"].clip(lower=1)
    if times is not None:
        measured = frame[COST_SETTINGS].merge(times.drop_duplicates(COST_SETTINGS), on=COST_SETTINGS, how="left")[
            "epoch_seconds"
        ]
        epoch_seconds = measured.set_axis(frame.index).fillna(epoch_seconds)
    return frame.assign(epoch_seconds=epoch_seconds)
