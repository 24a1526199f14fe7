"""Ranking of choices of settings, with a recommendation, intervals, and a comparison with the other choices.

A choice is a combination of settings, such as an optimizer with a learning rate and a batch size
(`costs.choice_columns`). Runs that differ only in start and seed are repetitions of one choice: all choices are run
from the same starts with the same seeds, and compared start by start and seed by seed.

The frame of results, from which all tables are made, has one row per run: `config_id`, the choice, its start and seed
(`init`, `seed`), its course (`status`, `epochs`, `samples_seen`, `updates`, `samples_to_target`, `updates_to_target`,
`epochs_to_target`, `final_loss`, `best_loss`), a column `param_<name>` for each parameter and, if the time of an update
was measured, the columns that `sgdbench.tables.costs.add_seconds` adds.

The figures of the first row are too good on average: it came first by merit and by luck. Figures to report come from
seeds that had no part in the ranking (`sgdbench.tables.confirm`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.kernels.base.run import Floats
from sgdbench.tables.costs import (
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
from sgdbench.tables.facts import Recommendation
from sgdbench.tables.intervals import median_interval, row_medians, share_interval
from sgdbench.tables.ties import NOT_TIED, TOLERANCE, Ranks, compare_choices, nearly_as_cheap, rank_choices
from sgdbench.tables.words import say_recommendation

# Seconds or updates that differ by a smaller factor decide nothing.
ALIKE = 1.5


class Effort(NamedTuple):
    """The effort of choices, shape (choices,): medians over their runs, and the ends of their intervals."""

    unit: str
    median: Floats
    low: Floats
    high: Floats


def recommend(
    runs: RunCosts, ranks: Ranks, good: NDArray[np.bool_], cost: str, *, by_rates: bool = True
) -> tuple[int, Recommendation]:
    """Choose among the choices that are about as `good` as the first of the order, which is one of them.

    It successively keeps

    - the one with the least effort, and those whose effort may be at most half as much again: samples in larger
      batches take less time (`effort_of`);
    - `by_rates`, of these the one farthest from the edge of stability, whose learning rate can be multiplied and
      divided by the largest factor without leaving the range of reliable rates around it, with the same other settings.
      Both of its neighbours on the grid are then reliable, if there is such a candidate, and within one range it is the
      one closest to the geometric middle;
    - of these the first.
    """
    candidates = ranks.order[good[ranks.order]]
    effort = effort_of(runs, candidates, cost)
    least = candidates[effort.low <= ALIKE * effort.high[np.nanargmin(effort.median)]] if effort else candidates
    factors = rate_factors(runs.choices, ranks.reliable)[least] if by_rates else np.ones(least.size)
    chosen = int(least[np.argmax(factors)])
    factor = float(factors.max()) if factors.max() > factors.min() else 1.0
    return chosen, Recommendation(cost, len(good), candidates.size, least.size, effort.unit if effort else "", factor)


def effort_of(runs: RunCosts, rows: NDArray[np.intp], cost: str) -> Effort | None:
    """Return the effort of some choices: seconds if they differ in a known time of an update, otherwise updates.

    It is counted up to the target or, for runs that are ranked by a loss, up to their end. None if choices are ranked
    by updates or seconds, which are then about the same, and if updates are unknown.
    """
    if cost in ("updates", "seconds"):
        return None
    updates = runs.updates_made[rows] if cost in LOSSES else runs.costs["updates"][rows]
    updates = np.where(runs.made[rows] & ~runs.succeeded(cost)[rows], np.inf, updates)
    median = row_medians(updates)
    if not np.isfinite(median).any():
        return None
    low, high = median_interval(updates, pairs=runs.pairs)
    # Few runs have no interval: their range replaces it.
    low, high = (
        np.where(np.isnan(low), np.nanmin(updates, axis=1), low),
        np.where(np.isnan(high), np.nanmax(updates, axis=1), high),
    )
    each = runs.seconds_per_update[rows]
    if np.isnan(each).any() or np.unique(each).size == 1:
        return Effort("updates", median, low, high)
    errors = runs.timing_errors[0][rows], runs.timing_errors[1][rows]
    return Effort("seconds", median * each, low * each * errors[0], high * each * errors[1])


def rate_factors(table: pd.DataFrame, good: NDArray[np.bool_]) -> Floats:
    """Return the factor by which each learning rate can be multiplied and divided and stay among good ones.

    Choices that differ only in their rates form a range. The factor is 1 for a choice next to one that is not good or
    at the end of the grid.
    """
    others = [name for name in choice_columns(table) if name != "lr"]
    groups = table.groupby(others, observed=True, sort=False, dropna=False).ngroup().to_numpy()
    rates = table["lr"].to_numpy(float)
    order = np.lexsort([rates, groups])
    group, rate, fine = groups[order], rates[order], good[order]
    # A stretch of good rates ends with its group and with a rate that is not good, which is a stretch by itself.
    starts = np.concatenate([[True], (np.diff(group) != 0) | ~fine[1:] | ~fine[:-1]])
    stretch = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)
    last = np.append(first[1:], rate.size) - 1
    factors = np.empty(rate.size)
    # Grids are rounded, and factors that differ by rounding are equal.
    factors[order] = np.round(np.minimum(rate[last[stretch]] / rate, rate / rate[first[stretch]]), 6)
    return factors


def varies(frame: pd.DataFrame, name: str) -> bool:
    """Return whether a column has more than one value."""
    return len(frame[name].unique()) > 1


def constant_settings(frame: pd.DataFrame, names: Sequence[str] = ("schedule", "shuffle", "dtype")) -> list[str]:
    """Return the columns among `names` that are there and do not vary."""
    return [name for name in names if name in frame and not varies(frame, name)]


def ranking(
    frame: pd.DataFrame, cost: str = "samples", *, floor: float = LOSS_FLOOR, by_rates: bool = True
) -> pd.DataFrame:
    """Rank choices of settings, recommend one of the best, and compare the others with it.

    *Order.* A choice is reliable if its share of successful runs is at most `SUCCESS_MARGIN` below the highest of all
    choices. Reliable choices come first, ranked by their cost, where a failed run is infinitely expensive; the others
    follow, ranked by their success. A choice that always succeeds therefore beats one that fails half the time, however
    cheap, and one that fails once in a hundred runs may still win. Costs are compared run by run
    (`ties.rank_choices`), which is more informative than their medians: a row may have a larger median than the next.

    *Recommendation.* One of the reliable choices that cost nearly as little as the first one, at most `TOLERANCE` more
    (`ties.nearly_as_cheap`): the one that takes the fewest seconds if these differ by more than half, otherwise the one
    whose learning rate is farthest from those that fail (`rank.recommend`), unless choices do not come from a grid, and
    are not compared `by_rates`. It becomes the first row. In at least 95 of 100 simulated studies with three runs per
    choice and more, it is as reliable as the truly best choice and costs at most `TOLERANCE` more, or so little more
    that a test of the two would miss it. With two or three runs and extreme outliers it is in fewer.

    *Verdicts.* Each other choice is "indistinguishable" from the recommended one if no difference is shown, "within
    5 %" if one is shown and is at most `TOLERANCE`, "worse" if it is larger, or "fails" if it succeeds less often by
    more than `SUCCESS_MARGIN` (`ties.compare_choices`). Differences of seconds count beyond the errors of their times
    (`RunCosts.timing_tolerance`). The number of choices is taken into account: in at least 95 of 100 simulated studies
    the choice that is truly best is not called worse. With two to four runs few differences are shown, and with a
    single run none is: "too few runs".

    The `cost` is one of `costs.COSTS`, or if no run reached a target a loss (`costs.settle_cost`). Losses are compared
    on the scales of `sgdbench.tables.costs`, if the frame has these; those that differ below `floor` differ by rounding
    (`costs.loss_floor`). An unknown cost, one whose columns are missing, a choice without a time that is ranked by
    seconds, and a duplicated run raise a ValueError.

    The result has one row per choice, the recommended one first and the others by rank: the settings of the choice; the
    columns of `summarize`; `ratio`, the multiple of the cost of the first row, compared run by run; `verdict`, in the
    first row "best"; `tied`, whether it may replace the first: it neither fails nor is worse; `recommended`, true in
    the first row, or in none if no run succeeded, and `reason`, why that row is recommended.
    """
    check_columns(frame, cost)
    runs = run_costs(frame, choice_columns(frame))
    cost = runs.ranked_by(cost)
    table = summarize(runs, cost)
    if table.empty:
        texts = dict.fromkeys(("verdict", "reason"), "str")
        empty = table.assign(ratio=np.empty(0), verdict="", tied=False, recommended=False, reason="")
        return empty.astype(texts)
    costs = runs.comparable(cost, floor)
    # As improvements, held-out losses above that of the constant are all equal.
    tiebreak = runs.costs[cost] if cost == "validation_loss" else runs.comparable("final_loss", floor)
    ranks = rank_choices(costs, row_medians(tiebreak))
    good = nearly_as_cheap(costs, ranks, tolerance=TOLERANCE, pairs=runs.pairs)
    succeeded = bool(runs.succeeded(cost).any())
    first, reason = int(ranks.order[0]), ""
    if succeeded:
        first, why = recommend(runs, ranks, good, cost, by_rates=by_rates)
        reason = say_recommendation(why)
    tolerance = runs.timing_tolerance(cost, first)
    with np.errstate(invalid="ignore"):
        ratio = ranks.ratio / ranks.ratio[first]
    exact = runs.distinguishable(cost, floor)
    verdict = compare_choices(exact, ranks, first, tolerance=tolerance, pairs=runs.pairs)
    table = table.assign(
        ratio=ratio,
        verdict=verdict,
        tied=~np.isin(verdict, NOT_TIED),
    ).iloc[[first, *ranks.order[ranks.order != first]]]
    table = table.reset_index(drop=True)
    is_first = table.index == 0
    return table.assign(recommended=is_first & succeeded, reason=np.where(is_first, reason, ""))


def summarize(runs: RunCosts, cost: str) -> pd.DataFrame:
    """Reduce the runs of each choice to counts, success and medians, with their intervals.

    Columns are `runs`, and how many of them `converged` and `diverged`; `success`, the share of runs whose `cost` is
    finite, with Wilson's interval; `samples`, `updates` and `seconds` to the target, `final_loss` and, if the frame has
    it, `validation_loss`: medians over all runs, in which failed runs are infinite. They are missing if no run reached
    a target, or the frame lacks a column. `_low` and `_high` of each of them are the ends of its interval, missing for
    fewer than five runs, which bound no median at 95 % (`intervals.median_interval`). Those of seconds multiply the
    ends for updates and for the seconds per update, and are rather too wide. Intervals hold for the starts that were
    tried. Runs of a seed from several starts, which may end alike, count as fewer (`sgdbench.tables.intervals`).
    """
    counts, successes = (np.count_nonzero(flags, axis=1) for flags in (runs.made, runs.succeeded(cost)))
    low, high = share_interval(np.where(runs.made, runs.succeeded(cost), np.nan), runs.pairs)
    columns = {
        "runs": counts,
        "converged": np.count_nonzero(runs.converged, axis=1),
        "diverged": np.count_nonzero(runs.diverged, axis=1),
        **{"success": successes / counts, "success_low": low, "success_high": high},
    }
    for name in COSTS:
        if name == "validation_loss" and name not in runs.costs:
            continue
        # Without any target there is no cost of reaching it.
        has_cost = name in runs.costs and (name in LOSSES or cost not in LOSSES or bool(runs.converged.any()))
        median, low, high = _median(runs, name) if has_cost else [np.full(counts.size, np.nan)] * 3
        columns |= {name: median, f"{name}_low": low, f"{name}_high": high}
    return pd.concat([runs.choices, pd.DataFrame(columns)], axis=1)


def _median(runs: RunCosts, cost: str) -> tuple[Floats, Floats, Floats]:
    """Return the median of each choice and the ends of its interval."""
    values = runs.costs[cost]
    low, high = median_interval(values, pairs=runs.pairs)
    if cost == "seconds":
        low, high = low * runs.timing_errors[0], high * runs.timing_errors[1]
    return row_medians(values), low, high


def recommended_choice(ranked: pd.DataFrame) -> pd.Series:
    """Return the first row of a ranking, which is the recommended choice if there is one."""
    return ranked.iloc[0]


def leaders(ranked: pd.DataFrame, by: str | list[str] = "optimizer") -> pd.DataFrame:
    """Return the best choice of each optimizer, or of each combination of other settings: its first row."""
    return ranked.drop_duplicates(by)


def edge_of_rates(ranked: pd.DataFrame, best: pd.Series) -> tuple[str, int] | None:
    """Return at which end of the tried rates the recommended choice is ("highest" or "lowest"), and their number.

    Only rates tried with the same other settings count. None if the rate is between two others or the only one, if the
    choice is not recommended, or if its runs start at the target, so that no other rate can be better.
    """
    if best["samples"] == 0:
        return None
    others = [name for name in choice_columns(ranked) if name != "lr"]
    rates = rows_alike(ranked, best, others)["lr"].to_numpy(float)
    if rates.size < 2 or rates.min() < best["lr"] < rates.max() or not best["recommended"]:
        return None
    return "highest" if best["lr"] == rates.max() else "lowest", rates.size


def runs_of(frame: pd.DataFrame, choice: pd.Series) -> pd.DataFrame:
    """Return the runs of a choice of settings."""
    return rows_alike(frame, choice, choice_columns(frame))


def cost_of(ranked: pd.DataFrame, cost: str) -> str:
    """Return the cost by which a ranking by `cost` is actually ranked; see `sgdbench.tables.costs.settle_cost`."""
    reached = bool(ranked["converged"].any())
    return settle_cost(cost, reached=reached, held_out="validation_loss" in ranked)
