"""Seconds of runs: their updates, times the measured time of an update."""

import numpy as np
import pandas as pd

from bench.store.results import match_precision
from bench.tables.run_costs import cost_columns, find_choices
from bench.tables.ties import TOLERANCE

# The kernel whose time counts where seconds are compared: it trains one run, which is what a user does with a choice.
KERNEL = "fused"
PER_UPDATE = ["seconds_per_update", "seconds_per_update_low", "seconds_per_update_high"]


def decide_by_seconds(ranked: pd.DataFrame) -> bool:
    """Return whether the time of an update may decide which choice of a ranking is recommended.

    It may if it differs between the choices that are about as good as the cheapest one (`ties.nearly_as_cheap`): these
    are among the tied ones that cost at most `TOLERANCE` more.
    """
    near = ranked[ranked["tied"] & (ranked["ratio"] <= (1 + TOLERANCE) * ranked["ratio"].min())]
    return len(near[cost_columns(near)].drop_duplicates()) > 1


def add_seconds(frame: pd.DataFrame, costs: pd.DataFrame | None) -> pd.DataFrame:
    """Add `PER_UPDATE`, the seconds of an update with the kernel `fused`, and `seconds`, those of the whole run.

    `costs` are those of `bench.timing.update.update_seconds`. What was not measured is missing.
    """
    if costs is None:
        measured = pd.DataFrame(np.nan, index=frame.index, columns=PER_UPDATE)
    else:
        costs = match_precision(costs, frame)
        own = costs[costs["variant"] == KERNEL].reset_index(drop=True)
        measured = own[PER_UPDATE].reindex(find_choices(frame, own, cost_columns(own))).set_axis(frame.index)
    return frame.assign(**measured, seconds=frame["updates"] * measured["seconds_per_update"])
