"""Rank choices of settings and say how sure that is: with intervals, ties and one recommendation.

A choice is a combination of settings, such as an optimizer with a learning rate and a batch size
(`run_costs.choice_columns`). Runs that differ only in start and seed are repetitions of one choice: all choices are run
from the same starts with the same seeds, and compared start by start and seed by seed.

The frame of results, which all tables are made of, has one row per run: `config_id`, the choice, its start and seed
(`init`, `seed`), how it went (`status`, `epochs`, `samples_seen`, `updates`, `samples_to_target`, `updates_to_target`,
`epochs_to_target`, `final_loss`, `best_loss`), a column `param_<name>` for each parameter and, where the time of an
update was measured, the columns that `bench.tables.seconds.add_seconds` adds.

The figures of the first row are too good on average: it came first by merit and by luck. Figures to be reported come
from seeds that had no part in the ranking (`bench.tables.winners`).
"""

import numpy as np
import pandas as pd

from bench.tables.intervals import median_interval, row_medians, share_interval
from bench.tables.recommendation import recommend
from bench.tables.run_costs import (
    COSTS,
    LOSS_FLOOR,
    LOSSES,
    RunCosts,
    check_columns,
    choice_columns,
    rows_alike,
    run_costs,
    settle_cost,
)
from bench.tables.ties import nearly_as_cheap, rank_choices, tied_with_best
from kernels.base.run import Floats

# By how much costs may differ, as a share, and still count as equal.
TOLERANCE = 0.05


def varies(frame: pd.DataFrame, name: str) -> bool:
    """Return whether a column has more than one value."""
    return len(frame[name].unique()) > 1


def ranking(frame: pd.DataFrame, cost: str = "samples", *, floor: float = LOSS_FLOOR) -> pd.DataFrame:
    """Rank choices of settings, tell which are tied with the best one, and recommend one of them.

    *Order.* A choice is reliable if its share of successful runs is at most `SUCCESS_MARGIN` below the highest of all
    choices. Reliable choices come first, ranked by their cost, where a failed run is infinitely expensive; the others
    follow, ranked by their success. So a choice that always succeeds beats one that fails half the time, however cheap
    that is, and one that fails once in a hundred runs may still win. Costs are compared run by run
    (`ties.rank_choices`), which tells more than their medians do: a row may have a larger median than the next.

    *Ties.* A choice is tied with the best unless the runs show that it succeeds less often, by more than
    `SUCCESS_MARGIN`, or costs more, by more than `TOLERANCE` (`ties.tied_with_best`), and in seconds by more than the
    errors of their times on top (`RunCosts.timing_tolerance`). The number of choices is taken into account: in at least
    95 of 100 simulated studies the choice that is truly best is a tied one. With two to four runs a tie says little,
    and with a single run all choices that succeed are tied.

    *Recommendation.* One of the reliable choices that are tied and cost nearly as little as the first one
    (`ties.nearly_as_cheap`): the one with the fewest updates, then the one whose learning rate is farthest from those
    that fail (`recommendation.recommend`). Measured times play no part in it, unless choices are ranked by seconds. In
    at least 95 of 100 simulated studies with three runs per choice and more, it is as reliable as the truly best choice
    and costs at most `TOLERANCE` more, or so little more that a test of the two would miss it. With two or three runs
    and extreme outliers it is in fewer.

    The `cost` is one of `run_costs.COSTS`, or where no run reached a target a loss (`run_costs.settle_cost`). Losses
    that differ below `floor` differ by rounding (`run_costs.loss_floor`). An unknown cost, one whose columns are
    missing, a choice without a time that is ranked by seconds, and a run that occurs twice raise a ValueError.

    The result has one row per choice, best first: the settings of the choice; the columns of `summarize`; `ratio`, how
    many times the cost of the first row, compared run by run; `tied`, false everywhere if no run succeeded;
    `recommended`, true in one row, or in none if no run succeeded, and `reason`, why that row is recommended.
    """
    check_columns(frame, cost)
    runs = run_costs(frame, choice_columns(frame))
    cost = runs.ranked_by(cost)
    table = summarize(runs, cost)
    if table.empty:
        return table.assign(ratio=np.empty(0), tied=False, recommended=False, reason="").astype({"reason": "str"})
    costs = runs.comparable(cost, floor)
    ranks = rank_choices(costs, row_medians(runs.comparable("final_loss", floor)))
    tolerance = (1 + TOLERANCE) * (1 + runs.timing_tolerance(cost, ranks.order[0])) - 1
    tied = tied_with_best(costs, ranks, tolerance=tolerance, pairs=runs.pairs)
    order, updates = ranks.order, _updates_bounds(runs)
    table = table.assign(ratio=ranks.ratio, tied=tied, recommended=False, reason="").iloc[order].reset_index(drop=True)
    advice = recommend(
        table,
        reliable=ranks.reliable[order],
        cheap=nearly_as_cheap(costs, ranks, tolerance=TOLERANCE, pairs=runs.pairs)[order],
        updates=(updates[0][order], updates[1][order]),
        cost=cost,
    )
    if advice is not None:
        row, reason = advice
        table.loc[row, "recommended"] = True
        table.loc[row, "reason"] = reason
    return table


def summarize(runs: RunCosts, cost: str) -> pd.DataFrame:
    """Reduce the runs of each choice to counts, success and medians, with their intervals.

    Columns are `runs`, and how many of them `converged` and `diverged`; `success`, the share of runs whose `cost` is
    finite, with Wilson's interval; `samples`, `updates` and `seconds` to the target, `final_loss` and, if the frame has
    it, `validation_loss`: medians over all runs, in which failed runs are infinite. They are missing if no run reached
    a target, or the frame lacks a column. `_low` and `_high` of each of them are the ends of its interval, missing for
    fewer than five runs, which bound no median at 95 % (`intervals.median_interval`). Those of seconds multiply the
    ends for updates and for the seconds per update, and are rather too wide. Intervals hold for the starts that were
    tried. Runs of a seed from several starts, which may end alike, count as fewer (`bench.tables.dependence`).
    """
    made, successes = (np.count_nonzero(flags, axis=1) for flags in (runs.made, runs.succeeded(cost)))
    low, high = share_interval(np.where(runs.made, runs.succeeded(cost), np.nan), runs.pairs)
    columns = {
        "runs": made,
        "converged": np.count_nonzero(runs.converged, axis=1),
        "diverged": np.count_nonzero(runs.diverged, axis=1),
        **{"success": successes / made, "success_low": low, "success_high": high},
    }
    for name in COSTS:
        if name == "validation_loss" and name not in runs.costs:
            continue
        # Without any target there is no cost of reaching it.
        known = name in runs.costs and (name in LOSSES or cost not in LOSSES or bool(runs.converged.any()))
        median, low, high = _median(runs, name) if known else [np.full(made.size, np.nan)] * 3
        columns |= {name: median, f"{name}_low": low, f"{name}_high": high}
    return pd.concat([runs.choices, pd.DataFrame(columns)], axis=1)


def _median(runs: RunCosts, cost: str) -> tuple[Floats, Floats, Floats]:
    """Return the median of each choice and the ends of its interval."""
    values = runs.costs[cost]
    low, high = median_interval(values, pairs=runs.pairs)
    if cost == "seconds":
        low, high = low * runs.timing_errors[0], high * runs.timing_errors[1]
    return row_medians(values), low, high


def _updates_bounds(runs: RunCosts) -> tuple[Floats, Floats]:
    """Return the intervals of the updates, the range of the runs where there is none."""
    _, low, high = _median(runs, "updates")
    updates = runs.costs["updates"]
    fewest = np.min(updates, axis=1, initial=np.inf, where=runs.made)
    most = np.max(updates, axis=1, initial=0.0, where=runs.made)
    return np.where(np.isnan(low), fewest, low), np.where(np.isnan(high), most, high)


def recommended_choice(ranked: pd.DataFrame) -> pd.Series:
    """Return the row of a ranking that is recommended, or the first one where none is."""
    chosen = ranked[ranked["recommended"]]
    return (chosen if len(chosen) else ranked).iloc[0]


def leaders(ranked: pd.DataFrame, by: str | list[str] = "optimizer") -> pd.DataFrame:
    """Return the best choice of each optimizer, or of each combination of other settings.

    The recommended choice comes first and stands for its own; of each other it is the one that ranks first, or that
    leads by fresh seeds (`bench.tables.winners.confirm`).
    """
    return leaders_first(ranked).drop_duplicates(by)


def leaders_first(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return a ranking that begins with the recommended choice, and with those that lead by fresh seeds."""
    first = [name for name in ("recommended", "leading") if name in ranked]
    return ranked.sort_values(first, ascending=False, kind="stable")


def edge_of_rates(ranked: pd.DataFrame, best: pd.Series) -> tuple[str, int] | None:
    """Return which end of the tried rates the recommended choice is at, "highest" or "lowest", and how many there were.

    Rates count that were tried with the same other settings. None if the rate is between two others, or the only one,
    or if the choice is not recommended.
    """
    others = [name for name in choice_columns(ranked) if name != "lr"]
    rates = rows_alike(ranked, best, others)["lr"].to_numpy(float)
    if rates.size < 2 or rates.min() < best["lr"] < rates.max() or not best["recommended"]:
        return None
    return "highest" if best["lr"] == rates.max() else "lowest", rates.size


def runs_of(frame: pd.DataFrame, choice: pd.Series) -> pd.DataFrame:
    """Return the runs of a choice of settings."""
    return rows_alike(frame, choice, choice_columns(frame))


def cost_of(ranked: pd.DataFrame, cost: str) -> str:
    """Return the cost that a ranking by `cost` is ranked by; see `bench.tables.run_costs.settle_cost`."""
    reached = bool(ranked["converged"].any())
    return settle_cost(cost, reached=reached, held_out="validation_loss" in ranked)
