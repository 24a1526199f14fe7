"""Seconds of runs: their updates, times the measured time of an update."""

import numpy as np
import pandas as pd

from bench.store.results import match_precision
from bench.tables.intervals import wilson_interval
from bench.tables.run_costs import choice_columns, cost_columns, find_choices

# The kernel whose time counts where seconds are compared: it trains one run, which is what a user does with a choice.
KERNEL = "fused"
PER_UPDATE = ["seconds_per_update", "seconds_per_update_low", "seconds_per_update_high"]
TIMES = ["variant", "runs", "converged", "success", "success_low", "success_high", "updates_to_target", *PER_UPDATE]
TIMES += [name.replace("per_update", "to_target") for name in PER_UPDATE]


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


def times_to_target(frame: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Return the time to target and the success of each choice of settings with each kernel.

    `costs` are those of `bench.timing.update.update_seconds`. The result has one row per choice and kernel, the most
    reliable and then the fastest first: the choice, `variant`, `runs`, `converged`, `success` with Wilson's 95 %
    interval, the median over those that converged of `updates_to_target`, `seconds_per_update` with its interval, and
    their product, `seconds_to_target`, with the interval of the time of an update.
    """
    groups = frame.assign(reached=frame["status"].eq("converged")).groupby(choice_columns(frame), observed=True)
    table = groups["reached"].agg(runs="size", converged="sum").reset_index()
    table["updates_to_target"] = groups["updates_to_target"].median().astype(float).to_numpy()
    table["success"] = table["converged"] / table["runs"]
    table["success_low"], table["success_high"] = wilson_interval(table["converged"], table["runs"])
    table = table.merge(match_precision(costs, frame), on=cost_columns(frame))
    for name in PER_UPDATE:
        table[name.replace("per_update", "to_target")] = table["updates_to_target"] * table[name]
    ranked = table.sort_values(["success", "seconds_to_target"], ascending=[False, True], kind="stable")
    return ranked[[*choice_columns(frame), *TIMES]].reset_index(drop=True)
