"""The choice to take among those that are about equally good."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.tables.intervals import median_interval, row_medians
from bench.tables.run_costs import COST_NAMES, LOSSES, RunCosts, choice_columns
from bench.tables.ties import Ranks
from kernels.base.run import Floats

# Seconds or updates that differ by a smaller factor decide nothing.
ALIKE = 1.5


class Advice(NamedTuple):
    """A row of a table of choices, and in a sentence why it is recommended."""

    row: int
    reason: str


class Effort(NamedTuple):
    """What choices spend, shape (choices,): medians over their runs, and the ends of their intervals."""

    unit: str
    median: Floats
    low: Floats
    high: Floats


def recommend(runs: RunCosts, ranks: Ranks, good: NDArray[np.bool_], cost: str, *, by_rates: bool = True) -> Advice:
    """Choose among the choices that are about as `good` as the first of the order, which is one of them.

    In turn it keeps

    - the one with the least effort, and those whose effort may be at most half as much again: samples in larger
      batches take less time (`effort_of`);
    - `by_rates`, of these the one farthest from the edge of stability, whose learning rate can be multiplied and
      divided by the largest factor without leaving the range of reliable rates around it, with the other settings the
      same. So both of its neighbours on the grid are reliable, if there is such a candidate, and of one range it is the
      one closest to the geometric middle;
    - of these the first.
    """
    candidates = ranks.order[good[ranks.order]]
    effort = effort_of(runs, candidates, cost)
    least = candidates[effort.low <= ALIKE * effort.high[np.nanargmin(effort.median)]] if effort else candidates
    factors = rate_factors(runs.choices, ranks.reliable)[least] if by_rates else np.ones(least.size)
    chosen = int(least[np.argmax(factors)])
    if len(good) == 1:
        return Advice(chosen, "It is the only choice.")
    if candidates.size == 1:
        return Advice(chosen, f"It ranks first by {COST_NAMES[cost]}, compared run by run.")
    among = f"{candidates.size:,} choices are about equally good; "
    if effort and 1 < least.size < candidates.size:
        among += f"{least.size:,} of these take the fewest {effort.unit}; "
    if effort and least.size == 1:
        reason = f"it takes the fewest {effort.unit}."
    elif factors.max() > factors.min():
        # A run that is ranked by its loss fails where it diverges, however high the loss is elsewhere.
        failing, outcome = ("diverging", "do not diverge either") if cost in LOSSES else ("failing", "succeed as well")
        reason = (
            f"its learning rate is farthest from {failing}: "
            f"rates up to {factors.max():.3g} times higher and lower {outcome}."
        )
    else:
        reason = "it ranks first."
    return Advice(chosen, f"{among}of these {reason}")


def effort_of(runs: RunCosts, rows: NDArray[np.intp], cost: str) -> Effort | None:
    """Return what some choices spend: seconds where they differ in the time of an update, and it is known, or updates.

    They are spent up to the target, or by runs that are ranked by a loss up to their end. None where choices are ranked
    by updates or seconds, which are then about the same, and where updates are not known.
    """
    if cost in ("updates", "seconds"):
        return None
    updates = runs.updates_made[rows] if cost in LOSSES else runs.costs["updates"][rows]
    updates = np.where(runs.made[rows] & ~runs.succeeded(cost)[rows], np.inf, updates)
    median = row_medians(updates)
    if not np.isfinite(median).any():
        return None
    low, high = median_interval(updates, pairs=runs.pairs)
    # Few runs have no interval: their range takes its place.
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

    Choices that differ in their rates alone form a range. The factor is 1 for a choice next to one that is not good or
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
