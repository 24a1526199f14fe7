"""The outcome of each choice of settings, and its representative runs: the best, and a typical one."""

import re

import numpy as np
import pandas as pd

from sgdbench.kernels.base.run import Floats
from sgdbench.tables.costs import choice_columns, find_choices, losses_of, run_costs, settle_cost

ALL_STARTS = "all starts"
SPREAD = {"low": 0.1, "median": 0.5, "high": 0.9}


def start_families(starts: pd.Series) -> "pd.Series[str]":
    """Return the names of starts without the index of a random start: `random[0]` and `random[1]` are both `random`."""
    return starts.astype(str).map({name: re.sub(r"\[\d+\]$", "", str(name)) for name in starts.unique()})


def starts_and_runs(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return all runs and, if there are several families of starts, the runs from each of them."""
    families = start_families(frame["init"])
    names = families[frame["init"].sort_values().index].unique().tolist()
    return {ALL_STARTS: frame} | ({name: frame[families == name] for name in names} if len(names) > 1 else {})


def choice_outcomes(frame: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    """Return the outcome of each choice of settings, the best choice first, over all starts and from each of them.

    The first row of a start with certain settings is therefore the best choice that has them. `ranked` is the ranking
    of the frame, or the result of `sgdbench.tables.confirm.confirm` for it.

    Columns are `start`, which is `ALL_STARTS` or a family of starts; the settings of the choice; `runs`, and how many
    of them `converged` and `diverged`; and the quantiles `SPREAD` of each cost, such as `samples_low`, `samples_median`
    and `samples_high`. The cost of a failed run is infinite.
    """
    by = choice_columns(frame)
    parts = []
    for start, runs in starts_and_runs(frame).items():
        costs = run_costs(runs, by)
        counts = {name: getattr(costs, name).sum(axis=1) for name in ("made", "converged", "diverged")}
        spreads = {
            f"{cost}_{name}": quantile
            for cost, values in costs.costs.items()
            for name, quantile in zip(SPREAD, _row_quantiles(values), strict=True)
        }
        table = costs.choices.assign(**counts, **spreads).rename(columns={"made": "runs"})
        table.insert(0, "start", start)
        parts.append(table.iloc[np.argsort(find_choices(costs.choices, ranked, by).to_numpy(), kind="stable")])
    return pd.concat(parts, ignore_index=True)


def _row_quantiles(costs: Floats) -> list[Floats]:
    """Return the quantiles `SPREAD` of each row by linear interpolation; a run that was not made is NaN."""
    ordered = np.sort(costs, axis=1)  # NaN comes last
    runs = np.isfinite(costs).sum(axis=1) + np.isinf(costs).sum(axis=1)
    quantiles = []
    for share in SPREAD.values():
        place = share * (runs - 1)
        below, above = (
            np.take_along_axis(ordered, end.astype(int)[:, np.newaxis], axis=1)[:, 0]
            for end in (np.floor(place), np.ceil(place))
        )
        part = place % 1
        with np.errstate(invalid="ignore"):
            between = np.where(np.isfinite(above), below + part * (above - below), np.inf)
        quantiles.append(np.where(part == 0, below, between))
    return quantiles


MAX_STARTS = 5  # a figure with more paths is unreadable


def judged_loss(frame: pd.DataFrame) -> str:
    """Return the column of the loss that runs are compared by: on held-out samples if it ranks choices too."""
    reached = bool((frame["status"] == "converged").any())
    cost = settle_cost("samples", reached=reached, held_out="validation_loss" in frame)
    return "final_loss" if reached else cost


def ended_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that did not fail; with patience, diverged runs keep the loss of earlier parameters."""
    return frame[np.isfinite(losses_of(frame, "final_loss"))]


def lowest_run(frame: pd.DataFrame) -> pd.Series | None:
    """Return the run that ended with the lowest loss; None if none was completed."""
    ended = ended_runs(frame)
    return None if ended.empty else ended.iloc[ended[judged_loss(ended)].fillna(np.inf).argmin()]


def best_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for each of the five best starts, the run that ended with the lowest loss: see `lowest_run`."""
    ended = ended_runs(frame)
    ranked: pd.DataFrame = ended.sort_values(judged_loss(ended), kind="stable")
    return ranked.drop_duplicates("init").head(MAX_STARTS).sort_values("init")


def typical_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for each of the first five starts, the median run of those that reached the target.

    The fastest run has hardly a path to show. If no run of a start reached the target, it is the one with the lowest
    loss.
    """
    ended = ended_runs(frame)
    ranked = ended.sort_values(["samples_to_target", judged_loss(frame)], kind="stable")
    chosen = []
    for _, runs in ranked.groupby("init", observed=True):
        converged = runs[runs["status"] == "converged"]
        chosen.append(converged.iloc[[len(converged) // 2]] if len(converged) else runs.head(1))
    return pd.concat(chosen[:MAX_STARTS]) if chosen else frame.head(0)
